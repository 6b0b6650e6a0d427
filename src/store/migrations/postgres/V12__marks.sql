-- A message with a key is compared with the last one under that key: the key is its mark, and what it says stands beside.

ALTER TABLE message_job ADD COLUMN content text;

-- A dead letter keeps the time of its message, whatever a sender took for one: milliseconds, not a date.

ALTER TABLE message_outbox ALTER COLUMN sent_at TYPE bigint USING CAST(extract(epoch FROM sent_at) * 1000 AS bigint);

-- Imports of messages are forgotten with their jobs: what was tried again is asked for one by one.

CREATE INDEX import_record_by_retry ON import_record (retry_of) WHERE retry_of IS NOT NULL;
