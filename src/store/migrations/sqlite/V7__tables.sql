-- Tables that were made of files: their names, what tells their rows apart, and their columns. Times are milliseconds
-- since 1970 in UTC.

CREATE TABLE bulk_table (
    -- The name in small letters: no two tables differ in their letters' case alone.
    folded     TEXT    PRIMARY KEY NOT NULL,
    name       TEXT    NOT NULL,
    -- None = the hash of the whole line.
    key_field  TEXT,
    -- [{"field", "name", "seen"}], in the order of the columns: JSON.
    columns    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
