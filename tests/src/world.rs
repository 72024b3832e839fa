//! The whole house for one test: a cluster, the sandbox, the operator, one data-plane replica, and tenants.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use reqwest::StatusCode;
use sandbox::config::{Config, Delays};
use sandbox::control::Client as SandboxControl;
use sandbox::control::types::{
    CreatedAccount, MessageFilter, MessageRecord, NewAccount, NewService, Reply, RequestEffect, RequestFault,
    RequestFilter,
};
use sandbox::seed::Seed;
use sandbox::{Running, Sandbox};
use serde_json::{Value, json};

use crate::api::TenantApi;
use crate::app::{App, Received, SIGNING_SECRET};
use crate::chart::{self, ServiceAccounts};
use crate::cluster::Cluster;
use crate::eventually::eventually;
use crate::process::{Process, binary};

/// The audience that tenants' tokens are issued for.
pub const AUDIENCE: &str = "whatsapp-operator.dev";

/// How a world differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The delays of the sandbox; absent: short ones.
    pub delays: Option<Delays>,
    /// What the sandbox begins with.
    pub seed: Seed,
}

/// A running system. Everything ends when it is dropped.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: the processes first, the provider and the cluster last.
    pub operator: Process,
    pub data_plane: Option<Process>,
    pub control: SandboxControl,
    pub cluster: Arc<Cluster>,
    /// The namespace that the chart would be installed in.
    pub system: String,
    /// The tenants' namespaces, in the order that they were asked for.
    pub namespaces: Vec<String>,
    pub accounts: ServiceAccounts,
    pub ports: Ports,
    dir: tempfile::TempDir,
    pub sandbox: Running,
}

/// Where the processes listen on loopback; kept over restarts.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub webhooks: u16,
    pub api: u16,
    pub admin: u16,
    pub operator: u16,
}

impl Ports {
    /// Four free ports. All are held until the last is found, so that no two are the same.
    pub fn free() -> Result<Self> {
        let held: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let port = |i: usize| held[i].local_addr().map(|a| a.port());
        Ok(Self { webhooks: port(0)?, api: port(1)?, admin: port(2)?, operator: port(3)? })
    }
}

/// One tenant: a namespace, an account at the provider, an application.
#[derive(Debug)]
pub struct Tenant {
    pub namespace: String,
    /// Its sender's number. A number belongs to one tenant only.
    pub number: String,
    pub account: CreatedAccount,
    pub app: App,
    pub api: TenantApi,
}

impl World {
    /// A world in the shared cluster with these tenants' namespaces. With none, the operator watches all of the cluster.
    pub async fn start(tenants: &[&str]) -> Result<Self> {
        Self::start_in(Cluster::shared().await?, tenants, Options::default()).await
    }

    pub async fn start_in(cluster: Arc<Cluster>, tenants: &[&str], options: Options) -> Result<Self> {
        let mut dir = tempfile::Builder::new().prefix("whatsapp-world-").tempdir()?;
        if std::env::var_os("KEEP_LOGS").is_some() {
            dir.disable_cleanup(true);
            eprintln!("the processes' logs stay in {}", dir.path().display());
        }
        let system = cluster.namespace("whatsapp-system").await?;
        let mut namespaces = Vec::new();
        for tenant in tenants {
            namespaces.push(cluster.namespace(tenant).await?);
        }
        // The release is named after its namespace, because the names of cluster roles are shared by all tests.
        let accounts = chart::install_rbac(&cluster, &system, &system, &namespaces).await?;
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
        let ports = Ports::free()?;
        let operator = start_operator(&dir, &system, ports, sandbox.base_url(), &namespaces)?;
        let mut world =
            Self { operator, data_plane: None, control, cluster, system, namespaces, accounts, ports, dir, sandbox };
        world.start_data_plane(&[]).await?;
        Ok(world)
    }

