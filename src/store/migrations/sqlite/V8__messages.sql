-- Messages: the job of each, and what is to be told about it.

-- One request. `mark` tells a message that comes again from a new one; see `consume/request.rs`.
CREATE TABLE message_job (
    id         TEXT PRIMARY KEY,
    mark       TEXT NOT NULL UNIQUE,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('references', 'file', 'catalogue', 'unreadable')),
    domain_id  TEXT,
    group_name TEXT,
    status     TEXT NOT NULL CHECK (status IN ('PROCESSING', 'COMPLETED', 'FAILED')),
    total      INTEGER NOT NULL DEFAULT 0,
    processed  INTEGER NOT NULL DEFAULT 0,
    reason     TEXT,
    sent_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE INDEX message_job_updated ON message_job (updated_at);

-- What is to be published, written with what it tells in one transaction. At most one of a kind for each job.
CREATE TABLE message_outbox (
    job_id       TEXT NOT NULL REFERENCES message_job (id) ON DELETE CASCADE,
    kind         TEXT NOT NULL CHECK (kind IN ('status', 'dead_letter')),
    topic        TEXT NOT NULL,
    message_key  BLOB,
    value        BLOB,
    -- JSON: pairs of a name and a value in base64, or null.
    headers      TEXT NOT NULL,
    sent_at      INTEGER,
    -- Who publishes it, and until when nobody else looks after it.
    owner        TEXT NOT NULL,
    owned_until  INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    published_at INTEGER,
    partition    INTEGER,
    position     INTEGER,
    -- Why the broker will never take it.
    refused      TEXT,
    PRIMARY KEY (job_id, kind)
);

CREATE INDEX message_outbox_open ON message_outbox (owned_until) WHERE published_at IS NULL;

-- Dead letters that somebody has dealt with: topics cannot lose a single message, so it is remembered here.
CREATE TABLE dead_letter_settled (
    id         TEXT PRIMARY KEY,
    action     TEXT NOT NULL CHECK (action IN ('replayed', 'discarded')),
    settled_at INTEGER NOT NULL
);
