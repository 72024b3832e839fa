//! PostgreSQL: any number of replicas on one database.
//!
//! Many rows travel in one statement, as arrays, and several statements in one round trip. Every statement finds its
//! rows by key, so the plans that scan or hash whole tables are turned off: they are only ever chosen by mistake, for a
//! table whose statistics are old.

mod arrays;
mod connect;
mod readers;
mod suitable;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use messaging::id::TenantId;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::ToSql;

use self::arrays::{columns, read, unnest};
pub(crate) use self::connect::{Durability, Target};
use self::connect::{Link, failed};
pub(crate) use self::readers::PostgresReaders;
pub(crate) use self::suitable::check_is_suitable;
use super::{Change, Connection, LogEntries, Lookup};
use crate::store::StoreError;
use crate::store::tables::table::{Column, Finder, Table};
use crate::store::tables::value::{Kind, Lent, Row, Value};
use crate::store::tables::{webhook_events, webhooks};

/// No step of a transaction takes so long; a connection on which one does is given up.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// A writer locks one of this many numbers for each tenant whose rows it changes; the tenant's name gives the number.
/// Few enough that a transaction over many tenants takes few locks.
const TENANT_LOCKS: u64 = 256;
/// The locks' first number: ours among whatever else locks in this database.
const LOCK_CLASS: i32 = 1_466_527_076;

/// A writing connection, made again when it breaks.
pub(crate) struct PostgresConnection {
    target: Target,
    link: Option<Link>,
    in_transaction: bool,
}

impl fmt::Debug for PostgresConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConnection").field("target", &self.target).finish_non_exhaustive()
    }
}

impl PostgresConnection {
    pub(crate) async fn open(target: Target) -> Result<Self, StoreError> {
        let link = Box::pin(within(target.connect())).await?;
        Ok(Self { target, link: Some(link), in_transaction: false })
    }

    pub(crate) async fn durability(&mut self) -> Result<Durability, StoreError> {
        within(async { self.link().await?.durability().await }).await
    }

    async fn link(&mut self) -> Result<&mut Link, StoreError> {
        let broken = self.link.as_ref().is_none_or(|link| link.client.is_closed());
        if broken {
            self.link = None;
            self.link = Some(self.target.connect().await?);
            tracing::info!(target = ?self.target, "connected to the database");
        }
        self.link.as_mut().ok_or(StoreError::Closed)
    }

    /// The connection of the transaction that is open.
    fn open_link(&mut self) -> Result<&mut Link, StoreError> {
        self.link.as_mut().ok_or_else(|| StoreError::Unanswered("the connection to the database was lost".into()))
    }

    /// Gives the connection up if a step on it was not answered. The server may still be at it, so nothing else may
    /// follow.
    fn stepped<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::Unanswered(_))) {
            self.link = None;
        }
        result
    }
}

async fn within<T>(step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(STEP_WITHIN, step).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unanswered(format!("the database did not answer within {STEP_WITHIN:?}"))),
    }
}

/// The number that a tenant's writers lock (FNV-1a, so that every build counts alike).
fn lock_of(tenant: &TenantId) -> i32 {
    let hash = tenant
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    i32::try_from(hash % TENANT_LOCKS).unwrap_or(0)
}

fn insert(table: &Table) -> String {
    let names: Vec<_> = table.names().collect();
    let rows = arrays::select(table.columns, 1);
    format!("INSERT INTO {} ({}) {rows} ON CONFLICT DO NOTHING", table.name, names.join(", "))
}

fn update(table: &Table) -> String {
    let columns = table.updated();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let set: Vec<_> = names.iter().skip(table.key).map(|name| format!("{name} = k.{name}")).collect();
    let found: Vec<_> = names.iter().take(table.key).map(|name| format!("t.{name} = k.{name}")).collect();
    format!(
        "UPDATE {} t SET {} FROM {} AS k({}) WHERE {}",
        table.name,
        set.join(", "),
        unnest(&columns, 1),
        names.join(", "),
        found.join(" AND ")
    )
}

/// `FROM unnest(…) AS k(…)`, and how the table's rows are found by it.
fn keyed(finder: &Finder) -> (String, String) {
    let columns = finder.columns();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let found: Vec<_> = names.iter().map(|name| format!("t.{name} = k.{name}")).collect();
    (format!("{} AS k({})", unnest(&columns, 1), names.join(", ")), found.join(" AND "))
}

fn select(finder: &Finder) -> String {
    let (keys, found) = keyed(finder);
    let names: Vec<_> = finder.table.names().map(|name| format!("t.{name}")).collect();
    format!("SELECT {} FROM {keys} JOIN {} t ON {found}", names.join(", "), finder.table.name)
}

fn delete(finder: &Finder) -> String {
    let (keys, found) = keyed(finder);
    format!("DELETE FROM {} t USING {keys} WHERE {found}", finder.table.name)
}

/// The columns of the webhooks' table, and whether the webhook is kept in any case.
fn flagged_webhooks() -> Vec<Column> {
    webhooks::TABLE.columns.iter().copied().chain([("always", Kind::Int)]).collect()
}

