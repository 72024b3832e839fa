//! Real PostgreSQL servers for tests and benchmarks: started, crashed, started again, replicated and promoted.
//!
//! [`Server::launch`] creates a database cluster in a new directory and runs it as a child of this process, as durable
//! as in production. [`shared`] is one such server for all tests of a process; each test has its own database. Nothing
//! is left behind, however this process ends.
//!
//! There is no database driver here: every query goes through `psql`.

mod account;
mod postmaster;
mod processor;
mod programs;
mod proxy;
mod remains;
mod server;
mod standby;
mod wait;
mod watchdog;

use anyhow::Result;
use tokio::sync::OnceCell;

pub use crate::programs::Programs;
pub use crate::proxy::Proxy;
pub use crate::server::Server;

static SHARED: OnceCell<Server> = OnceCell::const_new();

/// The server that all tests of this process share. The first caller starts it, and it ends with the process.
pub async fn shared() -> Result<&'static Server> {
    // Every test of a binary may hold a pool at the same time.
    SHARED.get_or_try_init(|| Server::launch(&[("max_connections", "400")])).await
}
