//! The whole system for one test: a cluster, the sandbox, the operator, the data plane's replicas, and tenants.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use sandbox::Client as SandboxControl;
use sandbox::config::{Config, Delays};
use sandbox::seed::Seed;
use sandbox::twilio::types::{CreatedAccount, MessageFilter, MessageRecord, NewAccount, NewService};
use sandbox::types::{Reply, RequestEffect, RequestFault, RequestFilter};
use sandbox::{Running, Sandbox};
use serde_json::{Value, json};

use crate::api::TenantApi;
use crate::app::{App, Received, SIGNING_SECRET};
use crate::balancer::Balancer;
use crate::chart::{self, ServiceAccounts};
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::metrics;
use crate::process::{Process, binary};
use crate::replica::{Replica, Shared};

/// The audience of tenants' tokens.
pub const AUDIENCE: &str = "whatsapp-operator.dev";

/// The settings of a world.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The sandbox's delays; absent: short ones.
    pub delays: Option<Delays>,
    /// The sandbox's seed.
    pub seed: Seed,
    pub store: Store,
    /// Whether a ServiceAccount needs a right for each sender that it sends from.
    pub authorize_senders: bool,
    /// Whether each namespace grants the operator its Secrets. In a world with this the namespaces do not yet.
    pub granted_secrets: bool,
    /// Whether the operator polls as it does by default, instead of every few seconds.
    pub usual_pace: bool,
    /// Further arguments of the operator.
    pub operator: &'static [&'static str],
}

/// The data plane's store, which decides how many replicas it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Store {
    /// A file, for one replica.
    #[default]
    Sqlite,
    /// A PostgreSQL database that this many replicas share, behind a load balancer.
    Postgres { replicas: usize },
}

/// A running system. Everything ends when it is dropped.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: the processes first, the provider and the cluster last.
    pub operator: Process,
    /// Those that are its own in this world.
    operator_arguments: Vec<String>,
    pub replicas: Vec<Replica>,
    /// In front of several replicas: one for webhooks, one for the tenants' API.
    _balancers: Option<(Balancer, Balancer)>,
    pub control: SandboxControl,
    pub cluster: Arc<Cluster>,
    /// The namespace that the chart would be installed in.
    pub system: String,
    /// The tenants' namespaces, in the requested order.
    pub namespaces: Vec<String>,
    pub accounts: ServiceAccounts,
    pub ports: Ports,
    /// The URL of the data plane's database.
    store: String,
    dir: tempfile::TempDir,
    pub sandbox: Running,
}

/// The system's ports on loopback, which survive restarts.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub webhooks: u16,
    pub api: u16,
    /// The operators' listener of the first replica.
    pub admin: u16,
    pub operator: u16,
}

/// One tenant: a namespace, an account at the provider, an application.
#[derive(Debug)]
pub struct Tenant {
    pub namespace: String,
    /// Its sender's number. No two tenants share one.
    pub number: String,
    pub account: CreatedAccount,
    pub app: App,
    pub api: TenantApi,
}

impl World {
    /// A world in the shared cluster with these tenants' namespaces. With none, the operator watches the whole cluster.
    pub async fn start(tenants: &[&str]) -> Result<Self> {
        Self::start_in(Cluster::shared().await?, tenants, Options::default()).await
    }

