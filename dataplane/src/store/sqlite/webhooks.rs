//! The log of webhooks: appending to it, reading what has not taken effect, and letting it take effect.

use std::collections::HashSet;
use std::sync::LazyLock;

use messaging::contact::ContactState;
use messaging::id::TenantId;
use messaging::lifecycle::MessageStatus;
use messaging::opt_out::OptChange;
use messaging::provider::StatusUpdate;
use sqlx::{Row, SqlitePool};

use super::codec::{from_json, json, micros, parse, small, time};
use super::committer::{Operation, Tx};
use super::{contacts, lifecycle, messages, outbox};
use crate::store::StoreError;
use crate::store::webhook::{
    Applied, ApplyEvent, Consequence, LoggedEvent, LoggedEventRef, Received, RecordWebhook, Recorded,
};

/// Rows in one statement. Statements are made for powers of two up to this, so that few are ever prepared.
const ROWS: usize = 128;

/// The statement for 1, 2, 4 … rows.
type ByRows = LazyLock<Vec<String>>;

static KEYS: ByRows = LazyLock::new(|| {
    by_rows(
        "INSERT INTO webhook_dedupe (tenant, sender, dedupe_key, received_at) VALUES ",
        4,
        " ON CONFLICT DO NOTHING RETURNING tenant, sender, dedupe_key",
    )
});
static WEBHOOKS: ByRows = LazyLock::new(|| {
    by_rows("INSERT INTO webhooks (tenant, id, sender, received_at, url, headers, body) VALUES ", 7, "")
});
static EVENTS: ByRows = LazyLock::new(|| {
    by_rows("INSERT INTO webhook_events (tenant, webhook, position, sender, received_at, event) VALUES ", 6, "")
});

/// Appends webhooks with as few statements as their number allows. An event is new in the first of them that has it.
pub(super) async fn record(tx: &mut Tx<'_>, webhooks: &[&RecordWebhook]) -> Result<Vec<Recorded>, StoreError> {
    let keys: Vec<Vec<String>> = webhooks.iter().map(|webhook| webhook.dedupe_keys()).collect();
    let mut offered = Vec::new();
    let mut seen = HashSet::new();
    for (webhook, keys) in webhooks.iter().zip(&keys) {
        for key in keys {
            if seen.insert((&webhook.tenant, &webhook.sender, key.as_str())) {
                offered.push((*webhook, key.as_str()));
            }
        }
    }
    let mut unclaimed = new_keys(tx, &offered).await?;

    let mut recorded = Vec::with_capacity(webhooks.len());
    let mut raw = Vec::new();
    let mut events = Vec::new();
    for (webhook, keys) in webhooks.iter().zip(&keys) {
        let mut new = Vec::with_capacity(keys.len());
        for (position, (key, event)) in keys.iter().zip(&webhook.events).enumerate() {
            let is_new = unclaimed.remove(&(webhook.tenant.as_str(), webhook.sender.as_str(), key.as_str()));
            if is_new {
                events.push((*webhook, i64::try_from(position).unwrap_or(i64::MAX), json(event)?));
            }
            new.push(is_new);
        }
        // A webhook without anything new is not kept; one without events is, for somebody may want to know of it.
        if keys.is_empty() || new.contains(&true) {
            raw.push(*webhook);
        }
        recorded.push(Recorded { new });
    }
    tx.bells.webhooks |= !events.is_empty();

    for chunk in chunks(&raw) {
        let mut query = sqlx::query(statement(&WEBHOOKS, chunk.len()));
        for w in chunk {
            query = query.bind(w.tenant.as_str()).bind(&w.id).bind(w.sender.as_str()).bind(micros(w.received_at));
            query = query.bind(&w.url).bind(&w.headers).bind(&w.body[..]);
        }
        query.execute(&mut *tx.connection).await?;
    }
    for chunk in chunks(&events) {
        let mut query = sqlx::query(statement(&EVENTS, chunk.len()));
        for (w, position, event) in chunk {
            query = query.bind(w.tenant.as_str()).bind(&w.id).bind(position).bind(w.sender.as_str());
            query = query.bind(micros(w.received_at)).bind(event);
        }
        query.execute(&mut *tx.connection).await?;
    }
    Ok(recorded)
}

