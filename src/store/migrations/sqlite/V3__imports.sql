-- Imports: what was sent (records in batches), and what became of each record. Rows that are not decided yet are the
-- workers' queue. Times are milliseconds since 1970 in UTC.

CREATE TABLE import_record (
    number          INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    source          TEXT    NOT NULL CHECK (source <> ''),
    processor       TEXT    NOT NULL,
    expected_count  INTEGER CHECK (expected_count >= 0),
    notes           TEXT,
    collision       TEXT    NOT NULL CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    process         TEXT    NOT NULL CHECK (process IN ('now', 'later')),
    status          TEXT    NOT NULL
        CHECK (status IN ('created', 'started', 'completed', 'partially_failed', 'failed', 'cancelled')),
    reason          TEXT,
    idempotency_key TEXT    UNIQUE,
    request_hash    TEXT,
    -- Whose failed records it tries again.
    retry_of        TEXT    REFERENCES import_record (id),
    -- How many batches and events it has had; both are numbered by it.
    batches         INTEGER NOT NULL DEFAULT 0,
    events          INTEGER NOT NULL DEFAULT 0,
    -- No more batches from then on.
    finalised_at    INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    ended_at        INTEGER
);
CREATE INDEX import_record_by_status ON import_record (status, number);

CREATE TABLE import_batch (
    number          INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    import          INTEGER NOT NULL REFERENCES import_record (number) ON DELETE CASCADE,
    ordinal         INTEGER NOT NULL,
    -- Where it is fetched from; none = it came with the request.
    storage_url     TEXT,
    -- Which version of it the position is of.
    storage_tag     TEXT,
    idempotency_key TEXT,
    content_hash    TEXT,
    status          TEXT    NOT NULL
        CHECK (status IN ('created', 'started', 'completed', 'partially_failed', 'failed', 'cancelled')),
    reason          TEXT,
    -- All of its records are here.
    received        INTEGER NOT NULL CHECK (received IN (0, 1)),
    -- It was cut and then sent again.
    superseded      INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)),
    -- How far it was read: records stored, and the place behind the last of them.
    records         INTEGER NOT NULL DEFAULT 0,
    position_bytes  INTEGER NOT NULL DEFAULT 0,
    position_lines  INTEGER NOT NULL DEFAULT 0,
    -- Of its results, when it has ended.
    completed       INTEGER NOT NULL DEFAULT 0,
    unchanged       INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    -- Who receives or fetches it.
    attempts        INTEGER NOT NULL DEFAULT 0,
    not_before      INTEGER NOT NULL DEFAULT 0,
    lease_owner     TEXT,
    lease_until     INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    UNIQUE (import, ordinal)
);
CREATE UNIQUE INDEX import_batch_by_key ON import_batch (import, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX import_batch_by_url ON import_batch (import, storage_url) WHERE storage_url IS NOT NULL;
CREATE INDEX import_batch_open ON import_batch (number) WHERE status IN ('created', 'started');

-- The id is the batch's number and the record's place in it, so the same record cannot be in a batch twice.
CREATE TABLE import_result (
    id          INTEGER PRIMARY KEY,
    batch       INTEGER NOT NULL REFERENCES import_batch (number) ON DELETE CASCADE,
    line        INTEGER,
    byte_offset INTEGER NOT NULL,
    kind        TEXT,
    source_name TEXT,
    external_id TEXT,
    status      TEXT    NOT NULL
        CHECK (status IN ('created', 'started', 'retrying', 'completed', 'unchanged', 'failed')),
    change      TEXT    CHECK (change IN ('created', 'updated')),
    -- How many rows of each kind: JSON.
    writes      TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    code        TEXT,
    message     TEXT,
    retryable   INTEGER NOT NULL DEFAULT 0 CHECK (retryable IN (0, 1)),
    not_before  INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER,
    updated_at  INTEGER NOT NULL,
    CHECK (id / 16777216 = batch)
);
CREATE INDEX import_result_by_status ON import_result (batch, status, id);

-- The bytes of a record, until it is in; of a failed one for ever. Apart, because a result changes more often.
CREATE TABLE import_original (
    result INTEGER PRIMARY KEY REFERENCES import_result (id) ON DELETE CASCADE,
    bytes  BLOB    NOT NULL
);

CREATE TABLE import_event (
    import     INTEGER NOT NULL REFERENCES import_record (number) ON DELETE CASCADE,
    id         INTEGER NOT NULL,
    type       TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (import, id)
) WITHOUT ROWID;

CREATE TRIGGER import_record_moves_one_way BEFORE UPDATE OF status ON import_record
WHEN NEW.status <> OLD.status AND NOT (
    (OLD.status = 'created' AND NEW.status IN ('started', 'cancelled'))
    OR (OLD.status = 'started' AND NEW.status IN ('completed', 'partially_failed', 'failed', 'cancelled')))
BEGIN
    SELECT RAISE(ABORT, 'the status of an import moves one way');
END;

CREATE TRIGGER import_batch_moves_one_way BEFORE UPDATE OF status ON import_batch
WHEN NEW.status <> OLD.status AND NOT (
    (OLD.status = 'created' AND NEW.status IN ('started', 'cancelled'))
    OR (OLD.status = 'started' AND NEW.status IN ('completed', 'partially_failed', 'failed', 'cancelled')))
BEGIN
    SELECT RAISE(ABORT, 'the status of a batch moves one way');
END;

CREATE TRIGGER import_result_moves_one_way BEFORE UPDATE OF status ON import_result
WHEN NEW.status <> OLD.status AND NOT (
    (OLD.status IN ('created', 'retrying') AND NEW.status IN ('started', 'failed'))
    OR (OLD.status = 'started' AND NEW.status IN ('retrying', 'completed', 'unchanged', 'failed')))
BEGIN
    SELECT RAISE(ABORT, 'the status of a result moves one way');
END;
