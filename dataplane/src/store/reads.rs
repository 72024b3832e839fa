//! What is read without waiting for writes, as it is committed.

use std::collections::HashSet;

use jiff::Timestamp;
use messaging::address::Address;
use messaging::id::{EventId, MessageId, SenderName, TenantId};

use super::StoreError;
use super::codec::{
    MESSAGE_COLUMNS, SELECT_MESSAGE, count, from_json, maybe_parse, maybe_time, message as read_message, micros, parse,
    priority, select_message, small, time,
};
use super::contact::Contact;
use super::database::Readers;
use super::database::value::{Row, Value, values};
use super::engine::records::{self, Record};
use super::hold::Hold;
use super::message::{
    Acceptance, Idempotency, Message, MessageFilter, MessageRecord, Page, SinkId, StatusCount, TimelineEntry,
};
use super::outbox::{DeadEvent, DeadEventFilter, OutboxCounts, OutboxLane};
use super::queue::{ExpiredRef, Lane, LaneRef, QueueCounts};
use super::sweep::SweepCursor;
use super::webhook::{ReplayFilter, StoredWebhook};

pub(super) async fn message(
    readers: &dyn Readers,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<MessageRecord>, StoreError> {
    // One statement, so that the message and its timeline are of the same moment.
    const SELECT: &str = select_message!(
        "SELECT ",
        ", t.at, t.status, t.attempt, t.reason
         FROM messages m JOIN message_timeline t ON t.tenant = m.tenant AND t.message = m.id
         WHERE m.tenant = $1 AND m.id = $2 ORDER BY t.position"
    );
    let rows = readers.query(SELECT, values![tenant.as_str(), id.to_string()]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let step = |row: &Row| {
        let step = row.from(MESSAGE_COLUMNS);
        Ok(TimelineEntry {
            at: time(step.int(0)?)?,
            status: parse("a status", step.text(1)?)?,
            attempt: maybe_parse("an attempt id", step.maybe_text(2)?)?,
            reason: step.maybe_text(3)?.map(|r| from_json("a reason", r)).transpose()?,
        })
    };
    let timeline = rows.iter().map(step).collect::<Result<_, StoreError>>()?;
    Ok(Some(MessageRecord { message: read_message(first)?.message, timeline }))
}

/// Conditions of a statement, each with its parameter.
struct Conditions {
    sql: String,
    parameters: Vec<Value>,
}

impl Conditions {
    fn new(select: &str, column: &str, value: impl Into<Value>) -> Self {
        Self { sql: format!("{select} WHERE {column} = $1"), parameters: vec![value.into()] }
    }

    fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.parameters.push(value.into());
            self.sql.push_str(&format!(" AND {condition} ${}", self.parameters.len()));
        }
    }

    /// Behind a row, in the order of two columns.
    fn behind(&mut self, columns: &str, row: Vec<Value>) {
        let n = self.parameters.len();
        self.sql.push_str(&format!(" AND ({columns}) > (${}, ${})", n + 1, n + 2));
        self.parameters.extend(row);
    }

    /// One more than asked for, which tells whether there is another page.
    fn ordered(&mut self, order: &str, limit: u32) {
        self.parameters.push((i64::from(limit) + 1).into());
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT ${}", self.parameters.len()));
    }
}

pub(super) async fn messages(
    readers: &dyn Readers,
    tenant: &TenantId,
    filter: &MessageFilter,
) -> Result<Page<Message>, StoreError> {
    let MessageFilter { status, to, sender, template, since, until, after, limit } = filter;
    let select = format!("SELECT {SELECT_MESSAGE} FROM messages m");
    let mut query = Conditions::new(&select, "m.tenant", tenant.as_str());
    query.and("m.status =", status.map(|status| status.as_str()));
    query.and("m.contact =", to.as_ref().map(Address::as_str));
    query.and("m.sender =", sender.as_ref().map(SenderName::as_str));
    query.and("m.template =", template.as_deref());
    query.and("m.created_at >=", since.map(micros));
    query.and("m.created_at <", until.map(micros));
    // Identifiers sort by the time of their making.
    query.and("m.id <", after.map(|after| after.to_string()));
    query.ordered("m.id DESC", *limit);
    let rows = readers.query(&query.sql, query.parameters).await?;
    let wanted = usize::try_from(*limit).unwrap_or(usize::MAX);
    let items: Vec<Message> =
        rows.iter().take(wanted).map(|row| Ok(read_message(row)?.message)).collect::<Result<_, StoreError>>()?;
    let next = if rows.len() > wanted { items.last().map(|m| m.id) } else { None };
    Ok(Page { items, next })
}

