//! How soon a template is ready after WhatsApp approves it, where the provider tells of approvals: on a real API
//! server, with the operator polling as it does by default.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use sandbox::twilio::types::{Decision, ReviewRule};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::world::{Options, Tenant, World, conditions};
use tokio::time::timeout;

use crate::results::Results;
use crate::statistics::Latencies;

/// Approvals, one after the other.
const APPROVALS: usize = 40;
/// Shorter than the operator's own interval.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) async fn measure(results: &mut Results) -> Result<()> {
    let options = Options { usual_pace: true, ..Options::default() };
    let world = World::start_in(Cluster::private().await?, &["shop"], options).await?;
    let shop = world.tenant_without_sender(0).await?;
    let events = json!({"provider": {"twilio": {"templateEvents": true}}});
    world.cluster.apply(&[shop.sender(&events)?], None).await?;
    world.condition("whatsappsender", &shop.namespace, "support", "TemplateEventsConfigured", "True").await?;
    let undecided = ReviewRule { decision: "pending".into(), ..ReviewRule::default() };
    world.control.add_reviews(&[undecided]).await?;

    let mut latencies = Vec::new();
    for n in 0..APPROVALS {
        latencies.push(approval(&world, &shop, n).await.with_context(|| format!("approval {n}"))?);
    }
    let latencies = Latencies::new(latencies);
    results.figure("push.approval_to_ready_p50_ms", latencies.percentile_ms(50), "ms");
    results.figure("push.approval_to_ready_ms", latencies.percentile_ms(95), "ms");
    Ok(())
}

/// From the decision until the watch shows `Ready`.
async fn approval(world: &World, shop: &Tenant, n: usize) -> Result<Duration> {
    let name = format!("template-{n}");
    let body = format!("Hello {{{{1}}}}, your order number {n} has left our warehouse.");
    let localizations = json!({"localizations": [{"language": "en_US", "body": body}], "fallbackLanguage": "en_US"});
    world.cluster.apply(&[shop.template(&name, &localizations)?], None).await?;
    let template = world.condition("messagetemplate", &shop.namespace, &name, "Synced", "True").await?;
    let handle = template["status"]["locations"][0]["newest"]["handle"].as_str().context("no handle")?.to_owned();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("whatsapp-operator.dev", "v1alpha1", "MessageTemplate"));
    let api: Api<DynamicObject> = Api::namespaced_with(world.cluster.admin().await?, &shop.namespace, &kind);
    let mut seen = watcher(api, watcher::Config::default().fields(&format!("metadata.name={name}"))).boxed();
    let mut is_listed = false;
    let mut began = Instant::now();
    let ready = async {
        while let Some(event) = seen.next().await {
            match event? {
                Event::InitDone if !is_listed => {
                    is_listed = true;
                    began = Instant::now();
                    world
                        .control
                        .decide(&handle, &Decision { status: "approved".into(), ..Decision::default() })
                        .await?;
                }
                Event::Apply(object) if is_ready(&object.data) => return Ok(began.elapsed()),
                _ => {}
            }
        }
        bail!("the watch ended")
    };
    timeout(PATIENCE, ready).await.context("it is not ready")?
}

fn is_ready(object: &Value) -> bool {
    conditions(object).any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
