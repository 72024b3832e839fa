//! Webhooks are accepted only if signed, and take effect once, however often they are repeated.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use sandbox::types::{Reply, WebhookEffect, WebhookFault, WebhookFilter, WebhookKind};
use serde_json::json;
use tests::api::statuses;
use tests::eventually::eventually;
use tests::world::World;

const CUSTOMER: &str = "+447700900127";
/// `sent` once, `delivered` four times.
const ATTEMPTS: usize = 5;

#[tokio::test]
async fn a_wrong_signature_is_forbidden_and_nothing_is_stored() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let url = world.webhook_url(&format!("/webhooks/{}/support/twilio/inbound", shop.namespace));
    let form =
        [("MessageSid", "SM00000000000000000000000000000001"), ("From", "whatsapp:+447700900127"), ("Body", "Hi")];
    for signature in [None, Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA="), Some("")] {
        let mut request = reqwest::Client::new().post(&url).form(&form);
        if let Some(signature) = signature {
            request = request.header("x-twilio-signature", signature);
        }
        let answer = request.send().await?;
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{signature:?}: {answer:?}");
    }
    let contact = shop.api.get("/v1/contacts/+447700900127?sender=support").await?;
    ensure!(!contact.body.to_string().contains("\"open\":true"), "{:#}", contact.body);
    ensure!(world.metric("whatsapp_webhooks_total", &["result=\"accepted\""]).await? == 0.0);
    ensure!(world.metric("whatsapp_webhooks_total", &["result=\"rejected_signature\""]).await? == 3.0);

    // A correctly signed webhook, sent afterwards, is the only one that the application ever sees.
    world.control.reply(CUSTOMER, &Reply { body: "the real one".into(), ..Reply::default() }).await?;
    shop.app.event("the real message", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
    ensure!(shop.app.log().len() == 1, "{:?}", shop.app.log());
    Ok(())
}

#[tokio::test]
async fn ten_concurrent_redeliveries_are_one_event() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let accepted = world.control.reply(CUSTOMER, &Reply { body: "once".into(), ..Reply::default() }).await?;
    shop.app.event("the message", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
    let webhook = accepted.webhook.unwrap_or_default();
    let redelivered = world.control.redeliver(webhook, 10, true).await?;
    ensure!(redelivered.attempts.iter().all(|a| a.status.is_some_and(|s| (200..300).contains(&s))), "{redelivered:?}");
    ensure!(world.metric("whatsapp_webhooks_total", &["result=\"duplicate\""]).await? == 10.0);
    // Any effect of a redelivery would arrive before this second message.
    world.control.reply(CUSTOMER, &Reply { body: "twice".into(), ..Reply::default() }).await?;
    shop.app.event("the second message", |r| r.event["data"]["content"]["body"] == "twice").await?;
    ensure!(shop.app.distinct("dev.whatsapp-operator.message.received").len() == 2, "{:?}", shop.app.log());
    Ok(())
}

#[tokio::test]
async fn ten_concurrent_first_deliveries_are_one_event() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    // The provider's first delivery is lost; then it comes ten times at once.
    let lost =
        WebhookFault { kind: Some(WebhookKind::Inbound), count: Some(1), ..WebhookFault::new(WebhookEffect::Lose) };
    world.control.add_webhook_fault(lost).await?;
    let accepted = world.control.reply(CUSTOMER, &Reply { body: "once".into(), ..Reply::default() }).await?;
    let webhook = accepted.webhook.unwrap_or_default();
    let delivered = world.control.redeliver(webhook, 10, true).await?;
    ensure!(delivered.attempts.iter().all(|a| a.status.is_some_and(|s| (200..300).contains(&s))), "{delivered:?}");
    ensure!(world.metric("whatsapp_webhooks_total", &["result=\"accepted\""]).await? == 1.0);
    ensure!(world.metric("whatsapp_webhooks_total", &["result=\"duplicate\""]).await? == 9.0);
    shop.app.event("the message", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
    world.hear(&shop, CUSTOMER, "twice").await?;
    ensure!(shop.app.distinct("dev.whatsapp-operator.message.received").len() == 2);
    Ok(())
}

#[tokio::test]
async fn reordered_and_repeated_statuses_end_in_the_same_state() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    let status = |name: &str, effect| WebhookFault {
        kind: Some(WebhookKind::Status),
        status: Some(name.into()),
        ..WebhookFault::new(effect)
    };
    world.control.add_webhook_fault(status("sent", WebhookEffect::Reorder)).await?;
    world.control.add_webhook_fault(status("delivered", WebhookEffect::Duplicate { times: 3 })).await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}});
    let id = shop.api.send("hello", &text).await?;
    shop.api.until(&id, "delivered").await?;
    eventually("every callback was answered", async || {
        let all = world
            .control
            .webhooks(&WebhookFilter { kind: Some(WebhookKind::Status), ..WebhookFilter::default() })
            .await;
        let all = all.map_err(|e| format!("{e:#}"))?;
        if all.iter().map(|w| w.attempts.len()).sum::<usize>() >= ATTEMPTS { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await?;
    let faults = world.control.faults().await?;
    ensure!(faults.webhooks.len() == 2 && faults.webhooks.iter().all(|fault| fault.hits == 1), "{faults:?}");
    let message = shop.api.message(&id).await?;
    ensure!(message["status"] == "delivered", "{message:#}");
    let terminal = statuses(&message).into_iter().filter(|s| *s == "delivered").count();
    ensure!(terminal == 1, "{message:#}");
    Ok(())
}
