//! The tables as the writer uses them: their columns in order, the key first, what may change last.
//!
//! A test compares every one with the migrated databases.

use super::value::Kind;

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// So many columns from the first are the primary key.
    pub(crate) key: usize,
    /// So many columns from the last may change.
    pub(crate) mutable: usize,
}

/// How rows of a table are found: by columns that an index begins with.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) table: &'static Table,
    pub(crate) by: &'static [usize],
}

macro_rules! tables {
    ($($table:ident $(, $finder:ident)? = $name:literal ($key:literal, $mutable:literal) [$($column:ident: $kind:ident),* $(,)?];)*) => {
        $(
            pub(crate) static $table: Table = Table {
                name: $name,
                columns: &[$((stringify!($column), Kind::$kind)),*],
                key: $key,
                mutable: $mutable,
            };
            $(pub(crate) static $finder: Finder = Finder { table: &$table, by: first($key) };)?
        )*
        #[cfg(test)]
        pub(crate) static ALL: &[&Table] = &[$(&$table),*];
    };
}

const fn first(n: usize) -> &'static [usize] {
    const COLUMNS: [usize; 4] = [0, 1, 2, 3];
    COLUMNS.split_at(n).0
}

tables! {
    WEBHOOKS = "webhooks" (0, 0) [
        tenant: Text, received_at: Int, id: Text, sender: Text, url: Text, headers: Text, body: Blob,
        route: Text,
    ];
    UNADDRESSED = "unaddressed_webhooks" (1, 0) [
        id: Text, received_at: Int, endpoint: Text, route: Text, url: Text, headers: Text, body: Blob,
    ];
    EVENTS, EVENT = "webhook_events" (3, 2) [
        tenant: Text, sender: Text, dedupe_key: Text, received_at: Int, webhook: Text, position: Int,
        available_at: Int, tries: Int,
    ];
    PARKED, PARKED_STATUS = "parked_statuses" (4, 0) [
        tenant: Text, provider_message_id: Text, webhook: Text, position: Int, sender: Text, received_at: Int,
        status_update: Text, suppression: Text,
    ];
    INBOUND, INBOUND_MESSAGE = "inbound_messages" (2, 0) [
        tenant: Text, id: Text, sender: Text, contact: Text, provider_message_id: Text, received_at: Int,
    ];
    CONTACTS, CONTACT = "contacts" (3, 3) [
        tenant: Text, sender: Text, contact: Text, version: Int, updated_at: Int, state: Text,
    ];
    CONSENTS, CONSENT = "consent_records" (4, 0) [
        tenant: Text, sender: Text, contact: Text, version: Int, recorded_at: Int, record: Text,
    ];
    MESSAGES, MESSAGE = "messages" (2, 7) [
        tenant: Text, id: Text, sender: Text, messaging_service_sid: Text, contact: Text, content: Text,
        template: Text, purpose: Text, priority: Int, reply_to: Text, reply_to_provider_id: Text, metadata: Text,
        on_unconfirmed: Text, idempotency_key: Text, created_at: Int, scheduled_at: Int, expires_at: Int,
        status: Text, reason: Text, provider_message_id: Text, attempt: Text, attempts: Int, updated_at: Int,
        steps: Int,
    ];
    TIMELINE, TIMELINE_STEP = "message_timeline" (3, 0) [
        tenant: Text, message: Text, position: Int, at: Int, status: Text, attempt: Text, reason: Text,
    ];
    IDEMPOTENCY, IDEMPOTENCY_KEY = "idempotency_keys" (2, 0) [
        tenant: Text, idempotency_key: Text, body_sha256: Blob, message: Text,
    ];
    ATTEMPTS, ATTEMPT = "attempts" (2, 3) [
        tenant: Text, id: Text, message: Text, started_at: Int, finished_at: Int, outcome: Text,
        provider_message_id: Text,
    ];
    QUEUE, QUEUED = "queue" (2, 4) [
        tenant: Text, message: Text, sender: Text, priority: Int, expires_at: Int,
        due_at: Int, available_at: Int, fence: Int, owner: Text,
    ];
    LANES = "lanes" (3, 0) [tenant: Text, sender: Text, priority: Int];
    BUCKETS, BUCKET = "rate_buckets" (2, 1) [tenant: Text, bucket: Text, empty_at: Int];
    HOLDS, HOLD = "holds" (3, 3) [tenant: Text, scope: Text, kind: Text, until: Int, reason: Text, created_at: Int];
    UNSETTLED, UNSETTLED_MESSAGE = "unsettled" (2, 4) [
        tenant: Text, message: Text, available_at: Int, fence: Int, owner: Text, asked: Int,
    ];
    SWEEPS, SWEEP = "sweeps" (2, 4) [
        tenant: Text, account: Text, swept_until: Int, available_at: Int, fence: Int, owner: Text,
    ];
    OUTBOX, OUTBOX_EVENT = "outbox" (4, 6) [
        tenant: Text, sender: Text, sink: Text, event: Text, subject: Text, body: Text, created_at: Int, position: Int,
        available_at: Int, fence: Int, owner: Text, tries: Int, last_error: Text, dead_at: Int,
    ];
    OUTBOX_LANES = "outbox_lanes" (3, 0) [tenant: Text, sender: Text, sink: Text];
}

/// The columns of [`EVENTS`] that name the webhook and the place in it, and the one of [`WEBHOOKS`] that is its name.
pub(crate) const EVENT_WEBHOOK: usize = 4;
pub(crate) const EVENT_POSITION: usize = 5;
pub(crate) const WEBHOOK_ID: usize = 2;

/// Attempts by the id that the provider gave.
pub(crate) static ATTEMPT_BY_PROVIDER_ID: Finder = Finder { table: &ATTEMPTS, by: &[0, 6] };
/// Every status that waits for a message that the provider knows by this id.
pub(crate) static PARKED_BY_PROVIDER_ID: Finder = Finder { table: &PARKED, by: &[0, 1] };

impl Table {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// The key, then what may change: the columns that an update takes.
    pub(crate) fn updated(&self) -> Vec<(&'static str, Kind)> {
        let mutable = self.columns.len() - self.mutable;
        self.columns.iter().take(self.key).chain(self.columns.iter().skip(mutable)).copied().collect()
    }
}

impl Finder {
    pub(crate) fn columns(&self) -> Vec<(&'static str, Kind)> {
        self.by.iter().filter_map(|&i| self.table.columns.get(i)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// PostgreSQL's columns have the same names in the same order, because they come of the same text.
    #[tokio::test]
    async fn every_table_is_as_the_database_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.db");
        let opened = Store::sqlite(&file).await.unwrap();
        let database = rusqlite::Connection::open(&file).unwrap();
        for table in ALL {
            let mut columns = database
                .prepare(&format!("SELECT name, CAST(pk AS INTEGER) FROM pragma_table_info('{}')", table.name))
                .unwrap();
            let columns: Vec<(String, i64)> =
                columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
            let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, table.names().collect::<Vec<_>>(), "{}", table.name);
            let key: Vec<_> = columns.iter().map(|(_, key)| *key).filter(|key| *key > 0).collect();
            assert_eq!(key, (1..).take(table.key).collect::<Vec<i64>>(), "the key of {}", table.name);
        }
        drop(opened);
    }
}
