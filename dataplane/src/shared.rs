//! What the parts of the process share.

use std::sync::Arc;

use messaging::clock::Clock;

use crate::config::Configs;
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::store::Store;

/// One of each in a process; a clone is another handle on the same.
#[derive(Clone)]
pub struct Shared {
    pub store: Store,
    pub configs: Arc<Configs>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub holds: Arc<Holds>,
}
