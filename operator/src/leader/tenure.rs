//! Whether this process still leads: by its own clock, and as the API server knows it.
//!
//! By its own clock, it leads until the deadline by which it must have renewed its Lease; no call that changes anything
//! at a provider begins after that. Another process may take over only later. A process that was held up may run for a
//! moment after another took over, before its own clock tells it. What it read before it asks here is no newer than its
//! tenure, so a write over the version that it read overwrites nothing newer.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use parking_lot::Mutex;
use tokio::time::Instant;

/// By when the Lease must have been renewed. It moves with every renewal.
#[derive(Debug, Clone)]
pub struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    pub fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    pub(crate) fn set(&self, at: Instant) {
        *self.0.lock() = at;
    }
}

/// The tenure of one leader.
#[derive(Debug, Clone, Default)]
pub enum Tenure {
    /// There is no election, so there is no other leader.
    #[default]
    Unelected,
    Elected {
        leases: Box<Api<Lease>>,
        lease: String,
        /// As the Lease names its holder.
        me: String,
        deadline: Deadline,
    },
}

impl Tenure {
    /// Whether it has not ended by this process's own clock. Ask right before a write, after everything that may wait.
    pub fn may_write(&self, now: Instant) -> bool {
        match self {
            Self::Unelected => true,
            Self::Elected { deadline, .. } => now < *deadline.0.lock(),
        }
    }

    /// Asks whether the Lease still names this process. Read first what you will write over, and ask then.
    ///
    /// # Errors
    /// When the API server does not answer, and it is not known.
    pub async fn lasts(&self) -> Result<bool, kube::Error> {
        match self {
            Self::Unelected => Ok(true),
            Self::Elected { leases, lease, me, .. } => {
                let found = leases.get_opt(lease).await?;
                Ok(found.and_then(|lease| lease.spec?.holder_identity).is_some_and(|holder| holder == *me))
            }
        }
    }
}
