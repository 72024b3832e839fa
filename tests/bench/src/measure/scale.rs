//! The control plane at the size of a platform, on a real API server: how long until every template is ready, what that
//! asks of the provider, what the operator holds in memory, what it writes at rest, how long a restart takes, and how
//! soon every replica of the data plane runs a change.
//!
//! The sandbox approves at once. The operator polls as it does by default. The API server, etcd, the sandbox and two
//! replicas of the data plane share the machine's cores with the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use sandbox::Delays;
use sandbox::twilio::types::{CreatedAccount, NewAccount};
use serde_json::{Value, json};
use tests::cluster::{AuditEntry, Cluster};
use tests::world::{Options, Store, World, conditions};
use tokio::time::{interval, timeout};

use crate::cost::peak_mib;
use crate::results::Results;
use crate::statistics::Latencies;

const REPLICAS: usize = 2;
/// Requests to the API server at once.
const AT_ONCE: usize = 16;
/// Changes whose way to every replica is timed, one after the other.
const CHANGES: usize = 60;
const AT_REST: Duration = Duration::from_secs(10 * 60);
/// How often a condition of the whole system is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The measurement is given up when anything takes longer.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The calls that templates take. The senders are looked at meanwhile, as ever.
const ABOUT_TEMPLATES: [&str; 4] = ["create_template", "submit_template", "list_templates", "delete_template"];
/// The operations that change something at the provider.
const WRITES: [&str; 4] = ["configure_webhooks", "create_template", "submit_template", "delete_template"];

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    tenants: usize,
    senders: usize,
    templates: usize,
}

impl Size {
    /// With 10,000 templates, 200 tenants and 500 senders, unless another number of tenants is asked for; in proportion
    /// for another number of templates.
    pub(crate) fn new(templates: usize, tenants: Option<usize>) -> Self {
        let tenants = tenants.unwrap_or(templates.div_ceil(50));
        Self { tenants, senders: templates.div_ceil(20).max(tenants), templates }
    }

    fn objects(self) -> usize {
        self.senders + self.templates
    }
}

struct Scale {
    world: World,
    client: Client,
    size: Size,
}

pub(crate) async fn measure(size: Size, results: &mut Results) -> Result<()> {
    let instant = Duration::from_millis(1);
    let options = Options {
        delays: Some(Delays { status: instant, review: instant, sender: instant }),
        store: Store::Postgres { replicas: REPLICAS },
        usual_pace: true,
        ..Options::default()
    };
    let world = World::start_in(Cluster::private().await?, &[], options).await?;
    let client = world.cluster.admin().await?;
    let mut scale = Scale { world, client, size };
    results.fact("scale", format!("{size:?}, {REPLICAS} replicas"));

    let tenants = scale.tenants().await?;
    scale.templates(&tenants, results).await?;
    scale.changes(&tenants, results).await?;
    results.figure("operator.memory_mb", peak_mib(scale.world.operator.id())?, "MiB");
    results.figure("config.cache_mb", scale.cache_mib()?, "MiB");
    scale.rest(results).await?;
    scale.restart(results).await
}

/// A tenant: its namespace, its account, and the names of its senders.
struct Tenant {
    namespace: String,
    account: CreatedAccount,
    numbers: Vec<(String, String)>,
}

