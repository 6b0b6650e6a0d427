-- Nodes: entities of bulk imports, found by domain, group and reference id, with free metadata.

CREATE TABLE domains (
    id         text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    created_at timestamptz NOT NULL
);

CREATE TABLE matching_groups (
    id         uuid PRIMARY KEY,
    domain_id  text COLLATE "C" NOT NULL REFERENCES domains (id),
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE nodes (
    id           uuid PRIMARY KEY,
    reference_id text COLLATE "C" NOT NULL CHECK (reference_id <> ''),
    group_id     uuid NOT NULL REFERENCES matching_groups (id),
    domain_id    text COLLATE "C" NOT NULL REFERENCES domains (id),
    type         text NOT NULL CHECK (type IN ('TASK', 'AGENT', 'USER', 'MENTOR', 'MENTEE', 'FRIEND', 'SEEKER',
                 'PROVIDER', 'MATCHMAKER', 'COUPLE_CANDIDATE', 'ADMIN', 'BOT', 'UNKNOWN')),
    processed    boolean NOT NULL DEFAULT FALSE,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (group_id, domain_id, reference_id)
);

CREATE TABLE node_metadata (
    node_id        uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    metadata_key   text COLLATE "C" NOT NULL CHECK (metadata_key <> ''),
    metadata_value text NOT NULL,
    PRIMARY KEY (node_id, metadata_key)
);

-- One import of one object. What is done of it is the sum of its batches; the end writes the sums here.
CREATE TABLE node_jobs (
    id         uuid PRIMARY KEY,
    source     text NOT NULL,
    -- Which version of the source it is of.
    tag        text,
    domain_id  text NOT NULL,
    group_name text,
    batch_size bigint NOT NULL CHECK (batch_size > 0),
    status     text NOT NULL CHECK (status IN ('PROCESSING', 'COMPLETED', 'PARTIALLY_FAILED', 'FAILED')),
    total      bigint,
    processed  bigint,
    failed     bigint,
    reason     text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX node_jobs_status ON node_jobs (status, created_at);

-- A batch that is in, written with its nodes in one transaction: a later run leaves it out.
CREATE TABLE node_job_batches (
    job_id     uuid   NOT NULL REFERENCES node_jobs (id) ON DELETE CASCADE,
    number     bigint NOT NULL,
    inserted   bigint NOT NULL,
    updated    bigint NOT NULL,
    unchanged  bigint NOT NULL,
    duplicates bigint NOT NULL,
    failed     bigint NOT NULL,
    PRIMARY KEY (job_id, number)
);

CREATE TABLE node_job_failures (
    job_id       uuid   NOT NULL REFERENCES node_jobs (id) ON DELETE CASCADE,
    line         bigint NOT NULL,
    reference_id text,
    code         text   NOT NULL,
    message      text   NOT NULL,
    original     bytea  NOT NULL,
    PRIMARY KEY (job_id, line)
);
