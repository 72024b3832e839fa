//! The server that only verifies: the data plane's own router, config and adapter, with a store that accepts
//! everything at once and keeps nothing. The difference from the data plane's figures is the cost of durability.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use dataplane::clock::SystemClock;
use dataplane::config::{Applied, Configs};
use dataplane::metrics::Metrics;
use dataplane::publish::sinks;
use dataplane::serve::listen::{Ends, Serve, Turns, on_every_core};
use dataplane::store::webhook::{HearStop, RecordRequest, Recorded};
use dataplane::store::{StoreError, WebhookLog};
use dataplane::webhooks::{self, WebhookContext};
use listener::{Limits, Listener};
use messaging::id::TenantId;
use providers::HttpSettings;
use tests::process::Process;
use tokio::task::JoinSet;

use super::{Server, listens};
use crate::cost::cpu_of_family;
use crate::tenant::{self, TENANT};

/// The process, seen from the benchmark.
pub(crate) struct VerifyOnly {
    process: Process,
    address: SocketAddr,
}

impl VerifyOnly {
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        tenant::write(directory, "HX0123456789abcdef0123456789abcdef")?;
        let address = ports::free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve-verify", "--listen", &address.to_string(), "--config"]).arg(directory);
        let mut process = Process::start("verify-only", directory, &mut command)?;
        listens(&mut process, address).await?;
        Ok(Self { process, address })
    }
}

impl Server for VerifyOnly {
    fn webhooks(&self) -> SocketAddr {
        self.address
    }

    fn processes_cpu(&self) -> Result<Duration> {
        cpu_of_family(self.process.id())
    }
}

/// The process's own work, until it is killed. It uses the same runtime as the data plane's binary.
#[tokio::main]
pub(crate) async fn serve(listen: SocketAddr, config: &Path) -> Result<()> {
    tests::install_crypto();
    let metrics = Arc::new(Metrics::new()?);
    let client = providers::http_client(HttpSettings::default())?;
    let connect = Arc::new(move |account: &_| providers::connect(account, &client));
    let (adapters, open_sink) = (providers::webhook_adapters().into(), sinks::opener(false)?);
    let configs = Arc::new(Configs::new(connect, adapters, open_sink, Arc::clone(&metrics)));
    let path = config.join(format!("{TENANT}.json"));
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let applied = configs.apply(&TenantId::new(TENANT)?, &bytes);
    ensure!(applied == Applied::New, "the config was not applied: {applied:?}");
    configs.mark_ready();
    let context = WebhookContext {
        fresh: None,
        hints: None,
        store: Arc::new(Nowhere),
        configs,
        clock: Arc::new(SystemClock),
        metrics,
    };
    // As the data plane listens.
    let mut parts = JoinSet::new();
    let limits = Limits { connections: 1024, ..Limits::default() };
    let listener = Listener::new(limits, Arc::new(()));
    let router = webhooks::router(Arc::new(context));
    let serve = Serve { name: "webhooks", listener, router, ends: Ends::default() };
    let turns: Turns = Arc::new(|_| ());
    on_every_core(&mut parts, listen, &serve, &turns)?;
    while let Some(ended) = parts.join_next().await {
        ended?;
    }
    Ok(())
}

/// Accepts every webhook and keeps none.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl WebhookLog for Nowhere {
    async fn record(&self, request: RecordRequest) -> Result<Vec<Recorded>, StoreError> {
        let all_new = |keys: usize| Recorded { new: vec![true; keys] };
        Ok(request.webhooks.iter().map(|webhook| all_new(webhook.dedupe_keys.len())).collect())
    }

    async fn hear_stop(&self, _: HearStop) -> Result<(), StoreError> {
        Ok(())
    }
}
