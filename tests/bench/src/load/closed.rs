//! Closed load: a fixed number of connections, each with one request in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::{Outcome, Requests, on_own_thread};
use crate::statistics::Latencies;

/// Sends every request once; the connections are spread over the addresses evenly.
pub(crate) async fn run(addresses: &[SocketAddr], connections: usize, requests: &Arc<Requests>) -> Result<Outcome> {
    let (addresses, requests) = (addresses.to_vec(), Arc::clone(requests));
    on_own_thread(async move {
        let mut open = Vec::new();
        for address in addresses.iter().cycle().take(connections) {
            open.push(Connection::open(*address).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for connection in open {
            clients.spawn(client(connection, Arc::clone(&requests), Arc::clone(&next)));
        }
        let mut latencies = Vec::with_capacity(requests.len());
        while let Some(done) = clients.join_next().await {
            latencies.extend(done??);
        }
        let elapsed = began.elapsed();
        ensure!(
            latencies.len() == requests.len(),
            "only {} of {} requests were answered",
            latencies.len(),
            requests.len()
        );
        Ok(Outcome { elapsed, latencies: Latencies::new(latencies) })
    })
    .await
}

/// Sends requests one after another until none are left.
async fn client(
    mut connection: Connection,
    requests: Arc<Requests>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<std::time::Duration>> {
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        connection.call(request).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}
