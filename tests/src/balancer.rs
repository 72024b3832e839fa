//! A load balancer in front of replicas, with their only public address.
//!
//! It forwards each connection to the next replica that accepts one. A replica that dies loses its connections, as
//! behind a real balancer.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards connections until it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Balancer {
    pub async fn start(replicas: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening the balancer's port")?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, replicas));
        Ok(Self { address, _accepting: accepting })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The base URL to call.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener, replicas: Vec<SocketAddr>) {
    let mut connections = JoinSet::new();
    let mut turn = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                turn += 1;
                let mut order = replicas.clone();
                order.rotate_left(turn % replicas.len().max(1));
                connections.spawn(forward(client, order));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(mut client: TcpStream, order: Vec<SocketAddr>) {
    for replica in order {
        if let Ok(mut server) = TcpStream::connect(replica).await {
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            // An error comes from one of the ends, and both see it.
            drop(copy_bidirectional(&mut client, &mut server).await);
            return;
        }
    }
}
