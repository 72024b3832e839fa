//! The main use case, step by step: from YAML to a delivered message and a reply, with real components.
//!
//! With `KEEP=1` everything stays up at the end, and the demo prints commands to try.

#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandbox::config::Delays;
use sandbox::seed::Seed;
use sandbox::types::{Behaviour, Reply};
use serde_json::{Value, json};
use tests::api::TenantApi;
use tests::app::{App, Received};
use tests::cluster::Cluster;
use tests::process::root;
use tests::world::{AUDIENCE, Options, World};

const CUSTOMER: &str = "+447700900123";

#[tokio::main]
async fn main() -> Result<()> {
    let began = Instant::now();
    chapter("A cluster, the sandbox, the operator and one data-plane replica");
    let cluster = Cluster::private().await?;
    println!("kube-apiserver and etcd: up, with the three kinds installed");
    // Slow enough to be seen, fast enough to watch.
    let delays = Delays {
        status: Duration::from_millis(150),
        review: Duration::from_secs(4),
        sender: Duration::from_millis(200),
    };
    let options = Options { delays: Some(delays), seed: Seed::example(), ..Options::default() };
    let world = World::start_in(cluster, &[], options).await?;
    println!("sandbox, in place of Twilio: {}", world.sandbox.base_url());
    println!("operator and data plane: up, each under the ServiceAccount and RBAC rules that the chart installs");
    let app = App::listen("127.0.0.1:8090").await?;
    println!("the shop's application: listening for events on {}", app.url());

    chapter("A tenant declares a sender, a template and a routing policy");
    kubectl(&world, &["apply", "-f", "examples/quickstart/"]).await?;
    world.ready("whatsappsender", "shop", "support").await?;
    world.condition("messagetemplate", "shop", "order-shipped", "Synced", "True").await?;
    println!("\nThe sender is online, its webhooks point at the data plane, and the template is under review:");
    kubectl(&world, &["get", "whatsapp", "--namespace", "shop"]).await?;
    for (kind, name) in [("messagetemplate", "order-shipped"), ("routingpolicy", "default")] {
        world.ready(kind, "shop", name).await?;
        world.in_data_plane(kind, "shop", name).await?;
    }
    println!("\nThe review is over, and the data plane runs the new config:");
    kubectl(&world, &["get", "whatsapp", "--namespace", "shop"]).await?;

    chapter("The application sends a template message, and follows it until it is read");
    world.control.behave(CUSTOMER, &Behaviour { reads: Some(true), ..Behaviour::default() }).await?;
    let token = world.cluster.token("shop", "default", Some(AUDIENCE)).await?;
    let api = TenantApi::new(format!("http://127.0.0.1:{}", world.ports.api), token);
    let template = json!({"name": "order-shipped", "language": "de", "values": {"1": "Ava"}});
    let id = send(&api, "order-18473", &json!({"to": CUSTOMER, "template": template})).await?;
    timeline(&api.until(&id, "read").await?);

    chapter("The customer replies; the application receives a signed event");
    let reply = Reply { body: "Thank you! When will it be here?".into(), ..Reply::default() };
    let accepted = world.control.reply(CUSTOMER, &reply).await?;
    let received = |r: &Received| r.kind() == "dev.whatsapp-operator.message.received";
    let event = app.event("the customer's reply", received).await?;
    println!("{:#}", event.event);
    println!("signature verified; webhook-id {}", event.id);

    chapter("The 24-hour window is open now, so a free-form reply may be sent");
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Tomorrow before noon."}});
    let id = send(&api, "answer-18473", &text).await?;
    timeline(&api.until(&id, "read").await?);
    println!("\nTo a customer who never wrote, it may not:");
    let refused =
        api.try_send("cold-call", &json!({"to": "+447700900999", "from": "support", "text": {"body": "Hi"}})).await?;
    println!("{} {:#}", refused.status, refused.body);

    chapter("The provider redelivers the webhook");
    let webhook = accepted.webhook.context("the reply caused no webhook")?;
    world.control.redeliver(webhook, 1, false).await?;
    let duplicates = world.metric("whatsapp_webhooks_total", &["kind=\"inbound\"", "result=\"duplicate\""]).await?;
    println!("whatsapp_webhooks_total{{kind=\"inbound\",result=\"duplicate\"}} {duplicates}");
    ensure!(duplicates == 1.0, "the duplicate was not counted");
    ensure!(app.distinct("dev.whatsapp-operator.message.received").len() == 1, "the reply was published twice");
    println!("the application has received the reply once");

    let memory = |p: Option<&tests::process::Process>| p.map_or(Ok(0), tests::process::Process::resident_mib);
    println!(
        "\nAll of this took {:.1} s. Resident memory: operator {} MiB, data plane {} MiB.",
        began.elapsed().as_secs_f64(),
        memory(Some(&world.operator))?,
        memory(world.replicas[0].process.as_ref())?
    );
    if std::env::var_os("KEEP").is_some_and(|keep| keep != "0" && !keep.is_empty()) {
        stay(&world).await?;
    }
    Ok(())
}

fn chapter(title: &str) {
    println!("\n\u{1b}[1m── {title}\u{1b}[0m\n");
}

async fn kubectl(world: &World, args: &[&str]) -> Result<()> {
    println!("$ kubectl {}", args.join(" "));
    // The printed paths are relative to the repository.
    let absolute: Vec<String> = args
        .iter()
        .map(|a| if a.starts_with("examples/") { root().join(a).display().to_string() } else { (*a).to_owned() })
        .collect();
    let output = world.cluster.kubectl(&absolute.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    println!("{}", output.trim_end());
    Ok(())
}

async fn send(api: &TenantApi, key: &str, message: &Value) -> Result<String> {
    println!("POST /v1/messages   Idempotency-Key: {key}\n{message:#}");
    let id = api.send(key, message).await?;
    println!("202 Accepted: {id}\n");
    Ok(id)
}

fn timeline(message: &Value) {
    for entry in message["timeline"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        println!("  {:<32} {:<12} {}", text(&entry["at"]), text(&entry["status"]), text(&entry["reason"]["text"]));
    }
}

/// Keeps everything up until Ctrl-C.
async fn stay(world: &World) -> Result<()> {
    let token = world.cluster.token("shop", "default", Some(AUDIENCE)).await?;
    let sandbox = world.sandbox.base_url();
    chapter("Everything stays up until Ctrl-C");
    println!(
        r#"export KUBECONFIG={kubeconfig}
export PATH="{tools}:$PATH"
export TOKEN={token}

kubectl get whatsapp --all-namespaces
kubectl describe messagetemplate order-shipped --namespace shop

# Send: the window to this customer is open.
curl -s http://127.0.0.1:{api}/v1/messages -H "authorization: Bearer $TOKEN" -H 'idempotency-key: play-1' \
  -H 'content-type: application/json' -d '{{"to":"{CUSTOMER}","from":"support","text":{{"body":"Hello"}}}}'
curl -s http://127.0.0.1:{api}/v1/messages -H "authorization: Bearer $TOKEN"
curl -s http://127.0.0.1:{api}/v1/contacts/{CUSTOMER}?sender=support -H "authorization: Bearer $TOKEN"

# Write as the customer, and see what the provider received.
curl -s {sandbox}/sandbox/customers/{CUSTOMER}/reply -H 'content-type: application/json' -d '{{"body":"STOP"}}'
curl -s {sandbox}/sandbox/messages
curl -s http://127.0.0.1:{admin}/metrics"#,
        kubeconfig = world.cluster.kubeconfig().display(),
        tools = root().join("target/tools").display(),
        api = world.ports.api,
        admin = world.ports.admin,
    );
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
