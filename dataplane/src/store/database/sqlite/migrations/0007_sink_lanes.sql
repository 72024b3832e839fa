-- The sinks that events have ever waited for, by their names. The lanes of sinks that are known by their addresses stay in
-- outbox_lanes: replicas of the version before know no names, and would give up what waits under one.
CREATE TABLE sink_lanes (
    tenant TEXT NOT NULL,
    sender TEXT NOT NULL,
    sink   TEXT NOT NULL,
    PRIMARY KEY (tenant, sender, sink)
) WITHOUT ROWID;
