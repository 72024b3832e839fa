//! The provider accepted the message, and its answer was lost.

use anyhow::{Result, ensure};
use sandbox::types::RequestEffect;
use serde_json::json;
use tests::api::statuses;
use tests::world::{World, on_create};

const CUSTOMER: &str = "+447700900129";

#[tokio::test]
async fn a_response_lost_after_acceptance_is_one_message_settled_by_its_callback() -> Result<()> {
    for effect in [RequestEffect::DropResponse, RequestEffect::StatusAfter { status: 503 }] {
        let world = World::start(&["shop"]).await?;
        let shop = world.tenant(0).await?;
        world.hear(&shop, CUSTOMER, "Hi").await?;
        let lost = on_create(effect, 1);
        world.control.add_request_fault(lost).await?;
        let id = shop.api.send("hello", &json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}})).await?;
        let message = shop.api.until(&id, "delivered").await?;
        ensure!(statuses(&message).iter().filter(|s| **s == "submitted").count() == 1, "{message:#}");
        ensure!(world.creates().await? == 1);
        let sent = world.provider_messages(&shop, CUSTOMER).await?;
        ensure!(sent.len() == 1, "{sent:?}");
        ensure!(message["providerMessageId"] == sent[0].sid.as_str(), "{message:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rate_limited_message_is_retried_and_sent_once() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    let busy = RequestEffect::Status {
        status: 429,
        retry_after: Some(1),
        code: Some(20429),
        message: None,
        shape: sandbox::types::ErrorShape::Classic,
    };
    let busy = on_create(busy, 2);
    world.control.add_request_fault(busy).await?;
    let id = shop.api.send("hello", &json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}})).await?;
    let message = shop.api.until(&id, "delivered").await?;
    ensure!(statuses(&message).iter().filter(|s| **s == "submitted").count() == 3, "{message:#}");
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 1);
    Ok(())
}