    pub async fn start_in(cluster: Arc<Cluster>, tenants: &[&str], options: Options) -> Result<Self> {
        let mut dir = tempfile::Builder::new().prefix("whatsapp-world-").tempdir()?;
        if std::env::var_os("KEEP_LOGS").is_some() {
            dir.disable_cleanup(true);
            eprintln!("the processes' logs are kept in {}", dir.path().display());
        }
        let system = cluster.namespace("whatsapp-system").await?;
        let mut namespaces = Vec::new();
        for tenant in tenants {
            namespaces.push(cluster.namespace(tenant).await?);
        }
        // The release is named after its namespace, because all tests share the names of cluster roles.
        let on = options.authorize_senders;
        let mut values = if on { vec![("dataPlane.authorizeSenders", "true")] } else { vec![] };
        let mut bound = namespaces.as_slice();
        if options.granted_secrets {
            values.push(("secretAccess", "granted"));
            // In the namespaces to watch the chart would grant them.
            bound = &[];
        }
        let accounts = chart::install_rbac(&cluster, &system, &system, bound, &values).await?;
        cluster.kubeconfig_of(&system, &accounts.operator, &dir.path().join("operator.kubeconfig")).await?;
        cluster.kubeconfig_of(&system, &accounts.data_plane, &dir.path().join("data-plane.kubeconfig")).await?;

        let quick = Delays {
            status: Duration::from_millis(20),
            review: Duration::from_millis(400),
            sender: Duration::from_millis(50),
        };
        let delays = options.delays.unwrap_or(quick);
        let sandbox = Sandbox::start(Config { delays, seed: options.seed.clone(), ..Config::default() }).await?;
        let control = sandbox.control();
        let (count, store) = match options.store {
            Store::Sqlite => (1, format!("sqlite://{}", dir.path().join("data.db").display())),
            Store::Postgres { replicas } => {
                let server = postgres_cluster::shared().await?;
                server.create_database(&system).await?;
                (replicas, format!("{}?sslmode=disable", server.tcp_url(&system)))
            }
        };
        let replicas: Vec<Replica> =
            (0..count).map(|n| Replica::new(format!("data-plane-{n}"))).collect::<Result<_>>()?;
        let first = replicas.first().context("a data plane without replicas")?;
        let mut ports =
            Ports { webhooks: first.webhooks, api: first.api, admin: first.admin, operator: ports::free()? };
        let mut balancers = None;
        if count > 1 {
            let webhooks = Balancer::start(replicas.iter().map(Replica::webhooks_address).collect()).await?;
            let api = Balancer::start(replicas.iter().map(Replica::api_address).collect()).await?;
            (ports.webhooks, ports.api) = (webhooks.port(), api.port());
            balancers = Some((webhooks, api));
        }
        let mut arguments: Vec<String> = Vec::new();
        // Each namespace once, even if a test names it twice.
        for namespace in namespaces.iter().collect::<BTreeSet<_>>() {
            arguments.extend(["--watch-namespace".to_owned(), namespace.clone()]);
        }
        if !options.usual_pace {
            arguments.extend(["--template-poll", "200ms", "--poll-interval", "2s"].map(str::to_owned));
        }
        if options.granted_secrets {
            let (account, role) = (accounts.operator.clone(), format!("{}-secrets", accounts.operator));
            arguments.extend(["--secret-access=granted", "--service-account"].map(str::to_owned));
            arguments.extend([account, "--secret-role".to_owned(), role]);
        }
        arguments.extend(options.operator.iter().map(|&argument| argument.to_owned()));
        let operator = start_operator("operator-0", &dir, &system, ports, sandbox.base_url(), &arguments)?;
        let mut world = Self {
            operator,
            operator_arguments: arguments,
            replicas,
            _balancers: balancers,
            control,
            cluster,
            system,
            namespaces,
            accounts,
            ports,
            store,
            dir,
            sandbox,
        };
        world.start_data_plane(if on { &["--authorize-senders"] } else { &[] }).await?;
        Ok(world)
    }

    /// Starts every replica, with further arguments, and waits until all are ready.
    pub async fn start_data_plane(&mut self, arguments: &[&str]) -> Result<()> {
        for n in 0..self.replicas.len() {
            self.spawn_replica(n, arguments)?;
        }
        for replica in &mut self.replicas {
            replica.ready().await?;
        }
        Ok(())
    }

    /// Starts one replica, with further arguments, and waits until it is ready.
    pub async fn start_replica(&mut self, n: usize, arguments: &[&str]) -> Result<()> {
        self.spawn_replica(n, arguments)?;
        self.replicas[n].ready().await
    }

    fn spawn_replica(&mut self, n: usize, arguments: &[&str]) -> Result<()> {
        let shared = Shared { dir: self.dir.path(), store: &self.store, system: &self.system, audience: AUDIENCE };
        self.replicas.get_mut(n).context("no such replica")?.spawn(shared, arguments)
    }

