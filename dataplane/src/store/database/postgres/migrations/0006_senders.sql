-- The senders that configs have had, with their retention as it was last known, and since when no config has had them. What
-- is here before it has been seen in a config has no retention yet.
CREATE TABLE senders (
    tenant           TEXT COLLATE "C" NOT NULL,
    sender           TEXT COLLATE "C" NOT NULL,
    bodies_seconds   BIGINT,
    metadata_seconds BIGINT,
    absent_since     BIGINT,
    absent_until     BIGINT,
    PRIMARY KEY (tenant, sender)
);
INSERT INTO senders (tenant, sender) SELECT tenant, sender FROM messages UNION SELECT tenant, sender FROM contacts;
