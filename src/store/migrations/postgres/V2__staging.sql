-- Staging: what arrived, one row for each record (shape '') or part of one (the contract's `card`, `episodes`, …).
-- A row that was taken keeps its hash and lineage, not its payload: the catalogue has that.

CREATE TABLE parsed_series (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_name   text COLLATE "C" NOT NULL CHECK (source_name <> ''),
    external_id   text COLLATE "C" NOT NULL CHECK (external_id <> ''),
    shape         text COLLATE "C" NOT NULL DEFAULT '',
    payload       text,
    content_hash  text NOT NULL,
    state         text NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     text CHECK (waits_for IS NULL OR state = 'init'),
    collision     text NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    text,
    error_message text,
    import_id     uuid,
    lease_owner   uuid,
    lease_until   timestamptz,
    observed_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_series_open ON parsed_series (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_series_ready ON parsed_series (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_release (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_name   text COLLATE "C" NOT NULL CHECK (source_name <> ''),
    external_id   text COLLATE "C" NOT NULL CHECK (external_id <> ''),
    shape         text COLLATE "C" NOT NULL DEFAULT '',
    payload       text,
    content_hash  text NOT NULL,
    state         text NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     text CHECK (waits_for IS NULL OR state = 'init'),
    collision     text NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    text,
    error_message text,
    import_id     uuid,
    lease_owner   uuid,
    lease_until   timestamptz,
    observed_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_release_open ON parsed_release (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_release_ready ON parsed_release (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_character (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_name   text COLLATE "C" NOT NULL CHECK (source_name <> ''),
    external_id   text COLLATE "C" NOT NULL CHECK (external_id <> ''),
    shape         text COLLATE "C" NOT NULL DEFAULT '',
    payload       text,
    content_hash  text NOT NULL,
    state         text NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     text CHECK (waits_for IS NULL OR state = 'init'),
    collision     text NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    text,
    error_message text,
    import_id     uuid,
    lease_owner   uuid,
    lease_until   timestamptz,
    observed_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (source_name, external_id, shape),
    -- What is still to be done, or to be looked at, is kept whole.
    CHECK (state = 'processed' OR payload IS NOT NULL),
    CHECK ((state = 'processing') = (lease_owner IS NOT NULL)),
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX parsed_character_open ON parsed_character (state, id) WHERE state <> 'processed';
CREATE INDEX parsed_character_ready ON parsed_character (id) WHERE state = 'init' AND waits_for IS NULL;

CREATE TABLE parsed_pet (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_name   text COLLATE "C" NOT NULL CHECK (source_name <> ''),
    external_id   text COLLATE "C" NOT NULL CHECK (external_id <> ''),
    shape         text COLLATE "C" NOT NULL DEFAULT '',
    payload       text,
    content_hash  text NOT NULL,
    state         text NOT NULL CHECK (state IN ('init', 'processing', 'processed', 'with_errors')),
    waits_for     text CHECK (waits_for IS NULL OR state = 'init'),
    collision     text NOT NULL DEFAULT 'upsert' CHECK (collision IN ('upsert', 'skip', 'fail', 'replace')),
    attempts      integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code    text,
    error_message text,
    import_id     uuid,
    lease_owner   uuid,
    lease_until   timestamptz,
    observed_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
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
    name        text PRIMARY KEY CHECK (name IN ('series', 'release', 'character', 'pet')),
    cron        text NOT NULL,
    zone        text NOT NULL,
    lease_owner uuid,
    lease_until timestamptz,
    started_by  text,
    started_at  timestamptz,
    finished_at timestamptz,
    next_run_at timestamptz,
    -- Of the last run, or of the one that is going on.
    written     bigint NOT NULL DEFAULT 0,
    unchanged   bigint NOT NULL DEFAULT 0,
    waiting     bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    last_error  text,
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);

-- Ids of characters are the source's, whatever they look like.
ALTER TABLE character ALTER COLUMN source_id TYPE text COLLATE "C" USING source_id::text;
ALTER TABLE character ADD CHECK (source_id <> '');
-- Its own record was imported: what a series says of it only fills gaps.
ALTER TABLE character ADD COLUMN described boolean NOT NULL DEFAULT FALSE;
ALTER TABLE character ADD COLUMN admin_modified boolean NOT NULL DEFAULT FALSE;

-- What the series says, what the character says; a link that nobody states is deleted. `role` is the more important.
ALTER TABLE series_character ADD COLUMN role_of_series text CHECK (role_of_series IN ('main', 'supporting'));
ALTER TABLE series_character ADD COLUMN role_of_character text CHECK (role_of_character IN ('main', 'supporting'));
UPDATE series_character SET role_of_series = role;
CREATE INDEX series_character_by_character ON series_character (character_id);

CREATE TABLE pet (
    id             bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         bigint  NOT NULL REFERENCES source (id),
    source_id      text COLLATE "C" NOT NULL CHECK (source_id <> ''),
    name           text COLLATE "C" NOT NULL CHECK (name <> ''),
    russian        text,
    species        text,
    description    text,
    image          text,
    admin_modified boolean NOT NULL DEFAULT FALSE,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    UNIQUE (source, source_id)
);

CREATE TABLE pet_owner (
    pet_id       bigint NOT NULL REFERENCES pet (id) ON DELETE CASCADE,
    character_id bigint NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    PRIMARY KEY (pet_id, character_id)
);
CREATE INDEX pet_owner_by_character ON pet_owner (character_id);

-- `parent`, `sequel`, …: what `series_id` says of `related_id`.
CREATE TABLE series_relation (
    series_id  bigint NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    kind       text COLLATE "C" NOT NULL CHECK (kind <> ''),
    related_id bigint NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    PRIMARY KEY (series_id, kind, related_id),
    CHECK (series_id <> related_id)
);
CREATE INDEX series_relation_by_related ON series_relation (related_id);

-- All candidates; `series.poster`, `character.image` and `pet.image` are what readers see.
CREATE TABLE image (
    owner_kind text    NOT NULL CHECK (owner_kind IN ('series', 'character', 'pet')),
    owner_id   bigint  NOT NULL,
    url        text COLLATE "C" NOT NULL CHECK (url <> ''),
    is_primary boolean NOT NULL,
    position   bigint  NOT NULL CHECK (position >= 0),
    PRIMARY KEY (owner_kind, owner_id, url)
);
CREATE UNIQUE INDEX image_primary ON image (owner_kind, owner_id) WHERE is_primary;

-- What one end has said about another that is not there yet. It is carried out and removed when the other arrives.
CREATE TABLE pending_relation (
    source_name text COLLATE "C" NOT NULL,
    -- `release` (waits in staging), `cast` (series → character), `appearance` (character → series),
    -- `series` (series → series), `owner` (pet → character).
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('release', 'cast', 'appearance', 'series', 'owner')),
    from_id     text COLLATE "C" NOT NULL,
    to_kind     text COLLATE "C" NOT NULL CHECK (to_kind IN ('series', 'character')),
    to_id       text COLLATE "C" NOT NULL,
    -- A role, or what the series is to the other one.
    detail      text COLLATE "C" NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (source_name, to_kind, to_id, kind, from_id, detail)
);
CREATE INDEX pending_relation_by_origin ON pending_relation (source_name, kind, from_id);
