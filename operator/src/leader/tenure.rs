//! Whether this process still leads, as the API server knows it.
//!
//! A process that was held up may run for a moment after another took over, before its own clock tells it. What it read
//! before it asks here is no newer than its tenure, so a write over the version that it read overwrites nothing newer.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

/// The tenure of one leader.
#[derive(Debug, Clone)]
pub enum Tenure {
    /// There is no election, so there is no other leader.
    Unelected,
    Elected {
        leases: Box<Api<Lease>>,
        lease: String,
        /// As the Lease names its holder.
        me: String,
    },
}

impl Tenure {
    /// Asks whether the Lease still names this process. Read first what you will write over, and ask then.
    ///
    /// # Errors
    /// When the API server does not answer, and it is not known.
    pub async fn lasts(&self) -> Result<bool, kube::Error> {
        match self {
            Self::Unelected => Ok(true),
            Self::Elected { leases, lease, me } => {
                let found = leases.get_opt(lease).await?;
                Ok(found.and_then(|lease| lease.spec?.holder_identity).is_some_and(|holder| holder == *me))
            }
        }
    }
}
