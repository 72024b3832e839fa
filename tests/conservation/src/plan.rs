//! The parameters of one run.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// Repeats a run: the seed that it printed.
const SEED: &str = "CONSERVATION_SEED";
/// How long the clients and the chaos run, such as `90s`.
const DURATION: &str = "CONSERVATION_DURATION";

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub tenants: usize,
    pub replicas: usize,
    pub store: Store,
    /// How long the clients and the chaos run.
    pub load: Duration,
    /// Sends that each tenant's clients begin per second. Customers write half as often.
    pub sends_per_second: u32,
    /// What may go wrong.
    pub chaos: Chaos,
    /// How long everything may take to settle by itself afterwards, except what takes long by design.
    pub by_itself: Duration,
}

/// Longer than the longest pause that nothing excuses: a replica that is to ask about a message whose tenant is absent
/// just then looks again after a minute.
const BY_ITSELF: Duration = Duration::from_secs(75);

/// Where the replicas keep their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file; there is one replica.
    Sqlite,
    Postgres,
    /// Two servers, the second a synchronous standby of the first.
    PostgresWithStandby,
}

/// What goes wrong while the clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {
    None,
    /// Everything but the loss of a database server.
    All,
    /// Once, in the middle: the primary is killed and the standby promoted.
    Failover,
}

impl Plan {
    /// Some seconds of every fault, on a store for this many replicas. The environment may set the seed and the
    /// duration.
    pub fn short(store: Store) -> Result<Self> {
        let replicas = if store == Store::Sqlite { 1 } else { 3 };
        let plan = Self {
            seed: rand::random(),
            tenants: 4,
            replicas,
            store,
            load: Duration::from_secs(20),
            sends_per_second: 4,
            chaos: Chaos::All,
            by_itself: BY_ITSELF,
        };
        plan.with_environment()
    }

    fn with_environment(mut self) -> Result<Self> {
        if let Ok(seed) = std::env::var(SEED) {
            self.seed = seed.parse().with_context(|| format!("{SEED} is {seed:?}: expected a whole number"))?;
        }
        if let Ok(text) = std::env::var(DURATION) {
            let duration: SignedDuration =
                text.parse().with_context(|| format!("{DURATION} is {text:?}: expected a duration such as 90s"))?;
            self.load = duration.try_into().with_context(|| format!("{DURATION} is negative"))?;
        }
        Ok(self)
    }

    /// Randomness for one purpose: the same for the same seed and name, whatever other purposes draw.
    pub fn chance(&self, name: &str) -> StdRng {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(name.as_bytes());
        StdRng::from_seed(hash.finalize().into())
    }
}
