//! A list of an account that all callers share, so that the number of calls depends on the list's age and not on how
//! many objects ask.

use std::sync::Arc;
use std::time::Duration;

use messaging::provider::ProviderError;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a failed list answers the objects that ask next.
const FAILURE_AGE: Duration = Duration::from_secs(2);

/// The last list, if any.
pub(super) struct SharedList<T>(Mutex<Option<Listed<T>>>);

struct Listed<T> {
    /// When the call that fetched it began.
    at: Instant,
    rows: Result<Arc<Vec<T>>, ProviderError>,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> SharedList<T> {
    /// The list as it was at most `max_age` ago. A caller that asks while a list is under way gets that one.
    pub(super) async fn get(
        &self,
        max_age: Duration,
        fetch: impl Future<Output = Result<Vec<T>, ProviderError>> + Send,
    ) -> Result<Arc<Vec<T>>, ProviderError> {
        let asked = Instant::now();
        let mut listed = self.0.lock().await;
        if let Some(known) = &*listed {
            let max_age = if known.rows.is_ok() { max_age } else { FAILURE_AGE };
            // A call that began after we asked is as new as one of our own.
            if known.at >= asked || asked.saturating_duration_since(known.at) < max_age {
                return known.rows.clone();
            }
        }
        let at = Instant::now();
        let rows = fetch.await.map(Arc::new);
        *listed = Some(Listed { at, rows: rows.clone() });
        rows
    }

    /// Drops the list, because we changed something in it.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
