//! A simulator of Twilio, for the demo, the tests and first steps.
//!
//! It shares no code with the adapters that it is used to test. `README.md` says what it simulates and what not, and
//! describes the control API under `/sandbox/`, whose Rust client is [`Client`].
//!
//! Reading order: a request arrives at [`server`], which may inject a fault. A [`provider`] answers it, and changes its
//! own state and the [`world`]; the [`stage`] holds them all. What happens later by itself is a step that [`engine`]
//! takes when it is due, and [`deliver`] sends the webhooks.

mod address;
mod client;
mod clock;
pub mod config;
mod control;
mod crypto;
mod delays;
mod deliver;
mod engine;
mod http;
mod ids;
mod provider;
mod reaction;
pub mod seed;
mod server;
mod stage;
mod timetable;
pub mod twilio;
pub mod types;
mod world;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::{
    client::{Client, ControlError},
    config::{Config, Delays},
};
use self::{
    deliver::Deliverer,
    stage::{Shared, Stage},
};

/// The sandbox, before it runs.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Binds, and starts serving in the background of the current runtime.
    pub async fn start(config: Config) -> anyhow::Result<Running> {
        crypto::install();
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let base_url = format!("http://{address}");
        let per_receiver = config.deliveries_per_receiver;
        let shared = Arc::new(Shared::new(Stage::new(config, base_url.clone())?));
        let stop = CancellationToken::new();
        let deliverer = Deliverer::new(shared.clone(), per_receiver, stop.clone())?;
        let mut tasks = JoinSet::new();
        tasks.spawn(engine::run(shared.clone(), deliverer, stop.clone()));
        tasks.spawn(server::run(listener, shared, stop.clone()));
        Ok(Running { base_url, address, stop, tasks })
    }
}

/// A sandbox that is serving. Dropping it stops it at once; [`Running::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Running {
    base_url: String,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// The base URL of every host of the provider, such as `http://127.0.0.1:4010`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of the control API.
    pub fn control(&self) -> Client {
        Client::new(&self.base_url)
    }

    /// Returns when one of the sandbox's tasks has ended, which without [`Running::shutdown`] is a defect.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Err(error)) => anyhow::Error::new(error).context("a task of the sandbox ended"),
            Some(Ok(())) | None => anyhow::anyhow!("a task of the sandbox ended"),
        }
    }

    /// Stops serving and sending.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
