//! What the tasks of the process share.

use std::sync::Arc;

use messaging::clock::Clock;

use crate::clock_check::ClockCheck;
use crate::config::Configs;
use crate::holds::Holds;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::removal::Removals;
use crate::store::Store;

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
