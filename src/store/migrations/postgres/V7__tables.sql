-- Tables that were made of files: their names, what tells their rows apart, and their columns.

CREATE TABLE bulk_table (
    -- The name in small letters: no two tables differ in their letters' case alone.
    folded     text        PRIMARY KEY,
    name       text        NOT NULL,
    -- None = the hash of the whole line.
    key_field  text,
    -- [{"field", "name", "seen"}], in the order of the columns: JSON, kept as it was written.
    columns    text        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
