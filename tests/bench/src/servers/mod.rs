//! The servers under load, each in processes of its own: the data plane on its databases, the server that only
//! verifies, the Express handler, and the sandbox in the provider's place.

pub(crate) mod data_plane;
pub(crate) mod database;
pub(crate) mod express;
pub(crate) mod provider;
pub(crate) mod verify;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tests::eventually::eventually;
use tests::process::Process;

use self::database::Database;

/// A server under load, and the processes that its work is charged to.
pub(crate) trait Server {
    /// Where it receives webhooks.
    fn webhooks(&self) -> SocketAddr;
    /// Processor time that its own processes have used so far.
    fn processes_cpu(&self) -> Result<Duration>;
    /// Its database.
    fn database(&self) -> Option<&Database> {
        None
    }
}

/// Processor time that these servers and the database that they share have used so far.
pub(crate) fn cpu(servers: &[&dyn Server]) -> Result<Duration> {
    let processes: Duration = servers.iter().map(|server| server.processes_cpu()).sum::<Result<_>>()?;
    let database = servers.first().and_then(|server| server.database()).map_or(Ok(Duration::ZERO), Database::cpu)?;
    Ok(processes + database)
}

/// Waits until `probe` succeeds. Fails at once when the process has ended.
async fn until(what: &str, process: &mut Process, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let ended = eventually(what, async || match process.still_running() {
        Ok(()) => probe().await.map(Ok),
        Err(ended) => Ok(Err(ended)),
    });
    ended.await?
}

/// Waits until something listens on the address.
async fn listens(process: &mut Process, address: SocketAddr) -> Result<()> {
    until(&format!("something listens on {address}"), process, async || {
        Ok(tokio::net::TcpStream::connect(address).await.map(drop)?)
    })
    .await
}
