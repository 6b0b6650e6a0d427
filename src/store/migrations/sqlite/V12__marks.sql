-- A message with a key is compared with the last one under that key: the key is its mark, and what it says stands beside.

ALTER TABLE message_job ADD COLUMN content TEXT;

-- Imports of messages are forgotten with their jobs: what was tried again is asked for one by one.

CREATE INDEX import_record_by_retry ON import_record (retry_of) WHERE retry_of IS NOT NULL;
