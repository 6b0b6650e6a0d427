-- Nodes: entities of bulk imports, found by domain, group and reference id, with free metadata.

CREATE TABLE domains (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE matching_groups (
    id         TEXT    NOT NULL PRIMARY KEY,
    domain_id  TEXT    NOT NULL REFERENCES domains (id),
    name       TEXT    NOT NULL CHECK (name <> ''),
    created_at INTEGER NOT NULL,
    UNIQUE (domain_id, name)
) WITHOUT ROWID;

CREATE TABLE nodes (
    id           TEXT    NOT NULL PRIMARY KEY,
    reference_id TEXT    NOT NULL CHECK (reference_id <> ''),
    group_id     TEXT    NOT NULL REFERENCES matching_groups (id),
    domain_id    TEXT    NOT NULL REFERENCES domains (id),
    type         TEXT    NOT NULL CHECK (type IN ('TASK', 'AGENT', 'USER', 'MENTOR', 'MENTEE', 'FRIEND', 'SEEKER',
                 'PROVIDER', 'MATCHMAKER', 'COUPLE_CANDIDATE', 'ADMIN', 'BOT', 'UNKNOWN')),
    processed    INTEGER NOT NULL DEFAULT 0 CHECK (processed IN (0, 1)),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (group_id, domain_id, reference_id)
) WITHOUT ROWID;

CREATE TABLE node_metadata (
    node_id        TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    metadata_key   TEXT NOT NULL CHECK (metadata_key <> ''),
    metadata_value TEXT NOT NULL,
    PRIMARY KEY (node_id, metadata_key)
) WITHOUT ROWID;

-- One import of one object. What is done of it is the sum of its batches; the end writes the sums here.
CREATE TABLE node_jobs (
    id         TEXT    NOT NULL PRIMARY KEY,
    source     TEXT    NOT NULL,
    -- Which version of the source it is of.
    tag        TEXT,
    domain_id  TEXT    NOT NULL,
    group_name TEXT,
    batch_size INTEGER NOT NULL CHECK (batch_size > 0),
    status     TEXT    NOT NULL CHECK (status IN ('PROCESSING', 'COMPLETED', 'PARTIALLY_FAILED', 'FAILED')),
    total      INTEGER,
    processed  INTEGER,
    failed     INTEGER,
    reason     TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX node_jobs_status ON node_jobs (status, created_at);

-- A batch that is in, written with its nodes in one transaction: a later run leaves it out.
CREATE TABLE node_job_batches (
    job_id     TEXT    NOT NULL REFERENCES node_jobs (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    inserted   INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    unchanged  INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;

CREATE TABLE node_job_failures (
    job_id       TEXT    NOT NULL REFERENCES node_jobs (id) ON DELETE CASCADE,
    line         INTEGER NOT NULL,
    reference_id TEXT,
    code         TEXT    NOT NULL,
    message      TEXT    NOT NULL,
    original     BLOB    NOT NULL,
    PRIMARY KEY (job_id, line)
) WITHOUT ROWID;
