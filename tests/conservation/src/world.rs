//! Everything that one run needs, as real as possible without Kubernetes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use sandbox::Client;
use sandbox::types::Reply;
use sandbox::{Config, Delays, Running, Sandbox};
use tempfile::TempDir;
use tests::api::TenantApi;
use tests::eventually::eventually;

use crate::balancer::Balancer;
use crate::database::Database;
use crate::plan::Plan;
use crate::replica::Replica;
use crate::tenant::Tenant;

/// How many records of each kind the sandbox keeps: more than the longest run creates.
const KEEP: usize = 2_000_000;

/// A running system. Everything ends when it is dropped.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: the processes first, then what they depend on.
    pub replicas: Vec<Replica>,
    pub balancer: Balancer,
    pub tenants: Arc<Vec<Tenant>>,
    pub control: Client,
    pub sandbox: Running,
    pub database: Database,
    pub folder: TempDir,
}

/// A new folder for the processes of one run. `KEEP_LOGS` keeps it.
pub fn run_folder(prefix: &str) -> Result<TempDir> {
    let mut folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
    if std::env::var_os("KEEP_LOGS").is_some() {
        folder.disable_cleanup(true);
        eprintln!("the processes' logs are kept in {}", folder.path().display());
    }
    Ok(folder)
}

fn configs_in(folder: &Path) -> PathBuf {
    folder.join("configs")
}

impl World {
    pub async fn start(plan: &Plan) -> Result<Self> {
        tests::install_crypto();
        let folder = run_folder("whatsapp-conservation-")?;
        let delays = Delays { status: Duration::from_millis(40), ..Config::default().delays };
        let config = Config { delays, keep: KEEP, random_seed: Some(plan.seed), ..Config::default() };
        let sandbox = Sandbox::start(config).await?;
        let control = sandbox.control();
        let database = Database::start(plan.store, plan.replicas, folder.path()).await?;

        let configs = configs_in(folder.path());
        std::fs::create_dir(&configs)?;
        let replicas: Vec<Replica> = (0..plan.replicas)
            .map(|n| Replica::new(format!("replica-{n}"), database.url_for(n), &configs))
            .collect::<Result<_>>()?;
        let balancer = Balancer::start(replicas.iter().map(|replica| replica.webhooks).collect()).await?;
        let mut tenants = Vec::new();
        for index in 0..plan.tenants {
            let tenant = Tenant::create(index, &control, sandbox.base_url(), &balancer.url()).await?;
            tenant.write_config(&configs, &balancer.url(), sandbox.base_url())?;
            tenants.push(tenant);
        }
        let tenants = Arc::new(tenants);
        let mut world = Self { replicas, balancer, tenants, control, sandbox, database, folder };
        for replica in &mut world.replicas {
            replica.start(world.folder.path())?;
        }
        world.ready().await?;
        world.open_windows().await?;
        Ok(world)
    }

    /// The folder with the output of all processes.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder with the tenants' configs.
    pub fn configs(&self) -> PathBuf {
        configs_in(self.path())
    }

    /// A tenant's client for each replica.
    pub fn apis(&self, tenant: usize) -> Vec<TenantApi> {
        let key = &self.tenants[tenant].api_key;
        self.replicas.iter().map(|replica| TenantApi::new(format!("http://{}", replica.api), key)).collect()
    }

    pub fn webhook_listeners(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.webhooks).collect()
    }

    /// Waits until every running replica is ready.
    pub async fn ready(&mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica.ready(self.folder.path()).await?;
        }
        Ok(())
    }

    /// Every customer writes once, which opens the window to them.
    async fn open_windows(&self) -> Result<()> {
        for tenant in self.tenants.iter() {
            for customer in &tenant.customers {
                let reply =
                    Reply { to: Some(tenant.number.clone()), body: "the first word".to_owned(), ..Reply::default() };
                self.control.reply(customer, &reply).await?;
            }
        }
        for tenant in self.tenants.iter() {
            eventually(&format!("{} has its customers' events", tenant.name), async || {
                let heard = tenant.app.distinct("dev.whatsapp-operator.message.received").len();
                if heard == tenant.customers.len() { Ok(()) } else { Err(heard) }
            })
            .await?;
        }
        Ok(())
    }

    /// Stops every replica gracefully and restarts it with this clock offset.
    pub async fn restart_with_clock(&mut self, clock: SignedDuration) -> Result<()> {
        for replica in &mut self.replicas {
            if replica.runs() {
                replica.terminate()?;
            }
            replica.clock = clock;
            replica.start(self.folder.path()).with_context(|| format!("starting {} again", replica.name))?;
        }
        self.ready().await
    }
}
