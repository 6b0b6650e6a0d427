-- Files that messages asked for: how often they are tried, and which of their rows that are in are told.

-- Attempts without progress, and the bound of the first wait between two in milliseconds. None = as the settings say.
ALTER TABLE import_batch ADD COLUMN tries INTEGER CHECK (tries > 0);
ALTER TABLE import_batch ADD COLUMN first_wait INTEGER CHECK (first_wait >= 0);
-- How many reference ids of rows that are in are kept. None = none.
ALTER TABLE import_batch ADD COLUMN tells INTEGER CHECK (tells >= 0);
-- Those of them that are in this piece: JSON, in the order of the file.
ALTER TABLE bulk_piece ADD COLUMN told TEXT;
