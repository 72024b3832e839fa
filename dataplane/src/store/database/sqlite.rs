//! SQLite: one file, one writer, any number of readers.
//!
//! Statements are made for one row each and prepared once: without a server to travel to, a row costs microseconds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::id::TenantId;
use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection as Database, ErrorCode, OpenFlags, ToSql, params_from_iter};
use tokio::sync::Semaphore;

use super::{Change, Connection, LogEntries, Lookup, Readers};
use crate::store::StoreError;
use crate::store::tables::table::{Finder, Table};
use crate::store::tables::value::{Lent, Row, Value};
use crate::store::tables::{webhook_events, webhooks as log};

/// Readers at once; more would only wait for the same cores.
const READERS: usize = 4;
const STATEMENTS: usize = 256;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl ToSql for Lent<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Where the database is, and what is set on each connection besides the usual.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) file: PathBuf,
    pub(crate) pragmas: Vec<(&'static str, i64)>,
}

/// The writing connection.
pub(crate) struct SqliteConnection {
    database: Database,
    options: Options,
    /// Statements as SQLite reads them, by what they were made of.
    texts: HashMap<(&'static str, Verb), Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Insert,
    Update,
    Delete(&'static [&'static str]),
    Find(&'static [&'static str]),
    /// A statement of its own, which the name is.
    Own,
}

impl SqliteConnection {
    pub(crate) fn open(options: Options) -> Result<Self, StoreError> {
        let database = Database::open(&options.file)?;
        set(&database, &options)?;
        Ok(Self { database, options, texts: HashMap::new() })
    }

    fn statement(
        &mut self,
        name: &'static str,
        verb: Verb,
        text: impl FnOnce() -> String,
    ) -> Result<CachedStatement<'_>, StoreError> {
        let text = self.texts.entry((name, verb)).or_insert_with(|| text().into());
        Ok(self.database.prepare_cached(text)?)
    }

    fn each(statement: &mut CachedStatement<'_>, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }
}

fn set(database: &Database, options: &Options) -> Result<(), StoreError> {
    // Readers do not wait for the writer, nor it for them.
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on disk when it answers: with NORMAL a power loss would take acknowledged webhooks.
    database.pragma_update(None, "synchronous", "FULL")?;
    // 48 MiB, in KiB.
    database.pragma_update(None, "cache_size", -49152)?;
    // Fewer, larger checkpoints: about 40 MB of log between them.
    database.pragma_update(None, "wal_autocheckpoint", 10_000)?;
    for (name, value) in &options.pragmas {
        database.pragma_update(None, name, value)?;
    }
    database.busy_timeout(Duration::from_secs(5))?;
    database.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

fn insert(table: &Table) -> String {
    let names: Vec<_> = table.names().collect();
    let places: Vec<_> = (1..=names.len()).map(|i| format!("?{i}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING", table.name, names.join(", "), places.join(", "))
}

fn update(table: &Table) -> String {
    let numbered = |range: std::ops::Range<usize>, separator| {
        let columns = table.updated();
        let named: Vec<_> = range.filter_map(|i| Some(format!("{} = ?{}", columns.get(i)?.0, i + 1))).collect();
        named.join(separator)
    };
    let (key, all) = (table.key, table.key + table.changing);
    format!("UPDATE {} SET {} WHERE {}", table.name, numbered(key..all, ", "), numbered(0..key, " AND "))
}

fn found(finder: &Finder) -> String {
    let conditions: Vec<_> =
        finder.columns().iter().enumerate().map(|(i, (name, _))| format!("{name} = ?{}", i + 1)).collect();
    conditions.join(" AND ")
}

pub(crate) fn select(finder: &Finder) -> String {
    let names: Vec<_> = finder.table.names().collect();
    let index = finder.index.map(|index| format!(" INDEXED BY {index}")).unwrap_or_default();
    format!("SELECT {} FROM {}{index} WHERE {}", names.join(", "), finder.table.name, found(finder))
}

fn collect(statement: &mut CachedStatement<'_>, parameters: &[Value], into: &mut Vec<Row>) -> Result<(), StoreError> {
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(parameters))?;
    while let Some(row) = rows.next()? {
        into.push(Row((0..columns).map(|i| read(row.get_ref(i)?)).collect::<Result<_, StoreError>>()?));
    }
    Ok(())
}

fn read(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec().into()),
        ValueRef::Real(_) => return Err(StoreError::Corrupt { what: "a row", reason: "it holds a fraction".into() }),
    })
}

fn text<'a>(row: &[Lent<'a>], column: usize) -> Option<&'a str> {
    if let Some(Lent::Text(text)) = row.get(column) { Some(text) } else { None }
}

