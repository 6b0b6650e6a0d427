-- What the sources answered, byte for byte, and how far the listings stand.

CREATE TABLE listing (
    generation INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    page       INTEGER NOT NULL DEFAULT 0,
    cursor     TEXT,
    finished   INTEGER NOT NULL DEFAULT 0 CHECK (finished IN (0, 1)),
    total      INTEGER,
    started_at INTEGER NOT NULL
);

-- (generation, page, position) is the source's order.
CREATE TABLE material (
    row        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    page       INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    series_id  INTEGER,
    updated_at TEXT,
    raw        BLOB    NOT NULL
);
CREATE INDEX material_by_series ON material (series_id);
CREATE INDEX material_by_generation ON material (generation);

-- List items that could not be read; kept for the run that listed them.
CREATE TABLE rejected (
    run_id     TEXT    NOT NULL,
    page       INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    id         TEXT,
    series_id  INTEGER,
    reason     TEXT    NOT NULL,
    raw        BLOB    NOT NULL,
    PRIMARY KEY (run_id, page, position)
);

CREATE TABLE metadata (
    series_id  INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    origin     TEXT    NOT NULL CHECK (origin IN ('graphql', 'rest', 'absent')),
    reason     TEXT,
    raw        BLOB    NOT NULL,
    fetched_at INTEGER NOT NULL
);

CREATE TABLE roles (
    series_id  INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    raw        BLOB    NOT NULL,
    fetched_at INTEGER NOT NULL
);

CREATE TABLE reference (
    name       TEXT PRIMARY KEY,
    raw        BLOB    NOT NULL,
    fetched_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Titles that a run which does not list the whole catalogue has to visit.
CREATE TABLE pending (
    run_id    TEXT    NOT NULL,
    series_id INTEGER NOT NULL,
    PRIMARY KEY (run_id, series_id)
) WITHOUT ROWID;

CREATE TABLE collection (
    run_id   TEXT PRIMARY KEY,
    page     INTEGER NOT NULL,
    cursor   TEXT,
    finished INTEGER NOT NULL CHECK (finished IN (0, 1)),
    mark     TEXT
) WITHOUT ROWID;
