-- Rows of nodes are changed by each later import. Room on their page lets a new version stay there: no index has to learn
-- where it is, and the next change takes the old one's place. Pages that are full already keep their rows until these
-- change (or until VACUUM FULL).

ALTER TABLE nodes SET (fillfactor = 60);
ALTER TABLE node_metadata SET (fillfactor = 60);
