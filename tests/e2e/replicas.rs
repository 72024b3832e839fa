//! Several replicas over one PostgreSQL: the operator counts them, and none is indispensable.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbox::config::Delays;
use sandbox::types::RequestEffect;
use serde_json::{Value, json};
use tests::api::statuses;
use tests::chart::{REQUIRED, render};
use tests::cluster::Cluster;
use tests::eventually::eventually;
use tests::world::{Options, Store, Tenant, World, on_create};

const CUSTOMER: &str = "+447700900141";

async fn two_replicas(delays: Option<Delays>) -> Result<World> {
    let options = Options { delays, store: Store::Postgres { replicas: 2 }, ..Options::default() };
    World::start_in(Cluster::shared().await?, &["shop"], options).await
}

/// Waits until the sender reports that `ready` of `total` replicas run its config.
async fn reports(world: &World, shop: &Tenant, ready: u64, total: u64) -> Result<()> {
    eventually(&format!("the sender reports {ready} of {total} replicas"), async || {
        let sender = world.get("whatsappsender", &shop.namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        let status = &sender["status"]["dataPlane"];
        let seen = status["ready"] == ready && status["total"] == total;
        if seen { Ok(()) } else { Err(status.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_change_has_arrived_only_when_every_replica_acknowledges_it() -> Result<()> {
    let mut world = two_replicas(None).await?;
    let shop = world.tenant(0).await?;
    reports(&world, &shop, 2, 2).await?;

    // A replica that hangs still has the old config, so the change is not everywhere.
    let frozen = world.replicas[1].process.as_ref().context("the second replica")?;
    frozen.freeze()?;
    world.cluster.apply(&[shop.sender(&json!({"limits": {"messagesPerSecond": 40}}))?], None).await?;
    reports(&world, &shop, 1, 2).await?;
    frozen.thaw()?;
    reports(&world, &shop, 2, 2).await?;

    // A replica that shuts down cleanly is no longer waited for, and a new one is.
    world.replicas[1].terminate()?;
    reports(&world, &shop, 1, 1).await?;
    world.start_replica(1, &[]).await?;
    reports(&world, &shop, 2, 2).await
}

#[tokio::test]
async fn replicas_killed_one_by_one_during_calls_lose_nothing_and_send_nothing_twice() -> Result<()> {
    // Callbacks are slow, so that the replicas die before anything is settled.
    let slow = Delays {
        status: Duration::from_millis(1500),
        review: Duration::from_millis(400),
        sender: Duration::from_millis(50),
    };
    let mut world = two_replicas(Some(slow)).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    // The provider accepts every message, and holds its answers back until no replica is waiting for them.
    world.control.add_request_fault(on_create(RequestEffect::AnswerDelay { ms: 30_000 }, 8)).await?;
    let text = |n: usize| json!({"to": CUSTOMER, "from": "support", "text": {"body": format!("Hello {n}")}});
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(shop.api.send(&format!("hello-{n}"), &text(n)).await?);
    }
    eventually("the provider has every message", async || {
        let sent = world.provider_messages(&shop, CUSTOMER).await.map_err(|e| format!("{e:#}"))?.len();
        if sent == 8 { Ok(()) } else { Err(sent.to_string()) }
    })
    .await?;
    world.replicas[0].kill()?;
    // The other one still serves: a caller that asks again gets the same message.
    ensure!(shop.api.send("hello-0", &text(0)).await? == ids[0]);
    world.start_replica(0, &[]).await?;
    world.replicas[1].kill()?;

    for id in &ids {
        let message = shop.api.until(id, "delivered").await?;
        ensure!(statuses(&message).iter().filter(|status| **status == "submitted").count() == 1, "{message:#}");
        let delivered = |r: &tests::app::Received| {
            r.kind() == "dev.whatsapp-operator.message.delivered" && r.event["subject"] == id.as_str()
        };
        shop.app.event("the delivery", delivered).await?;
    }
    ensure!(world.creates().await? == 8);
    ensure!(shop.app.distinct("dev.whatsapp-operator.message.delivered").len() == 8, "{:?}", shop.app.log());
    Ok(())
}

#[tokio::test]
async fn a_hold_placed_at_one_replica_holds_at_every_replica() -> Result<()> {
    let world = two_replicas(None).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    let http = reqwest::Client::new();
    let pause =
        |n: usize| world.replicas[n].admin_url(&format!("/admin/v1/tenants/{}/senders/support/pause", shop.namespace));
    let paused = http.put(pause(0)).json(&json!({"reason": "a wrong price"})).send().await?;
    ensure!(paused.status().is_success(), "{paused:?}");
    let holds: Value = http.get(world.replicas[1].admin_url("/admin/v1/holds")).send().await?.json().await?;
    ensure!(holds.to_string().contains("a wrong price"), "{holds:#}");
    let reaches_one = async |what: &str, metric: &str, label: &str| -> Result<()> {
        for replica in &world.replicas {
            eventually(&format!("{} {what}", replica.name), async || {
                let value = replica.metric(metric, &[label]).await.map_err(|e| format!("{e:#}"))?;
                if value >= 1.0 { Ok(()) } else { Err(value.to_string()) }
            })
            .await?;
        }
        Ok(())
    };
    reaches_one("knows of the hold", "whatsapp_holds", "kind=\"pause\"").await?;

    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}});
    let id = shop.api.send("hello", &text).await?;
    reaches_one("defers the message", "whatsapp_deferred_total", "reason=\"paused\"").await?;
    ensure!(world.creates().await? == 0);
    let lifted = http.delete(pause(1)).send().await?;
    ensure!(lifted.status().is_success(), "{lifted:?}");
    shop.api.until(&id, "delivered").await?;
    ensure!(world.creates().await? == 1);
    Ok(())
}

#[tokio::test]
async fn every_alert_of_the_chart_uses_metrics_that_exist() -> Result<()> {
    let world = two_replicas(None).await?;
    world.tenant(0).await?;
    let of_operator = format!("http://127.0.0.1:{}/metrics", world.ports.operator);
    let mut metrics = reqwest::get(world.replicas[0].admin_url("/metrics")).await?.text().await?;
    metrics.push_str(&reqwest::get(of_operator).await?.text().await?);
    let values = [&REQUIRED[..], &[("metrics.prometheusRule.enabled", "true")]].concat();
    let objects = render("whatsapp", "whatsapp-system", &values).await?;
    let rule = objects
        .iter()
        .find(|object| object.types.as_ref().is_some_and(|types| types.kind == "PrometheusRule"))
        .context("the chart has no PrometheusRule")?;
    let alerts = rule.data["spec"]["groups"][0]["rules"].as_array().context("no alerts")?;
    for alert in alerts {
        let expression = alert["expr"].as_str().context("an alert without an expression")?;
        let name = expression
            .split(|c: char| !c.is_ascii_lowercase() && c != '_')
            .find(|word| word.starts_with("whatsapp_"))
            .with_context(|| format!("no metric of ours in {expression}"))?;
        ensure!(metrics.contains(&format!("# TYPE {name} ")), "{}: no metric {name}", alert["alert"]);
        // The label values that it selects must exist too, or it could never fire.
        for (label, value) in labels(expression) {
            let there =
                metrics.lines().any(|line| line.starts_with(name) && line.contains(&format!("{label}=\"{value}\"")));
            ensure!(there, "{}: {name} has no {label}={value}", alert["alert"]);
        }
    }
    ensure!(alerts.iter().all(|alert| alert["annotations"]["summary"] != Value::Null));
    Ok(())
}

/// The labels that an expression selects or leaves out, each with every value. Labels that a scrape adds are left out.
fn labels(expression: &str) -> Vec<(&str, &str)> {
    let inside = expression.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let matchers = inside.split(", ").filter_map(|matcher| matcher.split_once('='));
    matchers
        .map(|(label, values)| (label.trim_end_matches('!'), values))
        .filter(|(label, _)| *label != "namespace")
        .flat_map(|(label, values)| values.trim_matches(['~', '"']).split('|').map(move |value| (label, value)))
        .collect()
}
