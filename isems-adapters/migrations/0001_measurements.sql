-- One row a minute from hundreds of nodes for years, on an SD card: rows are
-- as they were sent (exact round trip), narrow, appended in the order of
-- arrival, with one index that is the identity, the history and "latest".

-- 'ISEM': by this number a file is known as ours before it is touched.
PRAGMA application_id = 1230193997;

-- One row. Versions of nodes come from one counter for the whole database, so
-- that a node that is forgotten and comes back never meets an old version.
CREATE TABLE store_state (
    only           INTEGER PRIMARY KEY CHECK (only = 1),
    version        INTEGER NOT NULL,
    newest_arrival INTEGER
) STRICT;

INSERT INTO store_state (only, version, newest_arrival) VALUES (1, 0, NULL);

CREATE TABLE node (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    version      INTEGER NOT NULL,
    pruned_until INTEGER
) STRICT;

-- AUTOINCREMENT: clients see the id, and it must never name another row after
-- the newest ones were forgotten.
CREATE TABLE measurement (
    id                     INTEGER PRIMARY KEY AUTOINCREMENT,
    node                   INTEGER NOT NULL REFERENCES node (id),
    observed               INTEGER NOT NULL,
    reported               INTEGER NOT NULL, -- a time, or the fingerprint of telemetry
    kind                   INTEGER NOT NULL, -- what `reported` is: 0 time, 1 fingerprint
    basis                  INTEGER NOT NULL, -- 0 node, 1 corrected, 2 estimated
    received               INTEGER,
    revision               TEXT    NOT NULL,
    firmware               TEXT    NOT NULL,
    time_to_shutdown       REAL,
    power_save             INTEGER NOT NULL,
    open_circuit_voltage   REAL,
    mpp_voltage            REAL,
    battery_voltage        REAL,
    state_of_charge        REAL,
    battery_health         REAL,
    battery_temperature    REAL,
    low_voltage_disconnect REAL,
    charge_end_voltage     REAL,
    battery_capacity       REAL,
    module_power           REAL,
    latitude               REAL,
    longitude              REAL,
    status                 INTEGER,
    UNIQUE (node, observed, reported)
) STRICT;

-- The newest telemetry of a node, to recognise what comes again. Costs nothing
-- for log lines.
CREATE INDEX measurement_telemetry
    ON measurement (node, observed, reported) WHERE kind = 1;

CREATE TABLE clock_run (
    node           INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL, -- 0 is the oldest
    shift          INTEGER NOT NULL, -- observed = reported + shift
    basis          INTEGER NOT NULL,
    first_reported INTEGER NOT NULL,
    last_reported  INTEGER NOT NULL,
    PRIMARY KEY (node, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE source (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    kind          TEXT    NOT NULL,
    last_success  INTEGER,
    last_error_at INTEGER,
    last_error    TEXT,
    stored        INTEGER NOT NULL,
    duplicate     INTEGER NOT NULL,
    conflict      INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    retimed       INTEGER NOT NULL,
    clock_offset  INTEGER,
    day           INTEGER NOT NULL, -- first moment of the UTC day of the last contact
    bytes_on_day  INTEGER NOT NULL,
    read_position TEXT
) STRICT;

CREATE TABLE rejection (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    reason TEXT    NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (source, reason)
) STRICT, WITHOUT ROWID;
