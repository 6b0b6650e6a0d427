-- Nothing: an embedded table changes its rows where they are.
SELECT 1;
