-- Parts of signed webhooks that no configured sender is the addressee of. They belong to no tenant.
CREATE TABLE unaddressed_webhooks (
    id          TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    endpoint    TEXT COLLATE "C" NOT NULL,
    route       TEXT COLLATE "C" NOT NULL,
    url         TEXT COLLATE "C" NOT NULL,
    headers     TEXT COLLATE "C" NOT NULL,
    body        BYTEA  NOT NULL
);
CREATE INDEX unaddressed_webhooks_by_time ON unaddressed_webhooks (received_at);
ALTER TABLE unaddressed_webhooks ADD PRIMARY KEY (id);