/// The answer to an idempotency key that was used before.
pub(super) async fn replayed(
    readers: &dyn Readers,
    tenant: &TenantId,
    idempotency: &Idempotency,
) -> Result<Option<Acceptance>, StoreError> {
    const SELECT: &str = select_message!(
        "SELECT ",
        ", k.body_sha256 FROM idempotency_keys k JOIN messages m ON m.tenant = k.tenant AND m.id = k.message
         WHERE k.tenant = $1 AND k.idempotency_key = $2"
    );
    let rows = readers.query(SELECT, values![tenant.as_str(), idempotency.key.as_str()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.blob(MESSAGE_COLUMNS)? != idempotency.body_sha256[..] {
        return Ok(Some(Acceptance::KeyReused));
    }
    Ok(Some(Acceptance::Replayed(Box::new(read_message(row)?.message))))
}

pub(super) async fn provider_message_id(
    readers: &dyn Readers,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT provider_message_id FROM inbound_messages WHERE tenant = $1 AND id = $2
         UNION ALL
         SELECT provider_message_id FROM messages
         WHERE tenant = $1 AND id = $2 AND provider_message_id IS NOT NULL
         LIMIT 1";
    let rows = readers.query(sql, values![tenant.as_str(), id.to_string()]).await?;
    rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
}

pub(super) async fn known_provider_message_ids(
    readers: &dyn Readers,
    tenant: &TenantId,
    ids: &[String],
) -> Result<Vec<String>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<_> = (2..).take(ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT provider_message_id FROM attempts WHERE tenant = $1 AND provider_message_id IN ({})",
        places.join(", ")
    );
    let mut list = values![tenant.as_str()];
    list.extend(ids.iter().map(|id| Value::from(id.as_str())));
    let rows = readers.query(&sql, list).await?;
    rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
}

pub(super) async fn count_by_status(readers: &dyn Readers, tenant: &TenantId) -> Result<Vec<StatusCount>, StoreError> {
    let sql = "SELECT status, COUNT(*) FROM messages WHERE tenant = $1 GROUP BY status ORDER BY status";
    let rows = readers.query(sql, values![tenant.as_str()]).await?;
    rows.iter()
        .map(|row| Ok(StatusCount { status: parse("a status", row.text(0)?)?, count: count(row.int(1)?) }))
        .collect()
}

pub(super) async fn contact(
    readers: &dyn Readers,
    tenant: &TenantId,
    sender: &SenderName,
    contact: &Address,
) -> Result<Contact, StoreError> {
    let sql = "SELECT tenant, sender, contact, version, updated_at, state FROM contacts
         WHERE tenant = $1 AND sender = $2 AND contact = $3";
    let rows = readers.query(sql, values![tenant.as_str(), sender.as_str(), contact.as_str()]).await?;
    Ok(rows.first().map(Contact::read).transpose()?.map(|(_, contact)| contact).unwrap_or_default())
}

pub(super) async fn lanes(readers: &dyn Readers) -> Result<Vec<Lane>, StoreError> {
    let sql = "SELECT tenant, sender, priority, next_at FROM (
           SELECT l.tenant, l.sender, l.priority,
             (SELECT MIN(q.available_at) FROM queue q
              WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
           FROM lanes l) AS waiting
         WHERE next_at IS NOT NULL ORDER BY tenant, sender, priority";
    let lane = |row: &Row| {
        let lane = LaneRef {
            tenant: parse("a tenant", row.text(0)?)?,
            sender: parse("a sender", row.text(1)?)?,
            priority: priority(row.int(2)?)?,
        };
        Ok(Lane { lane, next_at: time(row.int(3)?)? })
    };
    readers.query(sql, Vec::new()).await?.iter().map(lane).collect()
}

pub(super) async fn expired(readers: &dyn Readers, now: Timestamp, limit: u32) -> Result<Vec<ExpiredRef>, StoreError> {
    // One that is being handed over keeps its place until its call has ended, and is not to stand before the others.
    let sql = "SELECT q.tenant, q.message, q.sender FROM queue q
         JOIN messages m ON m.tenant = q.tenant AND m.id = q.message AND m.status = 'queued'
         WHERE q.expires_at IS NOT NULL AND q.expires_at <= $1 ORDER BY q.expires_at LIMIT $2";
    let read = |row: &Row| {
        Ok(ExpiredRef {
            tenant: parse("a tenant", row.text(0)?)?,
            id: parse("a message id", row.text(1)?)?,
            sender: parse("a sender", row.text(2)?)?,
        })
    };
    readers.query(sql, values![micros(now), limit]).await?.iter().map(read).collect()
}

/// Nothing is counted any further, so that looking costs the same however much there is.
const COUNTED: u32 = 100_000;

/// What stands in the queue. Lane by lane, so that counting what is due never passes over what is not, and the other
/// way round.
pub(super) async fn queue_counts(readers: &dyn Readers, now: Timestamp) -> Result<QueueCounts, StoreError> {
    let sql = "WITH RECURSIVE tenants(tenant) AS (
           SELECT MIN(tenant) FROM messages
           UNION ALL
           SELECT (SELECT MIN(m.tenant) FROM messages m WHERE m.tenant > t.tenant) FROM tenants t
           WHERE t.tenant IS NOT NULL)
         SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM lanes l CROSS JOIN queue q
                 WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority
                   AND q.available_at <= $1 LIMIT $2) AS due),
                (SELECT COUNT(*) FROM (SELECT 1 FROM lanes l CROSS JOIN queue q
                 WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority
                   AND q.available_at > $1 LIMIT $2) AS deferred),
                (SELECT COUNT(*) FROM (SELECT 1 FROM tenants t CROSS JOIN messages m
                 WHERE m.tenant = t.tenant AND m.status = 'unconfirmed' LIMIT $2) AS unconfirmed),
                (SELECT MIN(next_at) FROM (SELECT (SELECT MIN(q.available_at) FROM queue q
                   WHERE q.tenant = l.tenant AND q.sender = l.sender AND q.priority = l.priority) AS next_at
                   FROM lanes l) AS heads WHERE next_at <= $1),
                (SELECT COUNT(*) FROM (SELECT 1 FROM webhook_events WHERE available_at <= $1 LIMIT $2) AS unapplied)";
    let rows = readers.query(sql, values![micros(now), COUNTED]).await?;
    let Some(row) = rows.first() else { return Ok(QueueCounts::default()) };
    Ok(QueueCounts {
        due: count(row.int(0)?),
        deferred: count(row.int(1)?),
        unconfirmed: count(row.int(2)?),
        oldest_due_at: maybe_time(row.maybe_int(3)?)?,
        unapplied: count(row.int(4)?),
    })
}

