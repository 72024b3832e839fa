-- The whole state of the data plane. Times are microseconds since 1970 in UTC, in BIGINT. Identifiers and JSON are TEXT.
-- The tenant leads every key, so that tables can be distributed by it.

-- The log: webhooks byte for byte, only ever added. They need no key: a webhook that brings nothing new is not added.
CREATE TABLE webhooks (
    tenant      TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    id          TEXT   NOT NULL,
    sender      TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    headers     TEXT   NOT NULL,
    body        BYTEA  NOT NULL
);
CREATE INDEX webhooks_by_time ON webhooks (tenant, received_at);

-- The events in the log. Each has one row, which makes it take effect once. available_at is when any replica may apply it,
-- and null once it has taken effect. Rows are small, so that looking one up stays cheap.
CREATE TABLE webhook_events (
    tenant       TEXT   NOT NULL,
    sender       TEXT   NOT NULL,
    dedupe_key   TEXT   NOT NULL,
    received_at  BIGINT NOT NULL,
    webhook      TEXT   NOT NULL,
    position     BIGINT NOT NULL,
    available_at BIGINT,
    tries        BIGINT NOT NULL,
    PRIMARY KEY (tenant, sender, dedupe_key)
) WITHOUT ROWID;
CREATE INDEX webhook_events_waiting ON webhook_events (available_at) WHERE available_at IS NOT NULL;
CREATE INDEX webhook_events_retention ON webhook_events (tenant, sender, received_at) WHERE available_at IS NULL;

-- Statuses that wait for their message to become known.
CREATE TABLE parked_statuses (
    tenant              TEXT   NOT NULL,
    provider_message_id TEXT   NOT NULL,
    webhook             TEXT   NOT NULL,
    position            BIGINT NOT NULL,
    sender              TEXT   NOT NULL,
    received_at         BIGINT NOT NULL,
    status_update       TEXT   NOT NULL,
    suppression         TEXT,
    PRIMARY KEY (tenant, provider_message_id, webhook, position)
);
CREATE INDEX parked_statuses_retention ON parked_statuses (tenant, sender, received_at);

