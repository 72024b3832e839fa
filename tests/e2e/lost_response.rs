//! The provider took the message, and its answer was lost.

use anyhow::{Result, ensure};
use sandbox::control::types::{Reply, RequestEffect, RequestFault, RequestFilter};
use serde_json::json;
use tests::api::statuses;
use tests::world::World;

const CUSTOMER: &str = "+447700900129";

#[tokio::test]
async fn a_response_lost_after_acceptance_is_one_message_settled_by_its_callback() -> Result<()> {
    for effect in [RequestEffect::DropResponse, RequestEffect::StatusAfter { status: 503 }] {
        let world = World::start(&["shop"]).await?;
        let shop = world.tenant(0).await?;
        world.control.reply(CUSTOMER, &Reply { body: "Hi".into(), ..Reply::default() }).await?;
        shop.app.event("the greeting", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
        let lost = RequestFault {
            method: Some("POST".into()),
            path: Some("/Messages.json$".into()),
            count: Some(1),
            ..RequestFault::new(effect)
        };
        world.control.add_request_fault(lost).await?;
        let id = shop.api.send("hello", &json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}})).await?;
        let message = shop.api.until(&id, "delivered").await?;
        ensure!(statuses(&message).iter().filter(|s| **s == "submitted").count() == 1, "{message:#}");
        let creates = RequestFilter {
            method: Some("POST".into()),
            path: Some("/Messages.json$".into()),
            ..RequestFilter::default()
        };
        ensure!(world.control.requests(&creates).await?.len() == 1);
        let sent = world.provider_messages(&shop, CUSTOMER).await?;
        ensure!(sent.len() == 1, "{sent:?}");
        ensure!(message["providerMessageId"] == sent[0].sid.as_str(), "{message:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_for_haste_is_tried_again_and_sent_once() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.control.reply(CUSTOMER, &Reply { body: "Hi".into(), ..Reply::default() }).await?;
    shop.app.event("the greeting", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
    let busy = RequestEffect::Status {
        status: 429,
        retry_after: Some(1),
        code: Some(20429),
        message: None,
        shape: sandbox::control::types::ErrorShape::Classic,
    };
    let busy = RequestFault {
        method: Some("POST".into()),
        path: Some("/Messages.json$".into()),
        count: Some(2),
        ..RequestFault::new(busy)
    };
    world.control.add_request_fault(busy).await?;
    let id = shop.api.send("hello", &json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}})).await?;
    let message = shop.api.until(&id, "delivered").await?;
    ensure!(statuses(&message).iter().filter(|s| **s == "submitted").count() == 3, "{message:#}");
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 1);
    Ok(())
}
