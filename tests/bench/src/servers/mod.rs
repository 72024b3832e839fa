//! What is put under load, each as processes of its own: the data plane on its databases, the server that only verifies,
//! the handler that it is compared with, and the sandbox in the provider's place.

pub(crate) mod data_plane;
pub(crate) mod database;
pub(crate) mod express;
pub(crate) mod provider;
pub(crate) mod verify;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Result;
use tests::eventually::eventually;
use tests::process::Process;

use self::database::Database;

/// A server under load, and what its work is charged to.
pub(crate) trait Server {
    /// Where it takes webhooks.
    fn webhooks(&self) -> SocketAddr;
    /// Processor time used so far by its own processes.
    fn processes_cpu(&self) -> Result<Duration>;
    /// The database that works for it.
    fn database(&self) -> Option<&Database> {
        None
    }
}

/// Processor time used so far by these servers and the one database that they share.
pub(crate) fn cpu(servers: &[&dyn Server]) -> Result<Duration> {
    let processes: Duration = servers.iter().map(|server| server.processes_cpu()).sum::<Result<_>>()?;
    let database = servers.first().and_then(|server| server.database()).map_or(Ok(Duration::ZERO), Database::cpu)?;
    Ok(processes + database)
}

/// A port of loopback that is free now.
fn free_address() -> Result<SocketAddr> {
    let [address] = free_addresses()?;
    Ok(address)
}

/// Several. All are held until the last is found, so that no two are the same.
fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let held: Vec<TcpListener> = (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); COUNT];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// Waits until `probe` succeeds; an error at once when the process has ended.
async fn until(what: &str, process: &mut Process, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let ended = eventually(what, async || match process.still_running() {
        Ok(()) => probe().await.map(Ok),
        Err(ended) => Ok(Err(ended)),
    });
    ended.await?
}

/// Waits until something listens there.
async fn listens(process: &mut Process, address: SocketAddr) -> Result<()> {
    until(&format!("something listens on {address}"), process, async || {
        Ok(tokio::net::TcpStream::connect(address).await.map(drop)?)
    })
    .await
}
