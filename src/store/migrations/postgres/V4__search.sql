-- The names of a series as they are searched: in lower case, without punctuation, one name a line. Kept by every import
-- that changes a name. NULL = not made yet, because the row is older than the column.
ALTER TABLE series ADD COLUMN search_text text COLLATE "C";
CREATE INDEX series_without_search_text ON series (id) WHERE search_text IS NULL;
