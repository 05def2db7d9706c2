-- Each node's history by the hour, kept for ever, also when its rows are
-- pruned. A year of one node is read within milliseconds and takes little more
-- than a megabyte.

CREATE TABLE rollup (
    node    INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    hour    INTEGER NOT NULL, -- the first moment of a UTC hour
    count   INTEGER NOT NULL, -- measurements that were ever stored in it
    status  INTEGER NOT NULL, -- every bit that was set in one of them
    closed  INTEGER NOT NULL, -- 1: measurements of it were pruned
    spreads BLOB    NOT NULL, -- count, min, max and sum of each field: src/sqlite/spreads.rs
    PRIMARY KEY (node, hour)
) STRICT, WITHOUT ROWID;

-- 0: there may be measurements from before rollups were kept. They are rolled
-- up before the first of them is pruned, or by `isems rebuild-rollups`.
ALTER TABLE node ADD COLUMN rolled_up INTEGER NOT NULL DEFAULT 1;
UPDATE node SET rolled_up = 0;
