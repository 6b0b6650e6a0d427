-- Where a later import changes all nodes of a page, half of it has to be free: then all of their next versions find room
-- there, and no index learns of them. (Metadata keeps what it had: seldom do all of a node's values change.)

ALTER TABLE nodes SET (fillfactor = 50);