    /// SIGKILL to every replica.
    pub fn kill_data_plane(&mut self) -> Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::kill)
    }

    /// Starts another operator in place of one that has ended.
    pub fn start_operator(&mut self) -> Result<()> {
        self.operator = self.spawn_operator("operator-0", self.ports.operator)?;
        Ok(())
    }

    /// Starts an operator besides the one that runs.
    pub fn another_operator(&self) -> Result<Process> {
        self.spawn_operator("operator-1", ports::free()?)
    }

    fn spawn_operator(&self, name: &str, operator: u16) -> Result<Process> {
        let (ports, provider) = (Ports { operator, ..self.ports }, self.sandbox.base_url());
        start_operator(name, &self.dir, &self.system, ports, provider, &self.operator_arguments)
    }

    /// A kubeconfig with the operator's rights.
    pub fn operator_kubeconfig(&self) -> PathBuf {
        self.dir.path().join("operator.kubeconfig")
    }

    /// A kubeconfig with the data plane's rights.
    pub fn data_plane_kubeconfig(&self) -> PathBuf {
        self.dir.path().join("data-plane.kubeconfig")
    }

    pub fn webhook_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.webhooks)
    }

    /// The value of a metric of the data plane, summed over the replicas that run and over its labels that contain all
    /// of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let mut sum = 0.0;
        for replica in self.replicas.iter().filter(|replica| replica.process.is_some()) {
            sum += replica.metric(name, labels).await?;
        }
        Ok(sum)
    }

    /// The directory in which a replica keeps the configs that it has seen.
    pub fn config_cache(&self, replica: usize) -> Option<PathBuf> {
        self.replicas.get(replica).map(|replica| self.dir.path().join(format!("{}-cache", replica.name)))
    }

    /// The value of a metric of the operator, summed over its labels that contain all of `labels`.
    pub async fn operator_metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        metrics::sum(&format!("http://127.0.0.1:{}/metrics", self.ports.operator), name, labels).await
    }

    /// A tenant with its Secrets and a sender named `support` that is ready and runs in the data plane.
    pub async fn tenant(&self, index: usize) -> Result<Tenant> {
        let tenant = self.tenant_without_sender(index).await?;
        self.cluster.apply(&[tenant.sender(&json!({}))?], None).await?;
        self.ready("whatsappsender", &tenant.namespace, "support").await?;
        self.in_data_plane("whatsappsender", &tenant.namespace, "support").await?;
        Ok(tenant)
    }

    /// A tenant with its Secrets, and nothing else.
    pub async fn tenant_without_sender(&self, index: usize) -> Result<Tenant> {
        let number = format!("+1415523{:04}", 8886 + index);
        let new = NewAccount {
            senders: vec![number.as_str().into()],
            services: vec![NewService { use_inbound_webhook_on_number: true, ..NewService::default() }],
            ..NewAccount::default()
        };
        Ok(Tenant { number, ..self.tenant_of(index, &new).await? })
    }

    /// A tenant with this account and its Secrets, and nothing else.
    pub async fn tenant_of(&self, index: usize, account: &NewAccount) -> Result<Tenant> {
        let namespace = self.namespaces.get(index).context("no such tenant")?.clone();
        let account = self.control.create_account(account).await?;
        let app = App::start().await?;
        self.cluster.apply(&secrets(&namespace, &account)?, None).await?;
        let token = self.cluster.token(&namespace, "default", Some(AUDIENCE)).await?;
        let api = TenantApi::new(format!("http://127.0.0.1:{}", self.ports.api), token).without_keep_alive()?;
        Ok(Tenant { namespace, number: String::new(), account, app, api })
    }

    /// Waits until an object is `Ready`, and returns it.
    pub async fn ready(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        self.condition(kind, namespace, name, "Ready", "True").await
    }

    /// Waits until a condition of an object's current generation has this status, and returns the object.
    pub async fn condition(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Result<Value> {
        eventually(&format!("{kind} {namespace}/{name} has {condition}={status}"), async || {
            let object = self.get(kind, namespace, name).await.map_err(|e| format!("{e:#}"))?;
            let reached = conditions(&object).any(|c| {
                c["type"] == condition
                    && c["status"] == status
                    && c["observedGeneration"] == object["metadata"]["generation"]
            });
            if reached { Ok(object) } else { Err(object["status"].to_string()) }
        })
        .await
    }

    /// The current object.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let json = self.cluster.kubectl(&["get", kind, name, "--namespace", namespace, "--output", "json"]).await?;
        serde_json::from_str(&json).context("kubectl's JSON")
    }

    /// Waits until every replica runs the current config of this object. A killed replica counts until its Lease ends,
    /// so the count may exceed the running ones.
    pub async fn in_data_plane(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let running = self.replicas.iter().filter(|replica| replica.process.is_some()).count() as u64;
        eventually(&format!("the data plane runs the config of {kind} {name}"), async || {
            let object = self.get(kind, namespace, name).await.map_err(|e| format!("{e:#}"))?;
            let replicas = &object["status"]["dataPlane"];
            let (ready, total) = (replicas["ready"].as_u64().unwrap_or(0), replicas["total"].as_u64().unwrap_or(0));
            if total >= running.max(1) && ready == total { Ok(()) } else { Err(object["status"].to_string()) }
        })
        .await
    }

    /// The customer writes, which opens the 24-hour window. Returns once the tenant's application has the event.
    pub async fn hear(&self, tenant: &Tenant, customer: &str, words: &str) -> Result<()> {
        self.control.reply(customer, &Reply { body: words.to_owned(), ..Reply::default() }).await?;
        let heard = |r: &Received| r.event["data"]["content"]["body"] == words && r.event["data"]["from"] == customer;
        tenant.app.event("the customer's words", heard).await.map(drop)
    }

    /// The number of calls to create a message, whatever the answers.
    pub async fn creates(&self) -> Result<usize> {
        let method = Some("POST".to_owned());
        let filter = RequestFilter { method, path: Some(CREATE.to_owned()), ..RequestFilter::default() };
        Ok(self.control.requests(&filter).await?.len())
    }

    /// The messages to this customer in the provider's records.
    pub async fn provider_messages(&self, tenant: &Tenant, to: &str) -> Result<Vec<MessageRecord>> {
        let filter =
            MessageFilter { to: Some(to.to_owned()), from: None, account: Some(tenant.account.account_sid.clone()) };
        let messages = self.control.messages(&filter).await?;
        Ok(messages.into_iter().filter(|m| m.direction.starts_with("outbound")).collect())
    }
}

