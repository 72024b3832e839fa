-- Parts of signed webhooks that no configured sender is the addressee of. They belong to no tenant.
CREATE TABLE unaddressed_webhooks (
    id          TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    endpoint    TEXT   NOT NULL,
    route       TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    headers     TEXT   NOT NULL,
    body        BLOB   NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX unaddressed_webhooks_by_time ON unaddressed_webhooks (received_at);
