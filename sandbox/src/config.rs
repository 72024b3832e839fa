//! How a sandbox is set up.

use std::net::SocketAddr;

pub use crate::delays::Delays;
use crate::seed::Seed;

/// The settings of one sandbox. [`Config::default`] suits tests: a free port, short delays, no accounts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The scheme and host that absolute links carry. Absent: `http://` and the `Host` that the caller used.
    pub public_base: Option<String>,
    pub delays: Delays,
    /// How many requests, webhooks and messages are kept, each; the oldest are forgotten first.
    pub keep: usize,
    /// Concurrent webhooks to one receiver (scheme, host and port); the others wait.
    pub deliveries_per_receiver: usize,
    /// The seed of ids and of rules with a probability. Absent: different each time.
    pub random_seed: Option<u64>,
    /// What exists at the start and after a reset.
    pub seed: Seed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_base: None,
            delays: Delays::default(),
            keep: 50_000,
            deliveries_per_receiver: 64,
            random_seed: None,
            seed: Seed::default(),
        }
    }
}