-- What customers sent, so that it can be answered by reference.
CREATE TABLE inbound_messages (
    tenant              TEXT   NOT NULL,
    id                  TEXT   NOT NULL,
    sender              TEXT   NOT NULL,
    contact             TEXT   NOT NULL,
    provider_message_id TEXT   NOT NULL,
    received_at         BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX inbound_messages_retention ON inbound_messages (tenant, sender, received_at);

CREATE TABLE contacts (
    tenant     TEXT   NOT NULL,
    sender     TEXT   NOT NULL,
    contact    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    state      TEXT   NOT NULL,
    PRIMARY KEY (tenant, sender, contact)
);

-- Every consent ever recorded: the evidence of how it was given.
CREATE TABLE consent_records (
    tenant      TEXT   NOT NULL,
    sender      TEXT   NOT NULL,
    contact     TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    record      TEXT   NOT NULL,
    PRIMARY KEY (tenant, sender, contact, version)
);

CREATE TABLE messages (
    tenant                TEXT   NOT NULL,
    id                    TEXT   NOT NULL,
    sender                TEXT   NOT NULL,
    messaging_service_sid TEXT,
    contact               TEXT   NOT NULL,
    content               TEXT,
    template              TEXT,
    purpose               TEXT   NOT NULL,
    priority              BIGINT NOT NULL,
    reply_to              TEXT,
    reply_to_provider_id  TEXT,
    metadata              TEXT   NOT NULL,
    on_unconfirmed        TEXT   NOT NULL,
    idempotency_key       TEXT,
    created_at            BIGINT NOT NULL,
    scheduled_at          BIGINT,
    expires_at            BIGINT,
    status                TEXT   NOT NULL,
    reason                TEXT,
    provider_message_id   TEXT,
    attempt               TEXT,
    attempts              BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    steps                 BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX messages_by_status ON messages (tenant, status, id);
CREATE INDEX messages_by_contact ON messages (tenant, contact, id);
CREATE INDEX messages_retention ON messages (tenant, sender, created_at);
CREATE INDEX messages_with_content ON messages (tenant, sender, created_at) WHERE content IS NOT NULL;

CREATE TABLE message_timeline (
    tenant   TEXT   NOT NULL,
    message  TEXT   NOT NULL,
    position BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    status   TEXT   NOT NULL,
    attempt  TEXT,
    reason   TEXT,
    PRIMARY KEY (tenant, message, position)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    tenant          TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    body_sha256     BYTEA  NOT NULL,
    message         TEXT   NOT NULL,
    PRIMARY KEY (tenant, idempotency_key)
) WITHOUT ROWID;

-- Written before the provider is called, so that a crash leaves a trace of every call that may have been made.
CREATE TABLE attempts (
    tenant              TEXT   NOT NULL,
    id                  TEXT   NOT NULL,
    message             TEXT   NOT NULL,
    started_at          BIGINT NOT NULL,
    finished_at         BIGINT,
    outcome             TEXT,
    provider_message_id TEXT,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX attempts_by_message ON attempts (tenant, message);
CREATE UNIQUE INDEX attempts_by_provider_message ON attempts (tenant, provider_message_id);

-- Messages that wait to be handed over. A claim moves available_at to the end of its lease, so that abandoned work comes
-- back by itself.
CREATE TABLE queue (
    tenant       TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    sender       TEXT   NOT NULL,
    priority     BIGINT NOT NULL,
    expires_at   BIGINT,
    due_at       BIGINT NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    PRIMARY KEY (tenant, message)
) WITHOUT ROWID;
CREATE INDEX queue_available ON queue (tenant, sender, priority, available_at, message);
CREATE INDEX queue_expiring ON queue (expires_at) WHERE expires_at IS NOT NULL;

-- The lanes that the queue may hold work of, so that finding them never scans the queue.
CREATE TABLE lanes (
    tenant   TEXT   NOT NULL,
    sender   TEXT   NOT NULL,
    priority BIGINT NOT NULL,
    PRIMARY KEY (tenant, sender, priority)
) WITHOUT ROWID;

-- The buckets of the rates that all replicas share.
CREATE TABLE rate_buckets (
    tenant   TEXT   NOT NULL,
    bucket   TEXT   NOT NULL,
    empty_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, bucket)
) WITHOUT ROWID;

-- What is stopped for now: a tenant, a sender, a template or a sink, until a time or until an operator lifts it.
CREATE TABLE holds (
    tenant     TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    until      BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, scope, kind)
) WITHOUT ROWID;

-- Messages that were handed over, or may have been, and have not ended. Claimed like the queue.
CREATE TABLE unsettled (
    tenant       TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    asked        BIGINT NOT NULL,
    PRIMARY KEY (tenant, message)
) WITHOUT ROWID;
CREATE INDEX unsettled_available ON unsettled (available_at);

-- How far the log of each provider account has been read. Claimed like the queue.
CREATE TABLE sweeps (
    tenant       TEXT   NOT NULL,
    account      TEXT   NOT NULL,
    swept_until  BIGINT,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    PRIMARY KEY (tenant, account)
) WITHOUT ROWID;

-- Events to publish, one row for each sink. Of one subject only the first is ever available; the next follows when that one
-- is delivered or given up. Claimed like the queue.
CREATE TABLE outbox (
    tenant       TEXT   NOT NULL,
    sender       TEXT   NOT NULL,
    sink         TEXT   NOT NULL,
    event        TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    body         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    position     BIGINT NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    tries        BIGINT NOT NULL,
    last_error   TEXT,
    dead_at      BIGINT,
    PRIMARY KEY (tenant, sender, sink, event)
);
CREATE INDEX outbox_available ON outbox (tenant, sender, sink, available_at, event) WHERE dead_at IS NULL;
CREATE INDEX outbox_order ON outbox (tenant, sender, sink, subject, position) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (tenant, sender, dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX outbox_dead_letters ON outbox (tenant, event, sink) WHERE dead_at IS NOT NULL;

CREATE TABLE outbox_lanes (
    tenant TEXT NOT NULL,
    sender TEXT NOT NULL,
    sink   TEXT NOT NULL,
    PRIMARY KEY (tenant, sender, sink)
) WITHOUT ROWID;
