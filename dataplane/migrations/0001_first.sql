-- The whole state of the data plane. One schema for every database: times are microseconds since 1970 in UTC, in
-- BIGINT; identifiers and JSON are TEXT; the tenant leads every key, so that tables can be distributed by it.
-- What stands in /*sqlite: … */ or /*postgres: … */ is for that one alone.

-- The log: webhooks as they came, only ever added, behind one another. They need no key: who brings nothing new is not
-- added. Their days leave as partitions, where the database has such.
CREATE TABLE webhooks (
    tenant      TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    id          TEXT   NOT NULL,
    sender      TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    headers     TEXT   NOT NULL,
    body        BYTEA  NOT NULL
) /*postgres: PARTITION BY RANGE (received_at) */;
CREATE INDEX webhooks_by_time ON webhooks (tenant, received_at);
/*postgres: CREATE TABLE webhooks_at_other_times PARTITION OF webhooks DEFAULT; */

-- The events in the log. That each has one row makes it take effect once; available_at says from when on somebody
-- should apply it, and is null once it has taken effect. Small rows, so that looking one up stays cheap.
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
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX webhook_events_waiting ON webhook_events (available_at) WHERE available_at IS NOT NULL;
CREATE INDEX webhook_events_retention ON webhook_events (tenant, sender, received_at) WHERE available_at IS NULL;

-- Statuses of messages that are not known yet, until they are.
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

-- Every consent that was ever recorded: what is shown when somebody asks how it was given.
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
) /*postgres: WITH (fillfactor = 80) */;
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
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE idempotency_keys (
    tenant          TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    body_sha256     BYTEA  NOT NULL,
    message         TEXT   NOT NULL,
    PRIMARY KEY (tenant, idempotency_key)
) /*sqlite: WITHOUT ROWID */;

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
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX attempts_by_message ON attempts (tenant, message);
CREATE UNIQUE INDEX attempts_by_provider_message ON attempts (tenant, provider_message_id);

-- Messages that wait to be handed over. A claim moves available_at to the end of its lease, so that what its holder
-- leaves behind comes back by itself.
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
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX queue_available ON queue (tenant, sender, priority, available_at, message);
CREATE INDEX queue_expiring ON queue (expires_at) WHERE expires_at IS NOT NULL;

-- Which lanes the queue may hold work of, so that finding them never scans the queue.
CREATE TABLE lanes (
    tenant   TEXT   NOT NULL,
    sender   TEXT   NOT NULL,
    priority BIGINT NOT NULL,
    PRIMARY KEY (tenant, sender, priority)
) /*sqlite: WITHOUT ROWID */;

-- How full the buckets of rates are, shared by every replica.
CREATE TABLE rate_buckets (
    tenant   TEXT   NOT NULL,
    bucket   TEXT   NOT NULL,
    empty_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, bucket)
) /*sqlite: WITHOUT ROWID */;

-- What must not go on for now: a tenant, a sender, a template or a sink, until a time or until somebody lifts it.
CREATE TABLE holds (
    tenant     TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    until      BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, scope, kind)
) /*sqlite: WITHOUT ROWID */;

-- Messages that were handed over, or may have been, and have not ended. Claimed as the queue is.
CREATE TABLE unsettled (
    tenant       TEXT   NOT NULL,
    message      TEXT   NOT NULL,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    asked        BIGINT NOT NULL,
    PRIMARY KEY (tenant, message)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX unsettled_available ON unsettled (available_at);

-- How far the log of each provider's account has been read. Claimed as the queue is.
CREATE TABLE sweeps (
    tenant       TEXT   NOT NULL,
    account      TEXT   NOT NULL,
    swept_until  BIGINT,
    available_at BIGINT NOT NULL,
    fence        BIGINT NOT NULL,
    owner        TEXT,
    PRIMARY KEY (tenant, account)
) /*sqlite: WITHOUT ROWID */;

-- Events to publish, one row for each sink. Of one subject only the first is ever available; the next becomes so when
-- that one is out of the way. Claimed as the queue is.
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
) /*sqlite: WITHOUT ROWID */;
