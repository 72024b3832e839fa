//! Sockets: the operators' on the process's own runtime, the others with a thread and a small runtime for each core.
//!
//! A request that is read, answered and written on one thread wakes no other one. That takes about a third less CPU
//! time than a runtime whose threads share all connections. The kernel spreads connections over the threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use listener::{Closed, Limits, Listener, Witness};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::{ListenerLabel, Metrics};

/// Connections that wait to be accepted, for each thread.
const BACKLOG: u32 = 1024;
/// The most connections of operators, probes and Prometheus at once.
const ADMIN_CONNECTIONS: usize = 64;

/// How listeners are stopped.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// They stop accepting, and finish the requests in flight.
    pub gently: CancellationToken,
    /// Requests still in flight are cut off.
    pub at_once: CancellationToken,
}

/// A listener within its limits.
#[derive(Clone)]
pub struct Serve {
    pub name: &'static str,
    pub listener: Arc<Listener>,
    pub router: axum::Router,
    pub ends: Ends,
}

/// The limits of a listener, of those that are configured for the webhooks' and the tenants' ones.
pub(super) fn limits(of: ListenerLabel, configured: &Limits, descriptors: usize) -> Limits {
    let limits = match of {
        ListenerLabel::Webhooks | ListenerLabel::Api => configured.clone(),
        ListenerLabel::Admin => Limits { connections: ADMIN_CONNECTIONS, per_peer: None, ..configured.clone() },
    };
    Limits { connections: listener::descriptors::share(limits.connections, descriptors), ..limits }
}

/// Counts a listener's connections.
pub(super) struct Counted {
    pub(super) label: ListenerLabel,
    pub(super) metrics: Arc<Metrics>,
}

impl Witness for Counted {
    fn opened(&self, by: i64) {
        self.metrics.connections(self.label, by);
    }

    fn closed(&self, why: Closed) {
        self.metrics.connection_closed(self.label, why);
    }
}

/// Is told now and then that a thread of a listener, by its number, has time for something else than one request.
pub type Turns = Arc<dyn Fn(usize) + Send + Sync>;

/// How often it is told.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Serves on one thread for each core. Returns the bound address.
pub fn on_every_core(
    tasks: &mut JoinSet<&'static str>,
    address: SocketAddr,
    serve: &Serve,
    turns: &Turns,
) -> anyhow::Result<SocketAddr> {
    let name = serve.name;
    let threads = available_parallelism().map_or(1, usize::from);
    let first = shared(address).with_context(|| format!("{name} at {address}"))?;
    let bound = first.local_addr()?;
    // All are bound before any serves, so that none can fail later.
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(shared(bound).with_context(|| format!("{name} at {bound}"))?);
    }
    for (thread, socket) in sockets.into_iter().enumerate() {
        let (serve, turns) = (serve.clone(), Arc::clone(turns));
        let socket = socket.into_std()?;
        tasks.spawn_blocking(move || {
            if let Err(error) = serve_on_this_thread(socket, serve, &|| turns(thread)) {
                tracing::error!(%error, name, "the listener failed");
            }
            name
        });
    }
    Ok(bound)
}

/// A socket on an address that it shares with the other threads.
fn shared(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn serve_on_this_thread(socket: std::net::TcpListener, serve: Serve, turns: &dyn Fn()) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tell = async {
            let mut every = tokio::time::interval(TOLD_EVERY);
            loop {
                every.tick().await;
                turns();
            }
        };
        tokio::select! {
            () = until_it_ends(TcpListener::from_std(socket)?, serve) => {}
            () = tell => {}
        }
        Ok(())
    })
}

async fn until_it_ends(socket: TcpListener, serve: Serve) {
    let Serve { name: _, listener, router, ends: Ends { gently, at_once } } = serve;
    tokio::select! {
        () = listener.serve(socket, router, gently) => {}
        () = at_once.cancelled() => {}
    }
}

/// Serves on the current runtime.
pub(super) async fn here(
    tasks: &mut JoinSet<&'static str>,
    address: SocketAddr,
    serve: Serve,
) -> anyhow::Result<SocketAddr> {
    let name = serve.name;
    let socket = TcpListener::bind(address).await.with_context(|| format!("{name} at {address}"))?;
    let bound = socket.local_addr()?;
    tasks.spawn(async move {
        until_it_ends(socket, serve).await;
        name
    });
    Ok(bound)
}
