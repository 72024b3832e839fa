//! Clients that mean harm, and honest ones among them. Each hostile client has an address of its own, holds on to its
//! connection for as long as the server lets it, and comes back a little later.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::{Outcome, Requests, on_own_thread};
use crate::statistics::Latencies;
use crate::webhook::DATA_PLANE_PATH;

const CLIENTS: u32 = 10_000;
const COMES_BACK_AFTER: Duration = Duration::from_secs(5);
/// The pause between two bytes of a client that drips.
const DRIP: Duration = Duration::from_secs(1);
/// The clients' first connections are spread over this time, before honest requests are timed.
const SETTLING: Duration = Duration::from_secs(5);

/// Sends honest requests at a rate among the hostile clients, each on a new connection. Every one must be answered.
pub(crate) async fn run(address: SocketAddr, per_second: u32, requests: &Arc<Requests>) -> Result<Outcome> {
    let requests = Arc::clone(requests);
    let (end, ended) = oneshot::channel::<()>();
    let harming = on_own_thread(async move {
        let mut clients = JoinSet::new();
        (0..CLIENTS).for_each(|n| drop(clients.spawn(harm(n, address))));
        // Also when the sender is dropped.
        drop(ended.await);
        clients.shutdown().await;
        Ok(())
    });
    let answering = on_own_thread(async move {
        let _end = end;
        tokio::time::sleep(SETTLING).await;
        honest(address, per_second, &requests).await
    });
    let ((), outcome) = tokio::try_join!(harming, answering)?;
    Ok(outcome)
}

async fn honest(address: SocketAddr, per_second: u32, requests: &Arc<Requests>) -> Result<Outcome> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    let mut due = tokio::time::interval(Duration::from_secs(1) / per_second);
    for n in 0..requests.len() {
        due.tick().await;
        let requests = Arc::clone(requests);
        clients.spawn(async move {
            let began = Instant::now();
            let request = requests.get(n).context("a request that was not prepared")?;
            Connection::open(address).await?.call(request).await?;
            anyhow::Ok(began.elapsed())
        });
    }
    let (mut latencies, mut failures) = (Vec::new(), Vec::new());
    while let Some(answered) = clients.join_next().await {
        match answered? {
            Ok(latency) => latencies.push(latency),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    let (failed, first) = (failures.len(), failures.first().map_or("", String::as_str));
    ensure!(failures.is_empty(), "{failed} of {} honest requests failed: {first}", requests.len());
    Ok(Outcome { elapsed: began.elapsed(), latencies: Latencies::new(latencies) })
}

/// One hostile client, until it is dropped.
async fn harm(n: u32, address: SocketAddr) {
    tokio::time::sleep(SETTLING / CLIENTS * n).await;
    loop {
        // The server may close or refuse it at any time.
        drop(hold(n, address).await);
        tokio::time::sleep(COMES_BACK_AFTER).await;
    }
}

/// Holds one connection until the server closes it.
async fn hold(n: u32, address: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address_of(n), 0)))?;
    let mut stream = socket.connect(address).await?;
    let header = "GET / HTTP/1.1\r\nhost: whatsapp.example.com\r\n";
    match n % 6 {
        0 => until_closed(&mut stream).await,
        1 => {
            stream.write_all(format!("{header}x-long: {}", "a".repeat(31_000)).as_bytes()).await?;
            until_closed(&mut stream).await
        }
        2 => {
            stream.write_all(format!("{header}x-longer: {}", "a".repeat(380_000)).as_bytes()).await?;
            until_closed(&mut stream).await
        }
        3 => {
            stream.write_all(header.as_bytes()).await?;
            drip(&mut stream).await
        }
        4 => {
            let header = format!("POST {DATA_PLANE_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n");
            stream.write_all((header + &"a".repeat(60_000)).as_bytes()).await?;
            drip(&mut stream).await
        }
        _ => {
            stream.write_all(format!("{header}\r\n").as_bytes()).await?;
            until_closed(&mut stream).await
        }
    }
}

async fn until_closed(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        tokio::time::sleep(DRIP).await;
        stream.write_all(b"a").await?;
    }
}

/// An address on loopback, another one for each client.
fn address_of(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + n)
}