/// Remembers these keys, and tells which of them were not known.
async fn new_keys<'k>(
    tx: &mut Tx<'_>,
    offered: &[(&'k RecordWebhook, &'k str)],
) -> Result<HashSet<(&'k str, &'k str, &'k str)>, StoreError> {
    let mut new = HashSet::with_capacity(offered.len());
    for chunk in chunks(offered) {
        let mut query = sqlx::query(statement(&KEYS, chunk.len()));
        for (w, key) in chunk {
            query = query.bind(w.tenant.as_str()).bind(w.sender.as_str()).bind(*key).bind(micros(w.received_at));
        }
        let returned = query.fetch_all(&mut *tx.connection).await?;
        if returned.len() == chunk.len() {
            new.extend(chunk.iter().map(|(w, key)| (w.tenant.as_str(), w.sender.as_str(), *key)));
            continue;
        }
        let returned: HashSet<(&str, &str, &str)> = returned
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect::<Result<_, sqlx::Error>>()?;
        let chunk = chunk.iter().map(|(w, key)| (w.tenant.as_str(), w.sender.as_str(), *key));
        new.extend(chunk.filter(|key| returned.contains(key)));
    }
    Ok(new)
}

/// Cuts a slice into parts whose lengths are powers of two.
fn chunks<T>(mut all: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1_usize << all.len().min(ROWS).checked_ilog2()?;
        let (chunk, rest) = all.split_at(size);
        all = rest;
        Some(chunk)
    })
}

/// One statement for each length that [`chunks`] gives.
fn by_rows(insert: &str, columns: usize, suffix: &str) -> Vec<String> {
    (0..=ROWS.ilog2()).map(|power| rows(insert, columns, 1 << power, suffix)).collect()
}

fn statement(all: &'static ByRows, rows: usize) -> &'static str {
    all[rows.ilog2() as usize].as_str()
}

/// A statement that inserts so many rows of so many columns.
fn rows(insert: &str, columns: usize, rows: usize, suffix: &str) -> String {
    let mut sql = insert.to_owned();
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let separator = if column == 1 { "" } else { ", " };
            sql.push_str(&format!("{separator}${}", row * columns + column));
        }
        sql.push(')');
    }
    sql.push_str(suffix);
    sql
}

pub(super) async fn unapplied(pool: &SqlitePool, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
    let rows = sqlx::query(
        "SELECT tenant, webhook, position, sender, received_at, event FROM webhook_events
         WHERE applied_at IS NULL ORDER BY received_at LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let event: &str = row.try_get(5)?;
            Ok(LoggedEvent {
                reference: LoggedEventRef {
                    tenant: parse("a tenant", row.try_get(0)?)?,
                    webhook: row.try_get(1)?,
                    position: small(row.try_get(2)?),
                },
                sender: parse("a sender", row.try_get(3)?)?,
                received_at: time(row.try_get(4)?)?,
                event: serde_json::from_str(event).map_err(|e| e.to_string()),
            })
        })
        .collect()
}

impl Operation for ApplyEvent {
    type Answer = Applied;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Applied, StoreError> {
        let Self { event, sender: _, now, received_at: _, consequence, sinks: _ } = self;
        let marked = sqlx::query(
            "UPDATE webhook_events SET applied_at = $4
             WHERE tenant = $1 AND webhook = $2 AND position = $3 AND applied_at IS NULL",
        )
        .bind(event.tenant.as_str())
        .bind(&event.webhook)
        .bind(i64::from(event.position))
        .bind(micros(*now))
        .execute(&mut *tx.connection)
        .await?;
        if marked.rows_affected() == 0 {
            return Ok(Applied::Before);
        }
        match consequence {
            Consequence::Nothing { .. } => Ok(Applied::Now { reached: Vec::new() }),
            Consequence::Received(received) => {
                self.receive(tx, received).await?;
                Ok(Applied::Now { reached: Vec::new() })
            }
            Consequence::Status { update, suppress, ask_at } => {
                let found = match update.attempt {
                    Some(attempt) => lifecycle::message_of_attempt(tx, &event.tenant, attempt).await?,
                    None => None,
                };
                let found = match found {
                    Some(found) => Some(found),
                    None => {
                        lifecycle::message_of_provider(tx.connection, &event.tenant, &update.provider_message_id)
                            .await?
                    }
                };
                let Some(mut message) = found else {
                    self.park(tx, update).await?;
                    return Ok(Applied::Parked);
                };
                let evidence = lifecycle::Evidence::reported(update, self.received_at);
                let mut reached: Vec<MessageStatus> = Vec::new();
                reached.extend(lifecycle::advance(tx, &mut message, &evidence, &self.sinks).await?);
                if let Some(attempt) = update.attempt {
                    lifecycle::learn_provider_id(tx, &event.tenant, attempt, &update.provider_message_id).await?;
                }
                reached
                    .extend(lifecycle::adopt_parked(tx, &mut message, &update.provider_message_id, &self.sinks).await?);
                // It was handed over, so it leaves the queue however the attempt that did it ended.
                if message.status >= MessageStatus::Accepted {
                    lifecycle::leave_queue(tx, &message).await?;
                    if !message.status.is_terminal() {
                        lifecycle::await_settlement(tx, &message, *ask_at).await?;
                    }
                }
                if let Some(suppression) = suppress {
                    contacts::suppress(tx, &message.tenant, &message.sender, &message.to, suppression).await?;
                }
                Ok(Applied::Now { reached })
            }
        }
    }
}