pub(super) async fn holds(readers: &dyn Readers, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
    let sql = "SELECT tenant, scope, kind, until, reason, created_at FROM holds WHERE until > $1";
    let read = |row: &Row| {
        let ((tenant, scope, kind), hold) = records::Hold::read(row)?;
        let (scope, kind) = (parse("a scope", &scope)?, parse("a kind of hold", &kind)?);
        let records::Hold { until, reason, created_at } = hold;
        Ok(Hold { tenant, scope, kind, until, reason, created_at })
    };
    readers.query(sql, values![micros(now)]).await?.iter().map(read).collect()
}

/// How far every account's log has been read.
pub(super) async fn sweeps(readers: &dyn Readers) -> Result<Vec<SweepCursor>, StoreError> {
    let sql = "SELECT tenant, account, swept_until, available_at, fence, owner FROM sweeps ORDER BY tenant, account";
    let read = |row: &Row| {
        let ((tenant, account), sweep) = records::Sweep::read(row)?;
        Ok(SweepCursor { tenant, account, swept_until: sweep.swept_until, due_at: sweep.available_at })
    };
    readers.query(sql, Vec::new()).await?.iter().map(read).collect()
}

/// Whether an account may be claimed to be swept.
pub(super) async fn sweep_is_due(
    readers: &dyn Readers,
    tenant: &TenantId,
    account: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT available_at FROM sweeps WHERE tenant = $1 AND account = $2";
    let rows = readers.query(sql, values![tenant.as_str(), account]).await?;
    rows.first().map_or(Ok(true), |row| Ok(row.int(0)? <= micros(now)))
}

