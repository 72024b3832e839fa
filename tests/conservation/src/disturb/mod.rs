//! Faults around the replicas: the provider is away for a while, tenants are removed and put back, and strangers open
//! connections that dangle. They go on beside [`chaos`](crate::chaos), which is about the replicas and what they run
//! on.

mod absence;
mod away;
mod dangle;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sandbox::Client;
use tokio::time::Instant;

use crate::plan::{Chaos, Plan};
use crate::tenant::Tenant;
use crate::world::World;

/// What is disturbed.
pub struct Around {
    control: Client,
    provider: String,
    public_url: String,
    configs: PathBuf,
    tenants: Arc<Vec<Tenant>>,
    listeners: Vec<SocketAddr>,
}

/// What was done, for the report of the run.
#[derive(Debug, Default)]
pub struct Disturbed {
    away: Duration,
    removals: usize,
    dangling: usize,
}

impl Around {
    pub fn of(world: &World) -> Self {
        let replicas = world.replicas.iter();
        Self {
            control: world.control.clone(),
            provider: world.sandbox.base_url().to_owned(),
            public_url: world.balancer.url(),
            configs: world.configs(),
            tenants: Arc::clone(&world.tenants),
            listeners: replicas.flat_map(|replica| [replica.webhooks, replica.api]).collect(),
        }
    }

    /// Disturbs for the plan's load, if anything may go wrong, and sets everything right again.
    pub async fn disturb(&self, plan: &Plan) -> Result<Disturbed> {
        if plan.chaos != Chaos::All {
            return Ok(Disturbed::default());
        }
        let end = Instant::now() + plan.load;
        let (away, removals, dangling) = tokio::try_join!(
            away::act(self, plan.load, plan.chance("the provider is away")),
            absence::act(self, end, plan.chance("tenants are removed")),
            dangle::act(self, end, plan.chance("connections dangle")),
        )?;
        Ok(Disturbed { away, removals, dangling })
    }
}

impl fmt::Display for Disturbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { away, removals, dangling } = self;
        write!(
            f,
            "provider away for {} s, tenants removed {removals}, connections left dangling {dangling}",
            away.as_secs()
        )
    }
}
