//! Reading connections, made as they are needed and kept while they are good.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::connect::{Link, Target, failed};
use super::{arrays, find, parameters, within};
use crate::store::StoreError;
use crate::store::database::{Lookup, Readers};
use crate::store::tables::value::{Row, Value};

/// Connections that read at once.
const READERS: usize = 4;

/// What is to be read.
enum Question<'a> {
    Statement(&'a str, &'a [Value]),
    Lookups(&'a [Lookup]),
}

impl Question<'_> {
    async fn ask(&self, link: &mut Link) -> Result<Vec<Vec<Row>>, StoreError> {
        match self {
            Self::Statement(sql, list) => {
                let statement = link.prepare(sql).await?;
                let rows = link.client.query(&statement, &parameters(list)).await.map_err(failed)?;
                Ok(vec![rows.iter().map(arrays::read).collect::<Result<_, StoreError>>()?])
            }
            Self::Lookups(lookups) => find(link, lookups).await,
        }
    }
}

#[derive(Clone)]
pub(crate) struct PostgresReaders {
    target: Arc<Target>,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Link>>>,
}

impl fmt::Debug for PostgresReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReaders").field("target", &self.target).finish_non_exhaustive()
    }
}

impl PostgresReaders {
    pub(crate) fn new(target: Target) -> Self {
        Self { target: Arc::new(target), places: Arc::new(Semaphore::new(READERS)), idle: Arc::default() }
    }

    /// Reads on a connection that was kept. What fails there is read once more on a new one: the tables may have
    /// changed since its statements were prepared, the server may have ended it or be another one's standby now.
    async fn read(&self, question: Question<'_>) -> Result<Vec<Vec<Row>>, StoreError> {
        within(async {
            let _place = self.places.acquire().await.map_err(|_| StoreError::Closed)?;
            let kept = self.idle.lock().pop().filter(|link| !link.client.is_closed());
            if let Some(mut link) = kept {
                match question.ask(&mut link).await {
                    Ok(found) => {
                        self.idle.lock().push(link);
                        return Ok(found);
                    }
                    Err(error) => {
                        tracing::info!(%error, "a read failed on a connection that was kept; a new one is made");
                        // The others are as old.
                        self.idle.lock().clear();
                    }
                }
            }
            let mut link = self.target.connect().await?;
            let found = question.ask(&mut link).await?;
            self.idle.lock().push(link);
            Ok(found)
        })
        .await
    }
}

#[async_trait]
impl Readers for PostgresReaders {
    async fn query(&self, sql: &str, list: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Ok(self.read(Question::Statement(sql, &list)).await?.concat())
    }

    async fn find(&self, lookups: Vec<Lookup>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read(Question::Lookups(&lookups)).await
    }

    fn clock(&self) -> Option<&'static str> {
        Some("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
    }

    async fn close(&self) {
        self.places.close();
        self.idle.lock().clear();
    }
}
