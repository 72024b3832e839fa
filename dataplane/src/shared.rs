//! What the tasks of the process share.

use std::sync::Arc;

use messaging::clock::Clock;
use messaging::id::{SenderName, TenantId};

use crate::clock_check::ClockCheck;
use crate::config::Configs;
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::removal::Removals;
use crate::store::Store;
use crate::store::message::Sinks;

/// One of each for the process. A clone is another handle to the same ones.
#[derive(Clone)]
pub struct Shared {
    pub store: Store,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub clock_check: Arc<ClockCheck>,
    pub metrics: Arc<Metrics>,
    pub holds: Arc<Holds>,
    pub progress: Arc<Progress>,
    pub removals: Arc<Removals>,
}

impl Shared {
    /// The sinks that hear of a message that ends without its sender's doing. A removed sender has none.
    pub fn sinks_of(&self, tenant: &TenantId, sender: &SenderName) -> Sinks {
        let config = self.configs.get(tenant);
        match config.as_deref().and_then(|config| config.sender(sender)) {
            Some(sender) => Sinks::Configured(sender.sinks()),
            None if self.removals.is_removed(tenant, sender) => Sinks::Configured(Vec::new()),
            None => Sinks::LastKnown,
        }
    }
}
