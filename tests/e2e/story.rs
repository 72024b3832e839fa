//! The main use case, from YAML to a delivered message.

use anyhow::{Result, ensure};
use sandbox::types::{Behaviour, Reply, WebhookFilter, WebhookKind};
use serde_json::json;
use tests::api::statuses;
use tests::cluster::Cluster;
use tests::world::{Options, Store, World};

const CUSTOMER: &str = "+447700900123";

#[tokio::test]
async fn what_a_tenant_declares_becomes_a_message_that_is_read_and_a_reply_that_arrives() -> Result<()> {
    story(World::start(&["shop"]).await?).await
}

#[tokio::test]
async fn the_same_works_with_two_replicas_over_postgresql() -> Result<()> {
    let options = Options { store: Store::Postgres { replicas: 2 }, ..Options::default() };
    story(World::start_in(Cluster::shared().await?, &["shop"], options).await?).await
}

async fn story(world: World) -> Result<()> {
    let shop = world.tenant(0).await?;
    let policy = json!({"default": {"senderRef": {"name": "support"}}});
    let objects = [shop.template("order-shipped", &json!({}))?, shop.object("RoutingPolicy", "default", policy)?];
    world.cluster.apply(&objects, None).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    world.ready("routingpolicy", &shop.namespace, "default").await?;
    for (kind, name) in
        [("whatsappsender", "support"), ("messagetemplate", "order-shipped"), ("routingpolicy", "default")]
    {
        world.in_data_plane(kind, &shop.namespace, name).await?;
    }
    let table = world.cluster.kubectl(&["get", "whatsapp", "--namespace", &shop.namespace]).await?;
    for cell in ["support", "+14155238886", "twilio", "ONLINE", "order-shipped", "UTILITY", "Approved", "2/2"] {
        ensure!(table.contains(cell), "`kubectl get whatsapp` does not show {cell}:\n{table}");
    }

    // A template message is sent and followed until it is read.
    world.control.behave(CUSTOMER, &Behaviour { reads: Some(true), ..Behaviour::default() }).await?;
    let template = json!({"name": "order-shipped", "language": "de", "values": {"1": "Ava"}});
    let id = shop.api.send("order-1", &json!({"to": CUSTOMER, "template": template})).await?;
    let read = shop.api.until(&id, "read").await?;
    let seen = statuses(&read);
    // A webhook may overtake the one before it, so a status in between may be passed over.
    ensure!(seen.first() == Some(&"queued") && seen.last() == Some(&"read"), "{seen:?}");
    let sent = world.provider_messages(&shop, CUSTOMER).await?;
    ensure!(sent.len() == 1 && sent[0].content_variables["1"] == "Ava", "{sent:?}");
    let event = shop.app.event("the read receipt", |r| r.kind() == "dev.whatsapp-operator.message.read").await?;
    ensure!(event.event["subject"] == id.as_str(), "{:#}", event.event);

    // The customer replies; the application receives a signed event.
    let reply = Reply { body: "Thank you!".into(), ..Reply::default() };
    let accepted = world.control.reply(CUSTOMER, &reply).await?;
    let received = |r: &tests::app::Received| r.kind() == "dev.whatsapp-operator.message.received";
    let event = shop.app.event("the reply", received).await?;
    ensure!(event.event["data"]["content"]["body"] == "Thank you!", "{:#}", event.event);
    ensure!(event.event["data"]["from"] == CUSTOMER, "{:#}", event.event);

    // The window is open now, so a free-form reply may be sent.
    let answer = json!({"to": CUSTOMER, "from": "support", "text": {"body": "You are welcome."}});
    let id = shop.api.send("answer-1", &answer).await?;
    shop.api.until(&id, "read").await?;

    // A redelivery of the webhook changes nothing, and is counted.
    let filter = WebhookFilter {
        kind: Some(WebhookKind::Inbound),
        message_sid: Some(accepted.message_sid.clone()),
        ..WebhookFilter::default()
    };
    let webhooks = world.control.webhooks(&filter).await?;
    ensure!(webhooks.len() == 1, "{webhooks:?}");
    let before = world.metric("whatsapp_webhooks_total", &["result=\"duplicate\""]).await?;
    world.control.redeliver(webhooks[0].id, 1, false).await?;
    let after = world.metric("whatsapp_webhooks_total", &["result=\"duplicate\""]).await?;
    ensure!(after == before + 1.0, "duplicates went from {before} to {after}");
    ensure!(shop.app.distinct("dev.whatsapp-operator.message.received").len() == 1);
    ensure!(shop.app.refused().is_empty(), "{:?}", shop.app.refused());
    Ok(())
}
