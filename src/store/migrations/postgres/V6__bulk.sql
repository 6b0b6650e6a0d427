-- Bulk imports are imports like all others: one import, one batch for each file. What becomes of their rows is counted
-- in pieces, each written in one transaction with its rows; rows that failed are results of their own.

DROP TABLE node_job_failures;
DROP TABLE node_job_batches;
DROP TABLE node_jobs;

-- What its batches hold; `options` (JSON) belongs to the format.
ALTER TABLE import_record ADD COLUMN format text NOT NULL DEFAULT 'records'
    CHECK (format IN ('records', 'nodes', 'tables'));
ALTER TABLE import_record ADD COLUMN options text;

-- Who works on a batch of a bulk import: the command that began it, or whichever server claims it. None = no bulk import.
ALTER TABLE import_batch ADD COLUMN runner text CHECK (runner IN ('command', 'worker'));
-- Rows of one piece, so that whoever goes on with it cuts the same ones.
ALTER TABLE import_batch ADD COLUMN piece_rows bigint CHECK (piece_rows > 0);
-- Bytes of the object, if they are known.
ALTER TABLE import_batch ADD COLUMN size bigint CHECK (size >= 0);
CREATE INDEX import_batch_bulk ON import_batch (storage_url)
    WHERE runner IS NOT NULL AND status IN ('created', 'started');

-- A piece that is in. It is there before its rows and in the same transaction: two that have the same one wait here.
CREATE TABLE bulk_piece (
    batch          bigint NOT NULL REFERENCES import_batch (number) ON DELETE CASCADE,
    number         bigint NOT NULL,
    inserted       bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT 0,
    unchanged      bigint NOT NULL DEFAULT 0,
    duplicates     bigint NOT NULL DEFAULT 0,
    failed         bigint NOT NULL DEFAULT 0,
    -- The place behind its last row.
    position_bytes bigint NOT NULL DEFAULT 0,
    position_lines bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, number)
);

-- What came with the request instead of by an address, until its batch has ended.
CREATE TABLE bulk_input (
    batch   bigint PRIMARY KEY REFERENCES import_batch (number) ON DELETE CASCADE,
    content bytea  NOT NULL
);

-- Failed rows in the order of their file.
CREATE INDEX import_result_failed_by_line ON import_result (batch, line) WHERE status = 'failed';
