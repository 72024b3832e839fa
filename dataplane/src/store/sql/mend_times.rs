//! Finds and mends stored times that lie further ahead than they may. There are none unless a clock was wrong: finding
//! that out may read every row that waits, and only mending takes a tenant's lock.

use async_trait::async_trait;
use messaging::id::TenantId;

use super::outbox::NEVER;
use crate::store::database::Connection;
use crate::store::group::job::Statements;
use crate::store::overlong::{Bound, StoredTime};
use crate::store::signals::Bells;
use crate::store::tables::value::values;
use crate::store::{Command, StoreError};

/// Where a time is stored.
struct Place {
    table: &'static str,
    column: &'static str,
    /// Which rows of the table.
    rows: String,
}

impl Place {
    fn of(time: StoredTime) -> Self {
        let place = |table, column, rows: &str| Self { table, column, rows: rows.to_owned() };
        // A scheduled message waits for its own time.
        let queue = |rows: &str| Self {
            table: "queue",
            column: "available_at",
            rows: format!(
                "{rows} AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.tenant = queue.tenant
                 AND m.id = queue.message AND m.scheduled_at = queue.available_at)"
            ),
        };
        // An event that waits for an older one of its subject has no time yet.
        let outbox = |rows: &str| Self {
            table: "outbox",
            column: "available_at",
            rows: format!("{rows} AND dead_at IS NULL AND available_at < {}", NEVER.as_microsecond()),
        };
        match time {
            StoredTime::MessageAccepted => queue("fence = 0"),
            StoredTime::MessageClaimed => queue("owner IS NOT NULL"),
            StoredTime::MessageDeferred => queue("fence > 0 AND owner IS NULL"),
            StoredTime::UnsettledClaimed => place("unsettled", "available_at", "owner IS NOT NULL"),
            StoredTime::UnsettledDeferred => place("unsettled", "available_at", "owner IS NULL"),
            StoredTime::EventReady => outbox("tries = 0 AND owner IS NULL"),
            StoredTime::EventClaimed => outbox("owner IS NOT NULL"),
            StoredTime::EventDeferred => outbox("tries > 0 AND owner IS NULL"),
            StoredTime::LoggedEvent => place("webhook_events", "available_at", "available_at IS NOT NULL"),
            StoredTime::Breaker => place("holds", "until", "kind = 'breaker' AND scope NOT LIKE 'template/%'"),
            StoredTime::Rest => place("holds", "until", "kind = 'breaker' AND scope LIKE 'template/%'"),
            StoredTime::SweepDue => place("sweeps", "available_at", "available_at IS NOT NULL"),
            StoredTime::SweptUntil => place("sweeps", "swept_until", "swept_until IS NOT NULL"),
        }
    }

    /// Latest.
    fn find(&self) -> String {
        let Self { table, column, rows } = self;
        format!("SELECT DISTINCT tenant FROM {table} WHERE {column} > $1 AND {rows}")
    }

    /// Tenant, latest, the time to set. The rows are found by their time: by a key that begins with the tenant, every
    /// event that the tenant ever had would be read.
    fn mend(&self) -> String {
        let Self { table, column, rows } = self;
        let time = "CAST($3 AS BIGINT)";
        let time = match *table {
            "queue" => format!(
                "(SELECT CASE WHEN m.scheduled_at > {time} THEN m.scheduled_at ELSE {time} END FROM messages m
                 WHERE m.tenant = queue.tenant AND m.id = queue.message)"
            ),
            _ => time.to_owned(),
        };
        format!("UPDATE {table} SET {column} = {time} WHERE tenant || '' = $1 AND {column} > $2 AND {rows}")
    }
}

/// The statement that finds the tenants with times beyond their bound. Latest.
pub(crate) fn find(time: StoredTime) -> String {
    Place::of(time).find()
}

/// Mends one kind of time of tenants that have such.
pub(crate) struct MendOf {
    pub(crate) bound: Bound,
    pub(crate) tenants: Vec<TenantId>,
}

impl Command for MendOf {
    type Answer = u64;
}

#[async_trait]
impl Statements for MendOf {
    fn tenants(&self) -> Vec<TenantId> {
        self.tenants.clone()
    }

    async fn run(&self, connection: &mut dyn Connection, bells: &mut Bells) -> Result<u64, StoreError> {
        let Bound { time, latest, mended } = self.bound;
        let sql = Place::of(time).mend();
        let mut changed = 0;
        for tenant in &self.tenants {
            changed += connection.execute(&sql, values![tenant, latest, mended]).await?;
        }
        *bells = Bells { webhooks: true, queue: true, outbox: true };
        Ok(changed)
    }
}
