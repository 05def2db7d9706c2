-- What each node brought through each source. The counts of a source itself
-- stay in its row: some of what it brings belongs to no node.

CREATE TABLE node_account (
    source    INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    node      INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    stored    INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    conflict  INTEGER NOT NULL,
    expired   INTEGER NOT NULL,
    retimed   INTEGER NOT NULL,
    PRIMARY KEY (source, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_rejection (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    node   INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    reason TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (source, node, reason)
) STRICT, WITHOUT ROWID;

-- For removing a node.
CREATE INDEX node_account_of_node ON node_account (node);
CREATE INDEX node_rejection_of_node ON node_rejection (node);