impl ApplyEvent {
    async fn park(&self, tx: &mut Tx<'_>, update: &StatusUpdate) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO parked_statuses
             (tenant, provider_message_id, webhook, position, sender, received_at, status_update)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(self.event.tenant.as_str())
        .bind(&update.provider_message_id)
        .bind(&self.event.webhook)
        .bind(i64::from(self.event.position))
        .bind(self.sender.as_str())
        .bind(micros(self.received_at))
        .bind(json(update)?)
        .execute(&mut *tx.connection)
        .await?;
        Ok(())
    }

    async fn receive(&self, tx: &mut Tx<'_>, received: &Received) -> Result<(), StoreError> {
        let (tenant, sender) = (&self.event.tenant, &self.sender);
        sqlx::query(
            "INSERT INTO inbound_messages (tenant, id, sender, contact, provider_message_id, received_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(received.id.to_string())
        .bind(sender.as_str())
        .bind(received.message.from.as_str())
        .bind(&received.message.provider_message_id)
        .bind(micros(self.received_at))
        .execute(&mut *tx.connection)
        .await?;
        outbox::insert(tx, sender, &received.event, &self.sinks).await?;

        let change = received.keyword.as_ref().map(|k| k.change);
        let text = received.keyword.as_ref().map_or("", |k| k.text.as_str());
        let mut opted = false;
        for address in &received.contacts {
            let contact = contacts::load(tx.connection, tenant, sender, address).await?;
            let after = contact.state.clone().after_message(self.received_at, change, text);
            opted |= changed_by_keyword(change, &contact.state, &after);
            contacts::save(tx, tenant, sender, address, contact.version, &after, self.now).await?;
        }
        if let Some(keyword) = received.keyword.as_ref().filter(|_| opted) {
            outbox::insert(tx, sender, &keyword.event, &self.sinks).await?;
            if let Some(reply) = &keyword.reply {
                messages::insert(tx, reply).await?;
            }
        }
        Ok(())
    }
}

/// Whether the contact may be written to before and not after, or the other way round.
fn changed_by_keyword(change: Option<OptChange>, before: &ContactState, after: &ContactState) -> bool {
    let reason = |state: &ContactState| state.suppression.as_ref().map(|s| s.reason);
    change.is_some() && reason(before) != reason(after)
}

/// The statuses that waited for a message to be known by this id, oldest first; they wait no more.
pub(super) async fn take_parked(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    provider_message_id: &str,
) -> Result<Vec<(StatusUpdate, jiff::Timestamp)>, StoreError> {
    let parked = sqlx::query(
        "SELECT status_update, received_at FROM parked_statuses
         WHERE tenant = $1 AND provider_message_id = $2 ORDER BY received_at, webhook, position",
    )
    .bind(tenant.as_str())
    .bind(provider_message_id)
    .fetch_all(&mut *tx.connection)
    .await?;
    if parked.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query("DELETE FROM parked_statuses WHERE tenant = $1 AND provider_message_id = $2")
        .bind(tenant.as_str())
        .bind(provider_message_id)
        .execute(&mut *tx.connection)
        .await?;
    parked.iter().map(|row| Ok((from_json("a parked status", row.try_get(0)?)?, time(row.try_get(1)?)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_powers_of_two() {
        for n in [0, 1, 2, 3, 7, 127, 128, 129, 512, 700] {
            let all: Vec<usize> = (0..n).collect();
            let parts: Vec<_> = chunks(&all).collect();
            assert!(parts.iter().all(|p| p.len().is_power_of_two() && p.len() <= ROWS), "{n}");
            assert_eq!(parts.concat(), all);
        }
    }

    #[test]
    fn each_row_has_its_own_parameters() {
        assert_eq!(rows("INSERT ", 2, 2, " X"), "INSERT ($1, $2), ($3, $4) X");
    }
}