/// One statement, and so one transaction where there is none: one round trip, and one flush to disk. Answers with the
/// events that were known before, which are few: by their webhook and their place in it. As long as there are none,
/// nothing is looked up.
static LOG: LazyLock<String> = LazyLock::new(|| {
    let (events, webhooks): (Vec<_>, Vec<_>) =
        (webhook_events::TABLE.names().collect(), webhooks::TABLE.names().collect());
    format!(
        "WITH logged AS (INSERT INTO {} ({}) {} ON CONFLICT DO NOTHING RETURNING webhook, position),
         counted AS (SELECT count(*) = cardinality($1) AS all_are_new FROM logged),
         kept AS (INSERT INTO {} ({webhooks}) SELECT {webhooks} FROM ({}) AS offered
           WHERE ((SELECT all_are_new FROM counted) OR always = 1 OR id IN (SELECT webhook FROM logged)) IS TRUE)
         SELECT webhook, position FROM ({}) AS offered
         WHERE NOT (SELECT all_are_new FROM counted)
           AND (webhook, position) NOT IN (SELECT webhook, position FROM logged)",
        webhook_events::TABLE.name,
        events.join(", "),
        arrays::select(webhook_events::TABLE.columns, 1),
        webhooks::TABLE.name,
        arrays::select(&flagged_webhooks(), webhook_events::TABLE.columns.len() + 1),
        arrays::select(webhook_events::TABLE.columns, 1),
        webhooks = webhooks.join(", "),
    )
});

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect()
}

/// Every lookup is one statement, and all of them are one round trip.
async fn find(link: &mut Link, lookups: &[Lookup]) -> Result<Vec<Vec<Row>>, StoreError> {
    let mut prepared = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        let arrays = columns(&lookup.finder.columns(), &lookup.keys);
        prepared.push((link.prepare(&select(lookup.finder)).await?, arrays));
    }
    let client = &link.client;
    let found = try_join_all(prepared.iter().map(|(statement, arrays)| async move {
        let parameters: Vec<_> = arrays.iter().map(arrays::Column::as_parameter).collect();
        client.query(statement, &parameters).await.map_err(failed)
    }))
    .await?;
    found.iter().map(|rows| rows.iter().map(read).collect()).collect()
}

#[async_trait]
impl Connection for PostgresConnection {
    async fn begin(&mut self, tenants: &BTreeSet<TenantId>) -> Result<(), StoreError> {
        let locks: BTreeSet<i32> = tenants.iter().map(lock_of).collect();
        let locks: Vec<i32> = locks.into_iter().collect();
        self.in_transaction = true;
        let begun = within(async {
            let link = self.link().await?;
            if locks.is_empty() {
                return link.client.batch_execute("BEGIN").await.map_err(failed);
            }
            // Every writer locks in the same order, so there are no deadlocks.
            let lock = link.prepare("SELECT pg_advisory_xact_lock($1::int, n) FROM unnest($2::int[]) AS n").await?;
            let parameters: [&(dyn ToSql + Sync); 2] = [&LOCK_CLASS, &locks];
            let (begun, locked) =
                tokio::join!(link.client.batch_execute("BEGIN"), link.client.query(&lock, &parameters));
            begun.map_err(failed)?;
            locked.map_err(failed)?;
            Ok(())
        });
        let begun = begun.await;
        self.stepped(begun)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.in_transaction = false;
        self.script("COMMIT").await
    }

    async fn rollback(&mut self) -> bool {
        self.in_transaction = false;
        let rolled_back = self.script("ROLLBACK").await;
        if rolled_back.is_ok()
            && !self.is_read_only().await
            && let Some(link) = &mut self.link
        {
            // What failed may have been prepared for tables that have changed since, or be forgotten by the server.
            link.forget_statements();
            return true;
        }
        self.link = None;
        false
    }

    async fn find(&mut self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError> {
        let found = within(async { find(self.open_link()?, &lookups).await }).await;
        self.stepped(found)
    }

    async fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let changed = within(async {
            let link = self.open_link()?;
            let mut prepared = Vec::with_capacity(changes.len());
            for change in &changes {
                match change {
                    Change::Insert(table, rows) => {
                        prepared.push((link.prepare(&insert(table)).await?, Parameters::of(table.columns, rows)));
                    }
                    Change::Update(table, rows) => {
                        prepared.push((link.prepare(&update(table)).await?, Parameters::of(&table.updated(), rows)));
                    }
                    Change::Delete(finder, keys) => {
                        prepared.push((link.prepare(&delete(finder)).await?, Parameters::of(&finder.columns(), keys)));
                    }
                    Change::Run(sql, rows) => {
                        let statement = link.prepare(sql).await?;
                        prepared.extend(rows.iter().map(|row| (statement.clone(), Parameters::Row(row))));
                    }
                }
            }
            let client = &link.client;
            // Sent in their order, one behind the other, without waiting for answers in between.
            try_join_all(prepared.iter().map(|(statement, parameters)| async move {
                client.execute(statement, &parameters.list()).await.map_err(failed)
            }))
            .await?;
            Ok(())
        });
        let changed = changed.await;
        self.stepped(changed)
    }

