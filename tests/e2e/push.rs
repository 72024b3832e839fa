//! The provider tells of an approval, and the template is in use then; if nobody hears of it, polling finds it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sandbox::twilio::types::{Decision, ReviewRule};
use sandbox::types::{WebhookEffect, WebhookFault, WebhookFilter, WebhookKind, WebhookRecord};
use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::world::{Options, Tenant, World};

/// The operator lists templates under review every minute by itself.
const LONG_BEFORE_A_POLL: Duration = Duration::from_secs(20);

async fn tenant_with_events(world: &World) -> Result<Tenant> {
    let shop = world.tenant_without_sender(0).await?;
    let events = json!({"provider": {"twilio": {"templateEvents": true}}});
    world.cluster.apply(&[shop.sender(&events)?], None).await?;
    world.ready("whatsappsender", &shop.namespace, "support").await?;
    world.condition("whatsappsender", &shop.namespace, "support", "TemplateEventsConfigured", "True").await?;
    let undecided = ReviewRule {
        account: Some(shop.account.account_sid.clone()),
        decision: "pending".into(),
        ..ReviewRule::default()
    };
    world.control.add_reviews(&[undecided]).await?;
    Ok(shop)
}

/// A template that is under review; the handles of its languages.
async fn under_review(world: &World, shop: &Tenant) -> Result<Vec<String>> {
    world.cluster.apply(&[shop.template("order-shipped", &json!({}))?], None).await?;
    let template = world.condition("messagetemplate", &shop.namespace, "order-shipped", "Synced", "True").await?;
    let locations = template["status"]["locations"].as_array().context("no locations")?;
    let handle = |location: &Value| location["newest"]["handle"].as_str().map(str::to_owned);
    let handles: Vec<String> = locations.iter().filter_map(handle).collect();
    ensure!(handles.len() == 2, "{template:#}");
    eventually("WhatsApp's review is under way", async || {
        let object =
            world.get("messagetemplate", &shop.namespace, "order-shipped").await.map_err(|e| format!("{e:#}"))?;
        let pending = object["status"]["locations"].as_array().into_iter().flatten();
        let pending =
            pending.filter(|location| location["newest"]["state"].as_str().is_some_and(|s| s != "Approved")).count();
        if pending == 2 { Ok(()) } else { Err(object["status"].to_string()) }
    })
    .await?;
    Ok(handles)
}

async fn approve(world: &World, handles: &[String]) -> Result<()> {
    for handle in handles {
        let approved = Decision { status: "approved".into(), ..Decision::default() };
        world.control.decide(handle, &approved).await?;
    }
    Ok(())
}

async fn events(world: &World) -> Result<Vec<WebhookRecord>> {
    let filter = WebhookFilter { kind: Some(WebhookKind::Event), ..WebhookFilter::default() };
    Ok(world.control.webhooks(&filter).await?)
}

#[tokio::test]
async fn an_approval_is_in_use_long_before_the_next_poll_and_a_forged_or_repeated_event_harms_nothing() -> Result<()> {
    let world = World::start_in(
        tests::cluster::Cluster::shared().await?,
        &["shop"],
        Options { usual_pace: true, ..Options::default() },
    )
    .await?;
    let shop = tenant_with_events(&world).await?;
    let handles = under_review(&world, &shop).await?;

    let began = Instant::now();
    approve(&world, &handles).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    let took = began.elapsed();
    eprintln!("approval to Ready: {} ms", took.as_millis());
    ensure!(took < LONG_BEFORE_A_POLL, "{took:?}");

    // A repetition is answered as the first time, and whoever has no key learns and changes nothing.
    let told = events(&world).await?;
    let last = told.last().context("no event")?;
    let again = world.control.redeliver(last.id, 5, true).await?;
    ensure!(again.attempts.iter().all(|attempt| attempt.status == Some(204)), "{again:?}");
    let forged = reqwest::Client::new()
        .post(&last.url)
        .header("content-type", "application/json")
        .header("x-twilio-signature", last.headers["X-Twilio-Signature"].as_str())
        .body(last.body.replace("approved", "rejected"))
        .send()
        .await?;
    ensure!(forged.status() == 403, "{forged:?}");
    let template = world.get("messagetemplate", &shop.namespace, "order-shipped").await?;
    ensure!(template["status"]["locations"][0]["serving"]["handle"].is_string(), "{template:#}");

    // Nothing but ids has passed upward.
    let hints = world
        .cluster
        .kubectl(&["get", "configmap", "whatsapp-hints", "--namespace", &world.system, "--output", "json"])
        .await?;
    let hints: Value = serde_json::from_str(&hints)?;
    let text = hints["data"]["hints.json"].as_str().context("no hints")?;
    ensure!(handles.iter().all(|handle| text.contains(handle.as_str())), "{text}");
    ensure!(!text.contains("approved") && !text.contains("order"), "{text}");

    // Whoever no longer asks leaves nothing behind.
    let without = json!({"provider": {"twilio": {"templateEvents": false}}});
    world.cluster.apply(&[shop.sender(&without)?], None).await?;
    eventually("the sink and its subscription are gone", async || {
        let sender = world.get("whatsappsender", &shop.namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        let conditions = sender["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_shown = conditions.iter().any(|condition| condition["type"] == "TemplateEventsConfigured");
        if is_shown || !sender["status"]["templateEvents"].is_null() {
            Err(sender["status"].to_string())
        } else {
            Ok(())
        }
    })
    .await?;
    let before = events(&world).await?.len();
    approve(&world, &handles).await?;
    let paused = Decision { status: "paused".into(), ..Decision::default() };
    world.control.decide(&handles[0], &paused).await?;
    ensure!(events(&world).await?.len() == before, "nobody is subscribed");
    Ok(())
}

#[tokio::test]
async fn an_approval_whose_event_is_lost_is_found_by_polling() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = tenant_with_events(&world).await?;
    let lost = WebhookFault {
        kind: Some(WebhookKind::Event),
        status: Some("approved".into()),
        ..WebhookFault::new(WebhookEffect::Lose)
    };
    world.control.add_webhook_fault(lost).await?;
    let handles = under_review(&world, &shop).await?;
    approve(&world, &handles).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    let told = events(&world).await?;
    let about = |handle: &String| {
        told.iter().filter(|event| event.message_sid == *handle && event.message_status == "approved").count()
    };
    ensure!(handles.iter().all(|handle| about(handle) == 1), "{told:?}");
    let text = world.operator_metric("whatsapp_operator_hints_total", &["outcome=\"followed\""]).await?;
    // The test event, and what was told before the decision.
    ensure!(text >= 1.0, "{text}");
    Ok(())
}
