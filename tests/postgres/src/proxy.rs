//! A TCP proxy that breaks connections on request, for use between a program and its database in a test.
//!
//! It forwards bytes without interpreting them.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The largest piece that is forwarded at once, in bytes.
const PIECE: usize = 16 * 1024;
/// How many pieces of one direction may be in flight, delayed or frozen, before reading pauses.
const UNDER_WAY: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    refusing: bool,
    frozen: bool,
    delay: Duration,
}

/// Forwards connections to one target. Dropping it resets them all.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    cuts: mpsc::Sender<oneshot::Sender<usize>>,
    // Dropping it aborts the task, and with it those of the connections.
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1. The target is dialled anew for each connection, so it may come and go.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening the proxy's port")?;
        let address = listener.local_addr()?;
        // Two handles of one socket: tokio's own may not know yet which connections are waiting to be accepted.
        let direct = listener.into_std()?;
        let listener = TcpListener::from_std(direct.try_clone()?)?;
        let (weather, changes) = watch::channel(Weather::default());
        let (cuts, cutting) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, direct, target, changes, cutting));
        Ok(Self { address, weather, cuts, _accepting: accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection that a client has opened, and returns how many were open once they are gone. New
    /// connections are accepted as before.
    pub async fn cut(&self) -> Result<usize> {
        let (done, cut) = oneshot::channel();
        self.cuts.send(done).await.context("the proxy has ended")?;
        cut.await.context("the proxy has ended")
    }

    /// Whether new connections are reset as soon as they are made. Those that are open stay.
    pub fn refuse(&self, refusing: bool) {
        self.weather.send_modify(|weather| weather.refusing = refusing);
    }

    /// Whether nothing passes, neither bytes nor the end of a connection. Sockets stay open and new connections are
    /// accepted, as on a network that drops every packet. What is sent meanwhile arrives afterwards.
    pub fn freeze(&self, frozen: bool) {
        self.weather.send_modify(|weather| weather.frozen = frozen);
    }

    /// The latency that the proxy adds in each direction. It does not reduce throughput.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }
}

async fn accept(
    listener: TcpListener,
    direct: std::net::TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    mut cuts: mpsc::Receiver<oneshot::Sender<usize>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if weather.borrow().refusing => reset(&client),
                Ok((client, _)) => {
                    connections.spawn(forward(client, target, weather.clone()));
                }
                Err(error) => {
                    // The kernel refuses connections from now on, and the test fails at its next one.
                    eprintln!("the proxy to {target} can accept no further connections: {error}");
                    return;
                }
            },
            Some(done) = cuts.recv() => {
                while connections.try_join_next().is_some() {}
                let mut cut = connections.len();
                while let Ok((client, _)) = direct.accept() {
                    // An error means that the client is already gone.
                    if let Ok(client) = client.set_nonblocking(true).and_then(|()| TcpStream::from_std(client)) {
                        reset(&client);
                    }
                    cut += 1;
                }
                connections.shutdown().await;
                if done.send(cut).is_err() {
                    // The caller has given up waiting.
                }
            }
            // The peers of a connection see its errors.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Makes a connection end with a reset instead of an orderly close, once it is dropped.
fn reset(stream: &TcpStream) {
    // An error means that there is no connection left to be reset.
    drop(stream.set_zero_linger());
}

/// Two connections that both close gracefully, or are both reset.
struct Pair {
    client: TcpStream,
    server: Option<TcpStream>,
    orderly: bool,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !self.orderly {
            reset(&self.client);
            self.server.iter().for_each(reset);
        }
    }
}

async fn forward(client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) -> io::Result<()> {
    let mut pair = Pair { client, server: None, orderly: false };
    thaw(&weather).await?;
    let server = pair.server.insert(TcpStream::connect(target).await?);
    pair.client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = pair.client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        one_direction(from_client, to_server, weather.clone()),
        one_direction(from_server, to_client, weather)
    )?;
    pair.orderly = true;
    Ok(())
}

async fn one_direction(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let (sender, mut line) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let changes = weather.clone();
    let reading = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let length = match from.read(&mut piece).await {
                Ok(length) => length,
                Err(error) => {
                    thaw(&changes).await?;
                    return Err(error);
                }
            };
            piece.truncate(length);
            let due = Instant::now() + changes.borrow().delay;
            if sender.send((due, piece)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = line.recv().await {
            sleep_until(due).await;
            thaw(&weather).await?;
            // The empty piece means that the sender has closed its half.
            if piece.is_empty() {
                to.shutdown().await?;
            } else {
                to.write_all(&piece).await?;
            }
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}

async fn thaw(weather: &watch::Receiver<Weather>) -> io::Result<()> {
    let frozen = weather.clone().wait_for(|weather| !weather.frozen).await.is_err();
    if frozen { Err(io::Error::new(ErrorKind::BrokenPipe, "the proxy has ended")) } else { Ok(()) }
}