#[async_trait]
impl Connection for SqliteConnection {
    async fn begin(&mut self, _: &BTreeSet<TenantId>) -> Result<(), StoreError> {
        // There is no other writer.
        Ok(self.database.execute_batch("BEGIN IMMEDIATE")?)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.database.execute_batch("COMMIT")?)
    }

    async fn rollback(&mut self) -> bool {
        // After a full disk or an I/O error SQLite has rolled back by itself, and the connection may not know it: one
        // that can begin no other transaction is replaced.
        let _was_rolled_back_already = self.database.execute_batch("ROLLBACK").is_err();
        if self.database.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return true;
        }
        tracing::warn!("the connection to the database is replaced after a write failed");
        match Self::open(self.options.clone()) {
            Ok(fresh) => {
                *self = fresh;
                true
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be opened again");
                false
            }
        }
    }

    async fn find(&mut self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut all = Vec::with_capacity(lookups.len());
        for Lookup { finder, keys } in lookups {
            let mut statement = self.statement(finder.table.name, Verb::Find(finder.by), || select(finder))?;
            let mut rows = Vec::with_capacity(keys.len());
            for key in &keys {
                collect(&mut statement, key, &mut rows)?;
            }
            all.push(rows);
        }
        Ok(all)
    }

    async fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Insert(table, rows) => {
                    Self::each(&mut self.statement(table.name, Verb::Insert, || insert(table))?, &rows)?;
                }
                Change::Update(table, rows) => {
                    Self::each(&mut self.statement(table.name, Verb::Update, || update(table))?, &rows)?;
                }
                Change::Delete(finder, keys) => {
                    let text = || format!("DELETE FROM {} WHERE {}", finder.table.name, found(finder));
                    Self::each(&mut self.statement(finder.table.name, Verb::Delete(finder.by), text)?, &keys)?;
                }
                Change::Run(sql, rows) => {
                    Self::each(&mut self.statement(sql, Verb::Own, || own(sql))?, &rows)?;
                }
            }
        }
        Ok(())
    }

    async fn log(&mut self, entries: LogEntries<'_>) -> Result<Vec<bool>, StoreError> {
        let LogEntries { events, webhooks } = entries;
        let mut statement =
            self.statement(webhook_events::TABLE.name, Verb::Insert, || insert(&webhook_events::TABLE))?;
        let new: Vec<bool> = events
            .iter()
            .map(|row| Ok(statement.execute(params_from_iter(row))? == 1))
            .collect::<Result<_, StoreError>>()?;
        drop(statement);
        let brought = events.iter().zip(&new).filter(|(_, new)| **new);
        let brought: HashSet<&str> = brought.filter_map(|(row, _)| text(row, webhook_events::WEBHOOK)).collect();
        let mut statement = self.statement(log::TABLE.name, Verb::Insert, || insert(&log::TABLE))?;
        for row in &webhooks {
            let (Some((always, row)), Some(id)) = (row.split_last(), text(row, log::ID)) else { continue };
            if *always == Lent::Int(1) || brought.contains(id) {
                statement.execute(params_from_iter(row))?;
            }
        }
        Ok(new)
    }

    async fn query(&mut self, sql: &'static str, parameters: Vec<Vec<Value>>) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut statement = self.statement(sql, Verb::Own, || own(sql))?;
        let mut all = Vec::with_capacity(parameters.len());
        for parameters in &parameters {
            let mut rows = Vec::new();
            collect(&mut statement, parameters, &mut rows)?;
            all.push(rows);
        }
        Ok(all)
    }

    async fn execute(&mut self, sql: &str, parameters: Vec<Value>) -> Result<u64, StoreError> {
        let changed = self.database.prepare_cached(&own(sql))?.execute(params_from_iter(&parameters))?;
        Ok(u64::try_from(changed).unwrap_or(0))
    }

    async fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.database.execute_batch(sql)?)
    }

    async fn touch(&mut self) -> Result<(), StoreError> {
        // A number in the file's header that nothing reads.
        Ok(self.database.execute_batch("PRAGMA user_version = 0")?)
    }

    async fn close(&mut self) {
        // As the last of all connections it folds the log into the file.
        match Database::open_in_memory() {
            Ok(nothing) => {
                if let Err((_, error)) = std::mem::replace(&mut self.database, nothing).close() {
                    tracing::warn!(%error, "the database was not closed cleanly; it recovers when it is opened");
                }
            }
            Err(error) => tracing::warn!(%error, "the database was not closed cleanly; it recovers when it is opened"),
        }
        self.texts.clear();
    }
}

/// SQLite numbers parameters with a question mark.
fn own(sql: &str) -> String {
    sql.replace('$', "?")
}

/// Reading connections, opened as they are needed.
#[derive(Debug, Clone)]
pub(crate) struct SqliteReaders {
    options: Arc<Options>,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Database>>>,
}

impl SqliteReaders {
    pub(crate) fn new(options: Options) -> Self {
        Self { options: Arc::new(options), places: Arc::new(Semaphore::new(READERS)), idle: Arc::default() }
    }

    fn open(file: &Path) -> Result<Database, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Database::open_with_flags(file, flags)?;
        database.busy_timeout(Duration::from_secs(5))?;
        database.pragma_update(None, "cache_size", -8192)?;
        Ok(database)
    }

    /// Reads on an idle connection, away from the threads that must not wait.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().pop();
            let database = idle.map_or_else(|| Self::open(&readers.options.file), Ok)?;
            let found = read(&database)?;
            readers.idle.lock().push(database);
            drop(place);
            Ok(found)
        });
        reading.await.map_err(|error| StoreError::Failed(format!("reading: {error}")))?
    }
}

#[async_trait]
impl Readers for SqliteReaders {
    async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let sql = own(sql);
        self.read(move |database| {
            let mut rows = Vec::new();
            collect(&mut database.prepare_cached(&sql)?, &parameters, &mut rows)?;
            Ok(rows)
        })
        .await
    }

    async fn find(&self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read(move |database| {
            let find = |Lookup { finder, keys }: &Lookup| {
                let mut statement = database.prepare_cached(&select(finder))?;
                let mut rows = Vec::with_capacity(keys.len());
                for key in keys {
                    collect(&mut statement, key, &mut rows)?;
                }
                Ok(rows)
            };
            lookups.iter().map(find).collect()
        })
        .await
    }

    fn clock(&self) -> Option<&'static str> {
        None
    }

    async fn close(&self) {
        self.places.close();
        self.idle.lock().clear();
    }
}