/// Tenants of which something is due in a table that has a time for it.
pub(super) async fn tenants_due(
    readers: &dyn Readers,
    table: Due,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let sql = match table {
        Due::Events => {
            "SELECT DISTINCT tenant FROM (
               SELECT tenant FROM webhook_events WHERE available_at <= $1 ORDER BY available_at LIMIT $2) AS due"
        }
        Due::Unsettled => {
            "SELECT DISTINCT tenant FROM (
               SELECT tenant FROM unsettled WHERE available_at <= $1 ORDER BY available_at LIMIT $2) AS due"
        }
    };
    let rows = readers.query(sql, values![micros(now), limit]).await?;
    rows.iter().map(|row| parse("a tenant", row.text(0)?)).collect()
}

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Events,
    Unsettled,
}

pub(super) async fn outbox_lanes(readers: &dyn Readers) -> Result<Vec<OutboxLane>, StoreError> {
    let sql = "SELECT tenant, sender, sink, next_at FROM (
           SELECT l.tenant, l.sender, l.sink,
             (SELECT MIN(o.available_at) FROM outbox o
              WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL) AS next_at
           FROM outbox_lanes l) AS waiting
         WHERE next_at IS NOT NULL";
    let lane = |row: &Row| {
        Ok(OutboxLane {
            tenant: parse("a tenant", row.text(0)?)?,
            sender: parse("a sender", row.text(1)?)?,
            sink: SinkId::new(row.text(2)?),
            next_at: time(row.int(3)?)?,
        })
    };
    readers.query(sql, Vec::new()).await?.iter().map(lane).collect()
}

/// What waits to be published. Where more waits than is counted, the oldest is that of those which are due first.
pub(super) async fn outbox_counts(readers: &dyn Readers) -> Result<OutboxCounts, StoreError> {
    let sql = "SELECT COUNT(*),
                (SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE dead_at IS NOT NULL LIMIT $1) AS dead),
                MIN(created_at)
         FROM (SELECT o.created_at FROM outbox_lanes l CROSS JOIN outbox o
               WHERE o.tenant = l.tenant AND o.sender = l.sender AND o.sink = l.sink AND o.dead_at IS NULL
               LIMIT $1) AS waiting";
    let rows = readers.query(sql, values![COUNTED]).await?;
    let Some(row) = rows.first() else { return Ok(OutboxCounts::default()) };
    Ok(OutboxCounts {
        waiting: count(row.int(0)?),
        dead: count(row.int(1)?),
        oldest_created_at: maybe_time(row.maybe_int(2)?)?,
    })
}