    /// Starts the data plane, with further arguments, and waits until it is ready.
    pub async fn start_data_plane(&mut self, arguments: &[&str]) -> Result<()> {
        ensure!(self.data_plane.is_none(), "the data plane runs already");
        self.spawn_data_plane(arguments)?;
        let ready = self.admin_url("/readyz");
        eventually("the data plane is ready", async || {
            if let Some(process) = &mut self.data_plane {
                process.still_running().map_err(|e| format!("{e:#}"))?;
            }
            match reqwest::get(&ready).await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    fn spawn_data_plane(&mut self, arguments: &[&str]) -> Result<()> {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(binary("whatsapp-dataplane")?);
        command
            .arg("serve")
            .args(["--webhook-listen", &at(self.ports.webhooks)])
            .args(["--api-listen", &at(self.ports.api)])
            .args(["--admin-listen", &at(self.ports.admin)])
            .arg("--store")
            .arg(format!("sqlite://{}", self.store().display()))
            .args(["--config-namespace", &self.system])
            .arg("--config-cache")
            .arg(self.dir.path().join("cache"))
            .args(["--api-audience", AUDIENCE, "--lease", "2s", "--drain-delay", "0s"])
            .arg("--allow-private-sinks")
            .args(arguments)
            .env("KUBECONFIG", self.data_plane_kubeconfig())
            .env("POD_NAME", "data-plane-0");
        self.data_plane = Some(Process::start("data-plane", self.dir.path(), &mut command)?);
        Ok(())
    }

    /// SIGKILL to the data plane.
    pub fn kill_data_plane(&mut self) -> Result<()> {
        self.data_plane.take().context("the data plane does not run")?.kill()
    }

    /// Starts another operator in the place of one that has ended.
    pub fn start_operator(&mut self) -> Result<()> {
        self.operator = start_operator(&self.dir, &self.system, self.ports, self.sandbox.base_url(), &self.namespaces)?;
        Ok(())
    }

    /// The database of the data plane.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("data.db")
    }

    /// A kubeconfig with the data plane's rights.
    pub fn data_plane_kubeconfig(&self) -> PathBuf {
        self.dir.path().join("data-plane.kubeconfig")
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.admin)
    }

    pub fn webhook_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.webhooks)
    }

    /// The value of a metric of the data plane, summed over its labels that contain all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let text = reqwest::get(self.admin_url("/metrics")).await?.text().await?;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|l| line.contains(l))
        });
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
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
        let namespace = self.namespaces.get(index).context("no such tenant")?.clone();
        let number = format!("+1415523{:04}", 8886 + index);
        let new = NewAccount {
            senders: vec![number.as_str().into()],
            services: vec![NewService::default()],
            ..NewAccount::default()
        };
        let account = self.control.create_account(&new).await?;
        let app = App::start().await?;
        self.cluster.apply(&secrets(&namespace, &account)?, None).await?;
        let token = self.cluster.token(&namespace, "default", Some(AUDIENCE)).await?;
        let api = TenantApi::new(format!("http://127.0.0.1:{}", self.ports.api), token);
        Ok(Tenant { namespace, number, account, app, api })
    }

    /// Waits until an object is `Ready`, and gives it.
    pub async fn ready(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        self.condition(kind, namespace, name, "Ready", "True").await
    }

    /// Waits until a condition of an object's current generation has this status, and gives the object.
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

    /// An object as it is now.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let json = self.cluster.kubectl(&["get", kind, name, "--namespace", namespace, "--output", "json"]).await?;
        serde_json::from_str(&json).context("kubectl's JSON")
    }

    /// Waits until every replica runs the current config of this object.
    pub async fn in_data_plane(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        eventually(&format!("the data plane runs the config of {kind} {name}"), async || {
            let object = self.get(kind, namespace, name).await.map_err(|e| format!("{e:#}"))?;
            let replicas = &object["status"]["dataPlane"];
            let (ready, total) = (replicas["ready"].as_u64().unwrap_or(0), replicas["total"].as_u64().unwrap_or(0));
            if total > 0 && ready == total { Ok(()) } else { Err(object["status"].to_string()) }
        })
        .await
    }

    /// The customer says something, which opens the 24-hour window, and the tenant's application has heard of it.
    pub async fn hear(&self, tenant: &Tenant, customer: &str, words: &str) -> Result<()> {
        self.control.reply(customer, &Reply { body: words.to_owned(), ..Reply::default() }).await?;
        let heard = |r: &Received| r.event["data"]["content"]["body"] == words && r.event["data"]["from"] == customer;
        tenant.app.event("the customer's words", heard).await.map(drop)
    }

    /// How often the provider was asked to create a message, whatever it answered.
    pub async fn creates(&self) -> Result<usize> {
        let method = Some("POST".to_owned());
        let filter = RequestFilter { method, path: Some(CREATE.to_owned()), ..RequestFilter::default() };
        Ok(self.control.requests(&filter).await?.len())
    }

    /// What the provider sent to this customer, in its own view.
    pub async fn provider_messages(&self, tenant: &Tenant, to: &str) -> Result<Vec<MessageRecord>> {
        let filter =
            MessageFilter { to: Some(to.to_owned()), from: None, account: Some(tenant.account.account_sid.clone()) };
        let messages = self.control.messages(&filter).await?;
        Ok(messages.into_iter().filter(|m| m.direction.starts_with("outbound")).collect())
    }
}

/// The path of a call to create a message, as a regular expression.
const CREATE: &str = "/Messages.json$";

/// What goes wrong with the next calls to create a message.
pub fn on_create(effect: RequestEffect, count: u64) -> RequestFault {
    let method = Some("POST".to_owned());
    RequestFault { method, path: Some(CREATE.to_owned()), count: Some(count), ..RequestFault::new(effect) }
}

/// The conditions of an object.
pub fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

fn start_operator(
    dir: &tempfile::TempDir,
    system: &str,
    ports: Ports,
    provider: &str,
    namespaces: &[String],
) -> Result<Process> {
    let mut command = Command::new(binary("whatsapp-operator")?);
    command
        .arg("run")
        .arg("--public-base-url")
        .arg(format!("http://127.0.0.1:{}", ports.webhooks))
        .args(["--config-namespace", system])
        .args(["--twilio-base-url", provider])
        .args(["--listen", &format!("127.0.0.1:{}", ports.operator)])
        .args(["--template-poll", "200ms", "--poll-interval", "2s"])
        .env("KUBECONFIG", dir.path().join("operator.kubeconfig"))
        .env("POD_NAME", "operator-0");
    // One tenant twice would be one too many for the operator's arguments.
    for namespace in namespaces.iter().collect::<BTreeSet<_>>() {
        command.args(["--watch-namespace", namespace]);
    }
    Process::start("operator", dir.path(), &mut command)
}

/// The tenant's Secrets: the provider's credentials, and what events are signed with.
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
