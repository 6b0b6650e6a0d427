-- Staging: what arrived, one row for each record (shape '') or part of one (the contract's `card`, `episodes`, …).
-- A row that was taken keeps its hash and lineage, not its payload: the catalogue has that.

CREATE TABLE parsed_series (
    id            INTEGER PRIMARY KEY,
    source_name   TEXT NOT NULL CHECK (source_name <> ''),
    external_id   TEXT NOT NULL CHECK (external_id <> ''),
    shape         TEXT NOT NULL DEFAULT '',
    payload       TEXT,
    content_hash  TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     TEXT CHECK (waits_for IS NULL OR state = 'init'),
    collision     TEXT NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    TEXT,
    error_message TEXT,
    import_id     TEXT,
    lease_owner   TEXT,
    lease_until   INTEGER,
    observed_at   INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_series_open ON parsed_series (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_series_ready ON parsed_series (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_release (
    id            INTEGER PRIMARY KEY,
    source_name   TEXT NOT NULL CHECK (source_name <> ''),
    external_id   TEXT NOT NULL CHECK (external_id <> ''),
    shape         TEXT NOT NULL DEFAULT '',
    payload       TEXT,
    content_hash  TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     TEXT CHECK (waits_for IS NULL OR state = 'init'),
    collision     TEXT NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    TEXT,
    error_message TEXT,
    import_id     TEXT,
    lease_owner   TEXT,
    lease_until   INTEGER,
    observed_at   INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_release_open ON parsed_release (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_release_ready ON parsed_release (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_character (
    id            INTEGER PRIMARY KEY,
    source_name   TEXT NOT NULL CHECK (source_name <> ''),
    external_id   TEXT NOT NULL CHECK (external_id <> ''),
    shape         TEXT NOT NULL DEFAULT '',
    payload       TEXT,
    content_hash  TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     TEXT CHECK (waits_for IS NULL OR state = 'init'),
    collision     TEXT NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    TEXT,
    error_message TEXT,
    import_id     TEXT,
    lease_owner   TEXT,
    lease_until   INTEGER,
    observed_at   INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_character_open ON parsed_character (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_character_ready ON parsed_character (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_pet (
    id            INTEGER PRIMARY KEY,
    source_name   TEXT NOT NULL CHECK (source_name <> ''),
    external_id   TEXT NOT NULL CHECK (external_id <> ''),
    shape         TEXT NOT NULL DEFAULT '',
    payload       TEXT,
    content_hash  TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     TEXT CHECK (waits_for IS NULL OR state = 'init'),
    collision     TEXT NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    TEXT,
    error_message TEXT,
    import_id     TEXT,
    lease_owner   TEXT,
    lease_until   INTEGER,
    observed_at   INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_pet_open ON parsed_pet (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_pet_ready ON parsed_pet (id) WHERE state = 'init' AND waits_for IS NULL;

-- The four jobs that bring staged records into the catalogue; who has the lease runs it.
CREATE TABLE job (
    name        TEXT PRIMARY KEY CHECK (name IN ('series', 'release', 'character', 'pet')),
    cron        TEXT NOT NULL,
    zone        TEXT NOT NULL,
    lease_owner TEXT,
    lease_until INTEGER,
    started_by  TEXT,
    started_at  INTEGER,
    finished_at INTEGER,
    next_run_at INTEGER,
    -- Of the last run, or of the one that is going on.
    written     INTEGER NOT NULL DEFAULT 0,
    unchanged   INTEGER NOT NULL DEFAULT 0,
    waiting     INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT,
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) WITHOUT ROWID;

-- Ids of characters are the source's, whatever they look like. The table is made anew, and the one that refers to it.
CREATE TABLE character_new (
    id             INTEGER PRIMARY KEY,
    source         INTEGER NOT NULL REFERENCES source (id),
    source_id      TEXT    NOT NULL CHECK (source_id <> ''),
    name           TEXT    NOT NULL,
    russian        TEXT,
    image          TEXT,
    -- Its own record was imported: what a series says of it only fills gaps.
    described      INTEGER NOT NULL DEFAULT 0 CHECK (described IN (0, 1)),
    admin_modified INTEGER NOT NULL DEFAULT 0 CHECK (admin_modified IN (0, 1)),
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (source, source_id)
);
INSERT INTO character_new (id, source, source_id, name, russian, image, created_at, updated_at)
    SELECT id, source, CAST(source_id AS TEXT), name, russian, image, created_at, updated_at FROM character;
CREATE TABLE series_character_new (
    series_id         INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    character_id      INTEGER NOT NULL REFERENCES character_new (id) ON DELETE CASCADE,
    -- The more important of the two below.
    role              TEXT    NOT NULL CHECK (role IN ('main', 'supporting')),
    -- What the series says, what the character says; a link that nobody states is deleted.
    role_of_series    TEXT    CHECK (role_of_series IN ('main', 'supporting')),
    role_of_character TEXT    CHECK (role_of_character IN ('main', 'supporting')),
    PRIMARY KEY (series_id, character_id)
) WITHOUT ROWID;
INSERT INTO series_character_new (series_id, character_id, role, role_of_series)
    SELECT series_id, character_id, role, role FROM series_character;
DROP TABLE series_character;
DROP TABLE character;
ALTER TABLE character_new RENAME TO character;
ALTER TABLE series_character_new RENAME TO series_character;
CREATE INDEX series_character_by_character ON series_character (character_id);

CREATE TABLE pet (
    id             INTEGER PRIMARY KEY,
    source         INTEGER NOT NULL REFERENCES source (id),
    source_id      TEXT    NOT NULL CHECK (source_id <> ''),
    name           TEXT    NOT NULL CHECK (name <> ''),
    russian        TEXT,
    species        TEXT,
    description    TEXT,
    image          TEXT,
    admin_modified INTEGER NOT NULL DEFAULT 0 CHECK (admin_modified IN (0, 1)),
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (source, source_id)
);

CREATE TABLE pet_owner (
    pet_id       INTEGER NOT NULL REFERENCES pet (id) ON DELETE CASCADE,
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    PRIMARY KEY (pet_id, character_id)
) WITHOUT ROWID;
CREATE INDEX pet_owner_by_character ON pet_owner (character_id);

-- `parent`, `sequel`, …: what `series_id` says of `related_id`.
CREATE TABLE series_relation (
    series_id  INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind <> ''),
    related_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    PRIMARY KEY (series_id, kind, related_id),
    CHECK (series_id <> related_id)
) WITHOUT ROWID;
CREATE INDEX series_relation_by_related ON series_relation (related_id);

-- All candidates; `series.poster`, `character.image` and `pet.image` are what readers see.
CREATE TABLE image (
    owner_kind TEXT    NOT NULL CHECK (owner_kind IN ('series', 'character', 'pet')),
    owner_id   INTEGER NOT NULL,
    url        TEXT    NOT NULL CHECK (url <> ''),
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    position   INTEGER NOT NULL CHECK (position >= 0),
    PRIMARY KEY (owner_kind, owner_id, url)
) WITHOUT ROWID;
CREATE UNIQUE INDEX image_primary ON image (owner_kind, owner_id) WHERE is_primary = 1;

-- What one end has said about another that is not there yet. It is carried out and removed when the other arrives.
CREATE TABLE pending_relation (
    source_name TEXT    NOT NULL,
    -- `release` (waits in staging), `cast` (series → character), `appearance` (character → series),
    -- `series` (series → series), `owner` (pet → character).
    kind        TEXT    NOT NULL CHECK (kind IN ('release', 'cast', 'appearance', 'series', 'owner')),
    from_id     TEXT    NOT NULL,
    to_kind     TEXT    NOT NULL CHECK (to_kind IN ('series', 'character')),
    to_id       TEXT    NOT NULL,
    -- A role, or what the series is to the other one.
    detail      TEXT    NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (source_name, to_kind, to_id, kind, from_id, detail)
) WITHOUT ROWID;
CREATE INDEX pending_relation_by_origin ON pending_relation (source_name, kind, from_id);
