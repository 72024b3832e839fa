//! A list of an account that all callers share, so that the number of calls depends on the list's age and not on how
//! many objects ask.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use messaging::provider::ProviderError;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How many rows of a list may have changed before it is dropped.
const MOST_CHANGED: usize = 1000;
/// How long a failed list answers the objects that ask next.
const FAILURE_AGE: Duration = Duration::from_secs(2);

/// The last list, if any.
pub(super) struct SharedList<T>(Mutex<Option<Listed<T>>>);

struct Listed<T> {
    /// When the call that fetched it began.
    at: Instant,
    rows: Result<Arc<Vec<T>>, ProviderError>,
    /// The names of what we have changed since.
    changed: BTreeSet<String>,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> SharedList<T> {
    /// The list as it was at most `max_age` ago, and not before we changed anything whose name `concerns` the caller,
    /// which may depend on the list. A caller that asks while a list is under way gets that one.
    pub(super) async fn get(
        &self,
        max_age: Duration,
        concerns: impl Fn(&str, &[T]) -> bool,
        fetch: impl Future<Output = Result<Vec<T>, ProviderError>> + Send,
    ) -> Result<Arc<Vec<T>>, ProviderError> {
        let asked = Instant::now();
        let mut listed = self.0.lock().await;
        if let Some(known) = &*listed {
            let max_age = if known.rows.is_ok() { max_age } else { FAILURE_AGE };
            // A call that began after we asked is as new as one of our own.
            let is_new = known.at >= asked || asked.saturating_duration_since(known.at) < max_age;
            let rows = known.rows.as_ref().map_or(&[][..], |rows| rows);
            if is_new && !known.changed.iter().any(|name| concerns(name, rows)) {
                return known.rows.clone();
            }
        }
        let at = Instant::now();
        let rows = fetch.await.map(Arc::new);
        *listed = Some(Listed { at, rows: rows.clone(), changed: BTreeSet::new() });
        rows
    }

    /// From now on the list is too old for those whom this name concerns, because we changed what has it.
    pub(super) async fn changed(&self, name: &str) {
        let mut listed = self.0.lock().await;
        if let Some(known) = &mut *listed {
            known.changed.insert(name.to_owned());
            if known.changed.len() > MOST_CHANGED {
                *listed = None;
            }
        }
    }

    /// Drops the list, because we changed something in it that may concern everybody.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