    fn logs_alone(&self) -> bool {
        true
    }

    async fn log(&mut self, entries: LogEntries<'_>) -> Result<Vec<bool>, StoreError> {
        let LogEntries { events, webhooks } = entries;
        let logged = within(async {
            let link = if self.in_transaction { self.open_link()? } else { self.link().await? };
            let statement = link.prepare(&LOG).await?;
            let mut arrays = columns(webhook_events::TABLE.columns, &events);
            arrays.extend(columns(&flagged_webhooks(), &webhooks));
            let parameters: Vec<_> = arrays.iter().map(arrays::Column::as_parameter).collect();
            let known = link.client.query(&statement, &parameters).await.map_err(failed)?;
            let known = known.iter().map(|row| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)));
            let known: HashSet<(&str, i64)> = known.collect::<Result<_, StoreError>>()?;
            let is_known =
                |row: &[Lent<'_>]| match (row.get(webhook_events::WEBHOOK), row.get(webhook_events::POSITION)) {
                    (Some(Lent::Text(webhook)), Some(Lent::Int(position))) => known.contains(&(*webhook, *position)),
                    _ => false,
                };
            Ok(events.iter().map(|row| !is_known(row)).collect())
        });
        let logged = logged.await;
        self.stepped(logged)
    }

    async fn query(&mut self, sql: &'static str, lists: Vec<Vec<Value>>) -> Result<Vec<Vec<Row>>, StoreError> {
        let found = within(async {
            let link = self.open_link()?;
            let statement = link.prepare(sql).await?;
            let (client, statement) = (&link.client, &statement);
            let found = try_join_all(
                lists
                    .iter()
                    .map(|list| async move { client.query(statement, &parameters(list)).await.map_err(failed) }),
            )
            .await?;
            found.iter().map(|rows| rows.iter().map(read).collect()).collect()
        });
        let found = found.await;
        self.stepped(found)
    }

    async fn execute(&mut self, sql: &str, list: Vec<Value>) -> Result<u64, StoreError> {
        let changed = within(async {
            let link = self.open_link()?;
            let statement = link.prepare(sql).await?;
            link.client.execute(&statement, &parameters(&list)).await.map_err(failed)
        });
        let changed = changed.await;
        self.stepped(changed)
    }

    async fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        let run = within(async { self.open_link()?.client.batch_execute(sql).await.map_err(failed) }).await;
        self.stepped(run)
    }

    async fn touch(&mut self) -> Result<(), StoreError> {
        // Into the server's log only, but like a row: its commit waits for the disk, and for standbys.
        self.execute("SELECT pg_logical_emit_message(true, 'whatsapp-dataplane', '')", Vec::new()).await.map(drop)
    }

    async fn close(&mut self) {
        self.link = None;
    }
}

impl PostgresConnection {
    /// A server that was demoted keeps its connections, and refuses to write.
    async fn is_read_only(&mut self) -> bool {
        self.ask("SHOW transaction_read_only").await.map_or(true, |answer| answer != "off")
    }

    /// The one value that a statement without parameters answers with.
    async fn ask(&mut self, sql: &str) -> Result<String, StoreError> {
        let asked = within(async { self.open_link()?.client.simple_query(sql).await.map_err(failed) }).await;
        let value = self.stepped(asked)?.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        value.ok_or_else(|| StoreError::Failed(format!("{sql}: the database answered without a row")))
    }
}

/// What a statement is given: an array for each column, or one value for each place.
enum Parameters<'a> {
    Arrays(Vec<arrays::Column<'a>>),
    Row(&'a [Value]),
}

impl<'a> Parameters<'a> {
    fn of(kinds: &[(&'static str, Kind)], rows: &'a [Vec<Value>]) -> Self {
        Self::Arrays(columns(kinds, rows))
    }

    fn list(&self) -> Vec<&(dyn ToSql + Sync)> {
        match self {
            Self::Arrays(arrays) => arrays.iter().map(arrays::Column::as_parameter).collect(),
            Self::Row(row) => parameters(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tables::{attempts, rate_buckets};

    #[test]
    fn many_rows_travel_in_one_statement() {
        assert_eq!(
            update(&rate_buckets::TABLE),
            "UPDATE rate_buckets t SET empty_at = k.empty_at FROM unnest($1::text[], $2::text[], $3::bigint[]) \
             AS k(tenant, bucket, empty_at) WHERE t.tenant = k.tenant AND t.bucket = k.bucket"
        );
        assert_eq!(
            delete(&rate_buckets::BY_KEY),
            "DELETE FROM rate_buckets t USING unnest($1::text[], $2::text[]) AS k(tenant, bucket) \
             WHERE t.tenant = k.tenant AND t.bucket = k.bucket"
        );
        assert!(
            select(&attempts::BY_PROVIDER_ID)
                .ends_with("t.tenant = k.tenant AND t.provider_message_id = k.provider_message_id")
        );
    }
}
