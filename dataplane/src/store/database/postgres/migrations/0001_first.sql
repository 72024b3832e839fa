-- The whole state of the data plane. Times are microseconds since 1970 in UTC, in BIGINT. Identifiers and JSON are TEXT.
-- The tenant leads every key, so that tables can be distributed by it.
-- Texts are compared by their bytes, as SQLite does it: identifiers have no language, and it is faster.

-- The log: webhooks byte for byte, only ever added. They need no key: a webhook that brings nothing new is not added.
-- Each day is a partition, and leaves as one.
CREATE TABLE webhooks (
    tenant      TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    sender      TEXT COLLATE "C" NOT NULL,
    url         TEXT COLLATE "C" NOT NULL,
    headers     TEXT COLLATE "C" NOT NULL,
    body        BYTEA  NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX webhooks_by_time ON webhooks (tenant, received_at);
CREATE TABLE webhooks_at_other_times PARTITION OF webhooks DEFAULT;

-- The events in the log. Each has one row, which makes it take effect once. available_at is when any replica may apply it,
-- and null once it has taken effect. Rows are small, so that looking one up stays cheap.
CREATE TABLE webhook_events (
    tenant       TEXT COLLATE "C" NOT NULL,
    sender       TEXT COLLATE "C" NOT NULL,
    dedupe_key   TEXT COLLATE "C" NOT NULL,
    received_at  BIGINT NOT NULL,
    webhook      TEXT COLLATE "C" NOT NULL,
    position     BIGINT NOT NULL,
    available_at BIGINT,
    tries        BIGINT NOT NULL
);
CREATE INDEX webhook_events_waiting ON webhook_events (available_at) WHERE available_at IS NOT NULL;
CREATE INDEX webhook_events_retention ON webhook_events (tenant, sender, received_at) WHERE available_at IS NULL;

-- Statuses that wait for their message to become known.
CREATE TABLE parked_statuses (
    tenant              TEXT COLLATE "C" NOT NULL,
    provider_message_id TEXT COLLATE "C" NOT NULL,
    webhook             TEXT COLLATE "C" NOT NULL,
    position            BIGINT NOT NULL,
    sender              TEXT COLLATE "C" NOT NULL,
    received_at         BIGINT NOT NULL,
    status_update       TEXT COLLATE "C" NOT NULL,
    suppression         TEXT COLLATE "C"
);
CREATE INDEX parked_statuses_retention ON parked_statuses (tenant, sender, received_at);

-- What customers sent, so that it can be answered by reference.
CREATE TABLE inbound_messages (
    tenant              TEXT COLLATE "C" NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    sender              TEXT COLLATE "C" NOT NULL,
    contact             TEXT COLLATE "C" NOT NULL,
    provider_message_id TEXT COLLATE "C" NOT NULL,
    received_at         BIGINT NOT NULL
);
CREATE INDEX inbound_messages_retention ON inbound_messages (tenant, sender, received_at);

CREATE TABLE contacts (
    tenant     TEXT COLLATE "C" NOT NULL,
    sender     TEXT COLLATE "C" NOT NULL,
    contact    TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL
);

-- Every consent ever recorded: the evidence of how it was given.
CREATE TABLE consent_records (
    tenant      TEXT COLLATE "C" NOT NULL,
    sender      TEXT COLLATE "C" NOT NULL,
    contact     TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    record      TEXT COLLATE "C" NOT NULL
);

CREATE TABLE messages (
    tenant                TEXT COLLATE "C" NOT NULL,
    id                    TEXT COLLATE "C" NOT NULL,
    sender                TEXT COLLATE "C" NOT NULL,
    messaging_service_sid TEXT COLLATE "C",
    contact               TEXT COLLATE "C" NOT NULL,
    content               TEXT COLLATE "C",
    template              TEXT COLLATE "C",
    purpose               TEXT COLLATE "C" NOT NULL,
    priority              BIGINT NOT NULL,
    reply_to              TEXT COLLATE "C",
    reply_to_provider_id  TEXT COLLATE "C",
    metadata              TEXT COLLATE "C" NOT NULL,
    on_unconfirmed        TEXT COLLATE "C" NOT NULL,
    idempotency_key       TEXT COLLATE "C",
    created_at            BIGINT NOT NULL,
    scheduled_at          BIGINT,
    expires_at            BIGINT,
    status                TEXT COLLATE "C" NOT NULL,
    reason                TEXT COLLATE "C",
    provider_message_id   TEXT COLLATE "C",
    attempt               TEXT COLLATE "C",
    attempts              BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    steps                 BIGINT NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX messages_by_status ON messages (tenant, status, id);
CREATE INDEX messages_by_contact ON messages (tenant, contact, id);
CREATE INDEX messages_retention ON messages (tenant, sender, created_at);
CREATE INDEX messages_with_content ON messages (tenant, sender, created_at) WHERE content IS NOT NULL;

CREATE TABLE message_timeline (
    tenant   TEXT COLLATE "C" NOT NULL,
    message  TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    status   TEXT COLLATE "C" NOT NULL,
    attempt  TEXT COLLATE "C",
    reason   TEXT COLLATE "C"
);

CREATE TABLE idempotency_keys (
    tenant          TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C" NOT NULL,
    body_sha256     BYTEA  NOT NULL,
    message         TEXT COLLATE "C" NOT NULL
);

-- Written before the provider is called, so that a crash leaves a trace of every call that may have been made.
CREATE TABLE attempts (
    tenant              TEXT COLLATE "C" NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    message             TEXT COLLATE "C" NOT NULL,
    started_at          BIGINT NOT NULL,
    finished_at         BIGINT,
    outcome             TEXT COLLATE "C",
    provider_message_id TEXT COLLATE "C"
);
CREATE INDEX attempts_by_message ON attempts (tenant, message);
CREATE UNIQUE INDEX attempts_by_provider_message ON attempts (tenant, provider_message_id);

-- Messages that wait to be handed over. A claim moves available_at to the end of its lease, so that abandoned work comes
-- back by itself.
CREATE TABLE queue (
    tenant       TEXT COLLATE "C" NOT NULL,
    message      TEXT COLLATE "C" NOT NULL,
    sender       TEXT COLLATE "C" NOT NULL,
    priority     BIGINT NOT NULL,
    expires_at   BIGINT,
    due_at       BIGINT NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT COLLATE "C"
);
CREATE INDEX queue_available ON queue (tenant, sender, priority, available_at, message);
CREATE INDEX queue_expiring ON queue (expires_at) WHERE expires_at IS NOT NULL;

-- The lanes that the queue may hold work of, so that finding them never scans the queue.
CREATE TABLE lanes (
    tenant   TEXT COLLATE "C" NOT NULL,
    sender   TEXT COLLATE "C" NOT NULL,
    priority BIGINT NOT NULL
);

-- The buckets of the rates that all replicas share.
CREATE TABLE rate_buckets (
    tenant   TEXT COLLATE "C" NOT NULL,
    bucket   TEXT COLLATE "C" NOT NULL,
    empty_at BIGINT NOT NULL
);

-- What is stopped for now: a tenant, a sender, a template or a sink, until a time or until an operator lifts it.
CREATE TABLE holds (
    tenant     TEXT COLLATE "C" NOT NULL,
    scope      TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    until      BIGINT NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

-- Messages that were handed over, or may have been, and have not ended. Claimed like the queue.
CREATE TABLE unsettled (
    tenant       TEXT COLLATE "C" NOT NULL,
    message      TEXT COLLATE "C" NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT COLLATE "C",
    asked        BIGINT NOT NULL
);
CREATE INDEX unsettled_available ON unsettled (available_at);

-- How far the log of each provider account has been read. Claimed like the queue.
CREATE TABLE sweeps (
    tenant       TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    swept_until  BIGINT,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT COLLATE "C"
);

-- Events to publish, one row for each sink. Of one subject only the first is ever available; the next follows when that one
-- is delivered or given up. Claimed like the queue.
CREATE TABLE outbox (
    tenant       TEXT COLLATE "C" NOT NULL,
    sender       TEXT COLLATE "C" NOT NULL,
    sink         TEXT COLLATE "C" NOT NULL,
    event        TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    body         TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    position     BIGINT NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT COLLATE "C",
    tries        BIGINT NOT NULL,
    last_error   TEXT COLLATE "C",
    dead_at      BIGINT
);
CREATE INDEX outbox_available ON outbox (tenant, sender, sink, available_at, event) WHERE dead_at IS NULL;
CREATE INDEX outbox_order ON outbox (tenant, sender, sink, subject, position) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead ON outbox (tenant, sender, dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX outbox_dead_letters ON outbox (tenant, event, sink) WHERE dead_at IS NOT NULL;

CREATE TABLE outbox_lanes (
    tenant TEXT COLLATE "C" NOT NULL,
    sender TEXT COLLATE "C" NOT NULL,
    sink   TEXT COLLATE "C" NOT NULL
);

-- Primary keys come after all other indexes. Of indexes that look equally good the planner takes the newest, and in a table
-- that was never analysed every index that begins with the tenant looks equally good: a row would be searched for among
-- everything that the tenant has.
ALTER TABLE webhook_events ADD PRIMARY KEY (tenant, sender, dedupe_key);
ALTER TABLE parked_statuses ADD PRIMARY KEY (tenant, provider_message_id, webhook, position);
ALTER TABLE inbound_messages ADD PRIMARY KEY (tenant, id);
ALTER TABLE contacts ADD PRIMARY KEY (tenant, sender, contact);
ALTER TABLE consent_records ADD PRIMARY KEY (tenant, sender, contact, version);
ALTER TABLE messages ADD PRIMARY KEY (tenant, id);
ALTER TABLE message_timeline ADD PRIMARY KEY (tenant, message, position);
ALTER TABLE idempotency_keys ADD PRIMARY KEY (tenant, idempotency_key);
ALTER TABLE attempts ADD PRIMARY KEY (tenant, id);
ALTER TABLE queue ADD PRIMARY KEY (tenant, message);
ALTER TABLE lanes ADD PRIMARY KEY (tenant, sender, priority);
ALTER TABLE rate_buckets ADD PRIMARY KEY (tenant, bucket);
ALTER TABLE holds ADD PRIMARY KEY (tenant, scope, kind);
ALTER TABLE unsettled ADD PRIMARY KEY (tenant, message);
ALTER TABLE sweeps ADD PRIMARY KEY (tenant, account);
ALTER TABLE outbox ADD PRIMARY KEY (tenant, sender, sink, event);
ALTER TABLE outbox_lanes ADD PRIMARY KEY (tenant, sender, sink);
