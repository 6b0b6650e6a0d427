-- The canonical tables. Times are milliseconds since 1970 in UTC; lists are JSON arrays.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE source (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> '')
);

CREATE TABLE series (
    id                 INTEGER PRIMARY KEY,
    source             INTEGER NOT NULL REFERENCES source (id),
    source_id          TEXT    NOT NULL,
    slug               TEXT    NOT NULL UNIQUE CHECK (slug <> ''),
    title              TEXT    NOT NULL CHECK (title <> ''),
    alternative_titles TEXT    NOT NULL,
    description        TEXT,
    year               INTEGER CHECK (year BETWEEN 1900 AND 2100),
    status             TEXT    CHECK (status IN ('ongoing', 'completed', 'upcoming')),
    poster             TEXT,
    genres             TEXT    NOT NULL,
    kind               TEXT,
    score              REAL,
    rating             TEXT,
    duration_minutes   INTEGER,
    episodes_total     INTEGER,
    episodes_aired     INTEGER,
    next_episode_at    INTEGER,
    aired_on           TEXT,
    released_on        TEXT,
    studios            TEXT    NOT NULL,
    franchise          TEXT,
    season             TEXT,
    imdb_id            TEXT,
    kinopoisk_id       TEXT,
    -- Where the metadata came from; Kodik's own never replaces Shikimori's.
    origin             TEXT    NOT NULL CHECK (origin IN ('shikimori_graphql', 'shikimori_rest', 'material_data')),
    -- Of the record that was imported last; the same again means nothing to do.
    fingerprint        TEXT    NOT NULL,
    is_active          INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    -- A person edited the row: imports leave its fields alone.
    admin_modified     INTEGER NOT NULL DEFAULT 0 CHECK (admin_modified IN (0, 1)),
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    UNIQUE (source, source_id)
);

CREATE TABLE episode (
    id                INTEGER PRIMARY KEY,
    series_id         INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    source            INTEGER NOT NULL REFERENCES source (id),
    source_episode_id TEXT    NOT NULL,
    season            INTEGER NOT NULL CHECK (season >= 0),
    key               TEXT    NOT NULL,
    number            INTEGER NOT NULL CHECK (number >= 0),
    title             TEXT,
    class             TEXT    NOT NULL CHECK (class IN ('regular', 'special', 'joined')),
    is_active         INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    -- Who switched it off by hand; imports leave it off.
    disabled_by       TEXT    CHECK (disabled_by IS NULL OR is_active = 0),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (source, source_episode_id)
);
CREATE INDEX episode_by_series ON episode (series_id, season, number);

CREATE TABLE release (
    id                INTEGER PRIMARY KEY,
    series_id         INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    translation_id    INTEGER NOT NULL,
    title             TEXT    NOT NULL,
    kind              TEXT    NOT NULL CHECK (kind IN ('voice', 'subtitles', 'unknown')),
    material_id       TEXT    NOT NULL,
    priority          INTEGER NOT NULL,
    quality           TEXT,
    camrip            INTEGER NOT NULL CHECK (camrip IN (0, 1)),
    episodes          INTEGER NOT NULL,
    blocked_countries TEXT    NOT NULL,
    blocked_seasons   TEXT    NOT NULL,
    source_updated_at INTEGER,
    is_active         INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    UNIQUE (series_id, translation_id)
);

CREATE TABLE video (
    id            INTEGER PRIMARY KEY,
    episode_id    INTEGER NOT NULL REFERENCES episode (id) ON DELETE CASCADE,
    release_id    INTEGER REFERENCES release (id) ON DELETE SET NULL,
    player_type   TEXT    NOT NULL,
    player_source TEXT    NOT NULL,
    url           TEXT    NOT NULL CHECK (url <> ''),
    priority      INTEGER NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    disabled_by   TEXT    CHECK (disabled_by IS NULL OR is_active = 0),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (episode_id, url, player_source)
);

CREATE TABLE character (
    id         INTEGER PRIMARY KEY,
    source     INTEGER NOT NULL REFERENCES source (id),
    source_id  INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    russian    TEXT,
    image      TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (source, source_id)
);

CREATE TABLE series_character (
    series_id    INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    character_id INTEGER NOT NULL REFERENCES character (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role IN ('main', 'supporting')),
    PRIMARY KEY (series_id, character_id)
) WITHOUT ROWID;