/// The path of a call to create a message, as a regular expression.
const CREATE: &str = "/Messages.json$";

/// A fault for the next calls to create a message.
pub fn on_create(effect: RequestEffect, count: u64) -> RequestFault {
    let method = Some("POST".to_owned());
    RequestFault { method, path: Some(CREATE.to_owned()), count: Some(count), ..RequestFault::new(effect) }
}

/// The conditions of an object.
pub fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

fn start_operator(
    name: &str,
    dir: &tempfile::TempDir,
    system: &str,
    ports: Ports,
    provider: &str,
    arguments: &[String],
) -> Result<Process> {
    let mut command = Command::new(binary("whatsapp-operator")?);
    command
        .arg("run")
        .arg("--public-base-url")
        .arg(format!("http://127.0.0.1:{}", ports.webhooks))
        .args(["--config-namespace", system])
        .args(["--twilio-base-url", provider])
        .args(["--listen", &format!("127.0.0.1:{}", ports.operator)])
        .arg("--allow-private-sinks")
        .args(arguments)
        .env("KUBECONFIG", dir.path().join("operator.kubeconfig"))
        .env("POD_NAME", name);
    Process::start(name, dir.path(), &mut command)
}

/// The tenant's Secrets: the provider's credentials, and the secret that signs events.
fn secrets(namespace: &str, account: &CreatedAccount) -> Result<Vec<DynamicObject>> {
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data});
    [secret("twilio", json!({"authToken": account.auth_token})), secret("events", json!({"secret": SIGNING_SECRET}))]
        .into_iter()
        .map(|value| Ok(serde_json::from_value(value)?))
        .collect()
}

impl Tenant {
    /// The sender `support`, with `changes` merged into its spec.
    pub fn sender(&self, changes: &Value) -> Result<DynamicObject> {
        let mut spec = json!({
            "phoneNumber": self.number,
            "provider": {"twilio": {"accountSid": self.account.account_sid, "credentialsSecretRef": {"name": "twilio"}}},
            "events": [{"http": {"url": self.app.url(), "signingSecretRef": {"name": "events"}}}],
        });
        merge(&mut spec, changes);
        self.object("WhatsAppSender", "support", spec)
    }

    /// A template in English and German, with `changes` merged into its spec.
    pub fn template(&self, name: &str, changes: &Value) -> Result<DynamicObject> {
        let mut spec = json!({
            "senderRefs": [{"name": "support"}],
            "category": "UTILITY",
            "variables": [{"key": "1", "description": "first name", "example": "Ava"}],
            "localizations": [
                {"language": "en_US", "body": "Hello {{1}}, your order has left our warehouse and is on its way to you."},
                {"language": "de", "body": "Hallo {{1}}, deine Bestellung hat unser Lager verlassen und ist unterwegs."},
            ],
            "fallbackLanguage": "en_US",
        });
        merge(&mut spec, changes);
        self.object("MessageTemplate", name, spec)
    }

    pub fn object(&self, kind: &str, name: &str, spec: impl serde::Serialize) -> Result<DynamicObject> {
        let metadata = json!({"name": name, "namespace": self.namespace});
        let object =
            json!({"apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        Ok(serde_json::from_value(object)?)
    }
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}
