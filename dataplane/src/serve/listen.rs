//! Listeners: the operators' on the process's own runtime, the others with a thread and a small runtime for each core.
//!
//! A request that is read, answered and written on one thread wakes no other one. That takes about a third less CPU
//! time than a runtime whose threads share all connections. The kernel spreads connections over the threads.

use std::net::SocketAddr;
use std::thread::available_parallelism;

use anyhow::Context;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener, ListenerExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::ReceivedAt;

/// Connections that wait to be accepted, for each thread.
const BACKLOG: u32 = 1024;

/// How listeners are stopped.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// They stop accepting, and finish the requests in flight.
    pub gently: CancellationToken,
    /// Requests still in flight are cut off.
    pub at_once: CancellationToken,
}

/// Serves on one thread for each core. Returns the bound address.
pub fn on_every_core(
    tasks: &mut JoinSet<&'static str>,
    name: &'static str,
    address: SocketAddr,
    router: &axum::Router,
    ends: &Ends,
) -> anyhow::Result<SocketAddr> {
    let threads = available_parallelism().map_or(1, usize::from);
    let first = shared(address).with_context(|| format!("{name} at {address}"))?;
    let bound = first.local_addr()?;
    // All are bound before any serves, so that none can fail later.
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(shared(bound).with_context(|| format!("{name} at {bound}"))?);
    }
    for listener in listeners {
        let (router, ends) = (router.clone(), ends.clone());
        let listener = listener.into_std()?;
        tasks.spawn_blocking(move || {
            if let Err(error) = serve_on_this_thread(listener, router, ends) {
                tracing::error!(%error, name, "the listener failed");
            }
            name
        });
    }
    Ok(bound)
}

/// A listener on an address that it shares with the other threads.
fn shared(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn serve_on_this_thread(listener: std::net::TcpListener, router: axum::Router, ends: Ends) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Answers are small, and clients wait for them.
        let listener = TcpListener::from_std(listener)?.tap_io(|connection| drop(connection.set_nodelay(true)));
        let Ends { gently, at_once } = ends;
        let served = axum::serve(listener, router).with_graceful_shutdown(gently.cancelled_owned());
        tokio::select! {
            served = served => served,
            () = at_once.cancelled() => Ok(()),
        }
    })
}

/// Serves on the current runtime, and passes each connection's local address to the handlers.
pub(super) async fn here(
    tasks: &mut JoinSet<&'static str>,
    name: &'static str,
    address: SocketAddr,
    router: axum::Router,
    stop: &CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{name} at {address}"))?;
    let bound = listener.local_addr()?;
    let stop = stop.clone();
    let service = router.into_make_service_with_connect_info::<ReceivedAt>();
    tasks.spawn(async move {
        let served = axum::serve(Sockets(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, name, "the listener failed");
        }
        name
    });
    Ok(bound)
}

/// Accepts connections with their local addresses.
#[derive(Debug)]
struct Sockets(TcpListener);

impl Listener for Sockets {
    type Io = TcpStream;
    type Addr = ReceivedAt;

    async fn accept(&mut self) -> (TcpStream, ReceivedAt) {
        let (connection, _) = Listener::accept(&mut self.0).await;
        drop(connection.set_nodelay(true));
        let received_at = ReceivedAt::of(&connection);
        (connection, received_at)
    }

    fn local_addr(&self) -> std::io::Result<ReceivedAt> {
        self.0.local_addr().map(|address| ReceivedAt(Some(address.ip())))
    }
}

impl Connected<IncomingStream<'_, Sockets>> for ReceivedAt {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        *stream.remote_addr()
    }
}
