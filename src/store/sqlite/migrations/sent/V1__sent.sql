-- What a backend without read-back has acknowledged, for each target and title.

CREATE TABLE sent (
    target      TEXT    NOT NULL,
    series_id   INTEGER NOT NULL,
    -- The series payload as it was sent; NULL = never acknowledged.
    anime       TEXT,
    origin      TEXT    CHECK (origin IN ('shikimori_graphql', 'shikimori_rest', 'material_data')),
    -- Sorted 8-byte hashes of the acknowledged episode and video payloads.
    parts       BLOB    NOT NULL,
    -- JSON object: episode id -> title, for the acknowledged episodes that have one.
    titles      TEXT    NOT NULL,
    -- Of the record that was acknowledged whole; NULL = a part is missing.
    fingerprint TEXT,
    PRIMARY KEY (target, series_id)
) WITHOUT ROWID;
