-- Messages: the job of each, and what is to be told about it.

-- One request. `mark` tells a message that comes again from a new one; see `consume/request.rs`.
CREATE TABLE message_job (
    id         uuid PRIMARY KEY,
    mark       text COLLATE "C" NOT NULL UNIQUE,
    topic      text NOT NULL,
    partition  bigint NOT NULL,
    position   bigint NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('references', 'file', 'catalogue', 'unreadable')),
    domain_id  text,
    group_name text,
    status     text NOT NULL CHECK (status IN ('PROCESSING', 'COMPLETED', 'FAILED')),
    total      bigint NOT NULL DEFAULT 0,
    processed  bigint NOT NULL DEFAULT 0,
    reason     text,
    sent_at    timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX message_job_updated ON message_job (updated_at);

-- What is to be published, written with what it tells in one transaction. At most one of a kind for each job.
CREATE TABLE message_outbox (
    job_id       uuid NOT NULL REFERENCES message_job (id) ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('status', 'dead_letter')),
    topic        text NOT NULL,
    message_key  bytea,
    value        bytea,
    -- JSON: pairs of a name and a value in base64, or null.
    headers      text NOT NULL,
    sent_at      timestamptz,
    -- Who publishes it, and until when nobody else looks after it.
    owner        text NOT NULL,
    owned_until  timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    published_at timestamptz,
    partition    bigint,
    position     bigint,
    -- Why the broker will never take it.
    refused      text,
    PRIMARY KEY (job_id, kind)
);

CREATE INDEX message_outbox_open ON message_outbox (owned_until) WHERE published_at IS NULL;

-- Dead letters that somebody has dealt with: topics cannot lose a single message, so it is remembered here.
CREATE TABLE dead_letter_settled (
    id         text COLLATE "C" PRIMARY KEY,
    action     text NOT NULL CHECK (action IN ('replayed', 'discarded')),
    settled_at timestamptz NOT NULL
);
