-- What comes again is recognised among the last telemetry that was stored. That
-- order is not the order of observed times: many messages can arrive within one
-- second, and our own clock can be set back. (The row's id is part of an index.)
DROP INDEX measurement_telemetry;
CREATE INDEX measurement_telemetry ON measurement (node) WHERE kind = 1;