impl Scale {
    fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
    }

    /// Creates every tenant and its senders, and waits until the senders are ready.
    async fn tenants(&self) -> Result<Vec<Tenant>> {
        let senders = self.watch("WhatsAppSender");
        let tenants: Vec<Tenant> =
            stream::iter(0..self.size.tenants).map(|n| self.tenant(n)).buffered(AT_ONCE).try_collect().await?;
        until_all(senders, self.size.senders, is_ready).await.context("the senders")?;
        Ok(tenants)
    }

    async fn tenant(&self, n: usize) -> Result<Tenant> {
        let namespace = self.world.cluster.namespace("tenant").await?;
        let Size { tenants, senders, .. } = self.size;
        let own = (senders * (n + 1)).div_ceil(tenants) - (senders * n).div_ceil(tenants);
        let numbers: Vec<_> =
            (0..own).map(|m| (format!("sender-{m}"), format!("+1415{:07}", 2_000_000 + 10 * n + m))).collect();
        let new = NewAccount {
            senders: numbers.iter().map(|(_, number)| number.as_str().into()).collect(),
            ..NewAccount::default()
        };
        let account = self.world.control.create_account(&new).await?;
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data});
        let secrets = [
            secret("twilio", json!({"authToken": account.auth_token})),
            secret("events", json!({"secret": tests::app::SIGNING_SECRET})),
        ];
        let secrets: Vec<_> = secrets.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
        self.world.cluster.apply(&secrets, None).await?;
        let tenant = Tenant { namespace, account, numbers };
        for (name, number) in &tenant.numbers {
            let spec = json!({
                "phoneNumber": number,
                "provider": {"twilio": {"accountSid": tenant.account.account_sid, "credentialsSecretRef": {"name": "twilio"}}},
                "events": [{"http": {"url": "https://app.example.com/events", "signingSecretRef": {"name": "events"}}}],
            });
            self.create("WhatsAppSender", &tenant.namespace, name, &spec).await?;
        }
        Ok(tenant)
    }

    async fn create(&self, kind: &str, namespace: &str, name: &str, spec: &Value) -> Result<()> {
        let object = serde_json::from_value(json!({
            "apiVersion": "whatsapp-operator.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        }))?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource(kind));
        api.create(&PostParams::default(), &object).await.with_context(|| format!("creating {kind} {name}"))?;
        Ok(())
    }

    /// The objects of a kind, as they change.
    fn watch(&self, kind: &str) -> impl Stream<Item = Result<DynamicObject>> + Send + Unpin + use<> {
        let events = watcher(self.api(kind), watcher::Config::default());
        let touched = |event| match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => Some(Ok(object)),
            Ok(_) => None,
            Err(error) => Some(Err(anyhow::Error::new(error))),
        };
        events.filter_map(move |event| std::future::ready(touched(event))).boxed()
    }

    /// From the first template that is applied until all are ready, and what that asks of the provider.
    async fn templates(&self, tenants: &[Tenant], results: &mut Results) -> Result<()> {
        let calls = async || self.calls(&ABOUT_TEMPLATES).await;
        let (before, began) = (calls().await?, Instant::now());
        let ready = until_all(self.watch("MessageTemplate"), self.size.templates, is_ready);
        let applied = async {
            let each = stream::iter(0..self.size.templates).map(async |n| {
                let tenant = &tenants[n % tenants.len()];
                let sender = &tenant.numbers[n % tenant.numbers.len()].0;
                let spec = json!({
                    "senderRefs": [{"name": sender}], "category": "UTILITY", "fallbackLanguage": "en_US",
                    "variables": [{"key": "1", "description": "first name", "example": "Ava"}],
                    "localizations": [{"language": "en_US", "body": format!("Hello {{{{1}}}}, your order number {n} has left our warehouse.")}],
                });
                self.create("MessageTemplate", &tenant.namespace, &format!("template-{n}"), &spec).await
            });
            each.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            anyhow::Ok(began.elapsed())
        };
        let (applied, ()) = tokio::try_join!(applied, ready).context("the templates")?;
        results.figure("operator.templates_applied_s", applied.as_secs_f64(), "s");
        results.figure("operator.templates_ready_s", began.elapsed().as_secs_f64(), "s");
        until_all(self.watch("MessageTemplate"), self.size.templates, every_replica_runs_it).await?;
        results.figure("operator.templates_in_use_s", began.elapsed().as_secs_f64(), "s");
        let calls = calls().await? - before;
        results.figure("operator.calls_per_template", calls / self.size.templates as f64, "");
        Ok(())
    }

    /// How often the operator has called the provider so far for these operations.
    async fn calls(&self, operations: &[&str]) -> Result<f64> {
        let mut calls = 0.0;
        for operation in operations {
            let label = format!("operation=\"{operation}\"");
            calls += self.world.operator_metric("whatsapp_operator_provider_calls_total", &[&label]).await?;
        }
        Ok(calls)
    }

    /// Changes a sender again and again, and times each change until every replica runs it.
    async fn changes(&self, tenants: &[Tenant], results: &mut Results) -> Result<()> {
        let mut senders = self.watch("WhatsAppSender");
        let mut latencies = Vec::new();
        for n in 0..CHANGES {
            let tenant = &tenants[n % tenants.len()];
            let name = &tenant.numbers[0].0;
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &tenant.namespace, &resource("WhatsAppSender"));
            let change = Patch::Merge(json!({"spec": {"limits": {"messagesPerSecond": 20 + n}}}));
            let began = Instant::now();
            let changed = api.patch(name, &PatchParams::default(), &change).await?;
            let generation = changed.metadata.generation.context("no generation")?;
            let is_there = |object: &DynamicObject| {
                object.namespace().as_ref() == Some(&tenant.namespace)
                    && object.name_any() == *name
                    && is_ready(object, generation)
                    && every_replica_runs_it(object, generation)
            };
            let seen = async {
                while let Some(object) = senders.next().await {
                    if is_there(&object?) {
                        return Ok(());
                    }
                }
                anyhow::bail!("the watch ended")
            };
            timeout(PATIENCE, seen).await.context("a change never reached every replica")??;
            latencies.push(began.elapsed());
        }
        let latencies = Latencies::new(latencies);
        results.figure("config.apply_to_all_p50_ms", latencies.percentile_ms(50), "ms");
        results.figure("config.apply_to_all_p95_ms", latencies.percentile_ms(95), "ms");
        Ok(())
    }

    /// What one replica keeps of the configs that it has seen.
    fn cache_mib(&self) -> Result<f64> {
        let cache = self.world.config_cache(0).context("no replica")?;
        let sizes = std::fs::read_dir(&cache)?.map(|entry| Ok(entry?.metadata()?.len() as f64));
        Ok(sizes.sum::<Result<f64>>()? / 1024.0 / 1024.0)
    }

    /// Waits until a whole round of polls has changed nothing, and counts what is written and listed from then on.
    async fn rest(&self, results: &mut Results) -> Result<()> {
        let mut before = self.written().await?;
        let mut rounds = interval(AT_REST / 10);
        rounds.tick().await;
        timeout(PATIENCE, async {
            loop {
                rounds.tick().await;
                let now = self.written().await?;
                if now == before {
                    return anyhow::Ok(());
                }
                before = now;
            }
        })
        .await
        .context("it never comes to rest")??;
        let (before, reconciled) = (self.written().await?, self.reconciled().await?);
        let lists = self.lists().await?;
        let mut rest = interval(AT_REST);
        rest.tick().await;
        rest.tick().await;
        let after = self.written().await?;
        let looked_at = self.reconciled().await? - reconciled;
        ensure!(looked_at > self.size.objects() as f64, "the operator looked at {looked_at} objects only");
        results.figure("operator.writes_at_rest", (after.cluster - before.cluster) as f64, "in 10 min");
        results.figure("operator.provider_writes_at_rest", after.provider - before.provider, "in 10 min");
        results.figure("operator.lists_at_rest", self.lists().await? - lists, "in 10 min");
        Ok(())
    }

    /// From the start of another process until it has looked at every object and leads.
    async fn restart(&mut self, results: &mut Results) -> Result<()> {
        self.world.operator.terminate()?;
        let before = self.written().await?;
        let began = Instant::now();
        self.world.start_operator()?;
        let objects = self.size.objects() as f64;
        let mut looks = interval(LOOK_EVERY);
        timeout(PATIENCE, async {
            loop {
                looks.tick().await;
                // It does not listen at first.
                let ready = self.world.operator_metric("whatsapp_operator_objects", &["ready=\"True\""]).await;
                if ready.unwrap_or_default() >= objects && self.reconciled().await? >= objects {
                    return anyhow::Ok(());
                }
            }
        })
        .await
        .context("it never becomes steady")??;
        results.figure("operator.restart_s", began.elapsed().as_secs_f64(), "s");
        results.figure("operator.restart_memory_mb", peak_mib(self.world.operator.id())?, "MiB");
        // This process counts from zero.
        let after = self.written().await?;
        results.figure("operator.restart_provider_writes", after.provider, "");
        results.figure("operator.restart_writes", (after.cluster - before.cluster) as f64, "");
        Ok(())
    }

    async fn reconciled(&self) -> Result<f64> {
        self.world.operator_metric("whatsapp_operator_reconciles_total", &[]).await
    }

    /// What the operator has written so far: to the cluster, without the renewals of Leases, and at the provider.
    async fn written(&self) -> Result<Written> {
        let operator = format!("system:serviceaccount:{}:{}", self.world.system, self.world.accounts.operator);
        let audit = self.world.cluster.audit()?.context("the cluster is not ours")?;
        let is_write = |entry: &&AuditEntry| entry.user.username == operator && entry.object_ref.resource != "leases";
        // It does not listen while it is down.
        let provider = self.calls(&WRITES).await.unwrap_or_default();
        Ok(Written { cluster: audit.iter().filter(is_write).count(), provider })
    }

    /// How many lists the API server has answered so far, to anybody.
    async fn lists(&self) -> Result<f64> {
        let text = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let lists =
            text.lines().filter(|line| line.starts_with("apiserver_request_total{") && line.contains("verb=\"LIST\""));
        Ok(lists.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Written {
    cluster: usize,
    provider: f64,
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("whatsapp-operator.dev", "v1alpha1", kind))
}

fn is_ready(object: &DynamicObject, generation: i64) -> bool {
    conditions(&object.data).any(|condition| {
        condition["type"] == "Ready" && condition["status"] == "True" && condition["observedGeneration"] == generation
    })
}

fn every_replica_runs_it(object: &DynamicObject, generation: i64) -> bool {
    let status = &object.data["status"];
    status["observedGeneration"] == generation
        && status["dataPlane"]["ready"] == REPLICAS
        && status["dataPlane"]["total"] == REPLICAS
}

/// Waits until this is so of that many objects, in their newest generation.
async fn until_all(
    mut objects: impl Stream<Item = Result<DynamicObject>> + Unpin,
    count: usize,
    is_so: impl Fn(&DynamicObject, i64) -> bool,
) -> Result<()> {
    let mut ready = BTreeSet::new();
    let mut waiting = BTreeMap::new();
    let all = async {
        while ready.len() < count {
            let object = objects.next().await.context("the watch ended")??;
            let key = (object.namespace(), object.name_any());
            if object.metadata.generation.is_some_and(|generation| is_so(&object, generation)) {
                waiting.remove(&key);
                ready.insert(key);
            } else {
                ready.remove(&key);
                waiting.insert(key, object.data["status"].clone());
            }
        }
        anyhow::Ok(())
    };
    if let Ok(ended) = timeout(PATIENCE, all).await {
        return ended;
    }
    anyhow::bail!("so it is of {} of {count}; one that is not: {:?}", ready.len(), waiting.iter().next())
}