/// Dead letters, oldest first.
pub(super) async fn dead_events(
    readers: &dyn Readers,
    tenant: &TenantId,
    filter: &DeadEventFilter,
) -> Result<Vec<DeadEvent>, StoreError> {
    let DeadEventFilter { sender, sink, event, after, limit } = filter;
    let select = "SELECT sender, sink, event, subject, body, created_at, dead_at, tries, last_error FROM outbox";
    let mut query = Conditions::new(select, "tenant", tenant.as_str());
    query.sql.push_str(" AND dead_at IS NOT NULL");
    query.and("sender =", sender.as_ref().map(SenderName::as_str));
    query.and("sink =", sink.as_ref().map(|sink| sink.as_str()));
    query.and("event =", event.map(|event: EventId| event.to_string()));
    if let Some((event, sink)) = after {
        query.behind("event, sink", values![event.to_string(), sink.as_str()]);
    }
    query.ordered("event, sink", *limit);
    let rows = readers.query(&query.sql, query.parameters).await?;
    let read = |row: &Row| {
        Ok(DeadEvent {
            sender: parse("a sender", row.text(0)?)?,
            sink: SinkId::new(row.text(1)?),
            event: parse("an event id", row.text(2)?)?,
            subject: row.text(3)?.to_owned(),
            body: row.text(4)?.to_owned(),
            created_at: time(row.int(5)?)?,
            dead_at: time(row.int(6)?)?,
            tries: small(row.int(7)?),
            last_error: row.maybe_text(8)?.unwrap_or_default().to_owned(),
        })
    };
    rows.iter().take(usize::try_from(*limit).unwrap_or(usize::MAX)).map(read).collect()
}

/// Keys in one statement; both databases allow many more parameters.
const KEYS: usize = 500;

pub(super) async fn known_dedupe_keys(
    readers: &dyn Readers,
    tenant: &TenantId,
    sender: &SenderName,
    keys: &[String],
) -> Result<HashSet<String>, StoreError> {
    let mut known = HashSet::new();
    for keys in keys.chunks(KEYS) {
        let places: Vec<_> = (3..).take(keys.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT dedupe_key FROM webhook_events WHERE tenant = $1 AND sender = $2 AND dedupe_key IN ({})",
            places.join(", ")
        );
        let mut list = values![tenant.as_str(), sender.as_str()];
        list.extend(keys.iter().map(|key| Value::from(key.as_str())));
        for row in readers.query(&sql, list).await? {
            known.insert(row.text(0)?.to_owned());
        }
    }
    Ok(known)
}

/// Webhooks of the log, oldest first.
pub(super) async fn webhooks(readers: &dyn Readers, filter: &ReplayFilter) -> Result<Vec<StoredWebhook>, StoreError> {
    let ReplayFilter { tenant, sender, since, until, after, limit } = filter;
    let select = "SELECT received_at, id, url, headers, body, route FROM logged_webhooks";
    let mut query = Conditions::new(select, "tenant", tenant.as_str());
    query.and("sender =", Some(sender.as_str()));
    query.and("received_at >=", since.map(micros));
    query.and("received_at <", until.map(micros));
    if let Some((at, id)) = after {
        query.behind("received_at, id", values![micros(*at), id.as_str()]);
    }
    query.parameters.push((*limit).into());
    query.sql.push_str(&format!(" ORDER BY received_at, id LIMIT ${}", query.parameters.len()));
    let rows = readers.query(&query.sql, query.parameters).await?;
    let read = |row: &Row| {
        Ok(StoredWebhook {
            tenant: tenant.clone(),
            sender: sender.clone(),
            received_at: time(row.int(0)?)?,
            id: row.text(1)?.to_owned(),
            url: row.text(2)?.to_owned(),
            headers: row.text(3)?.to_owned(),
            body: row.blob(4)?,
            route: parse("a webhook's route", row.text(5)?)?,
        })
    };
    rows.iter().map(read).collect()
}

/// How many webhooks of the log a replay would read.
pub(super) async fn count_webhooks(readers: &dyn Readers, filter: &ReplayFilter) -> Result<u64, StoreError> {
    let ReplayFilter { tenant, sender, since, until, after: _, limit: _ } = filter;
    let mut query = Conditions::new("SELECT COUNT(*) FROM webhooks", "tenant", tenant.as_str());
    query.and("sender =", Some(sender.as_str()));
    query.and("received_at >=", since.map(micros));
    query.and("received_at <", until.map(micros));
    let rows = readers.query(&query.sql, query.parameters).await?;
    rows.first().map_or(Ok(0), |row| Ok(count(row.int(0)?)))
}
