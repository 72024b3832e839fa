//! `kill -9` of the data plane at the worst moments.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use sandbox::types::{Reply, RequestEffect};
use serde_json::json;
use tests::eventually::eventually;
use tests::world::{World, on_create};

const CUSTOMER: &str = "+447700900128";

#[tokio::test]
async fn killed_between_accepting_and_sending_the_message_is_sent_once() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    world.kill_data_plane()?;
    world.start_data_plane(&["--roles", "webhooks,apply,api,publish"]).await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}});
    let id = shop.api.send("hello", &text).await?;

    world.kill_data_plane()?;
    world.start_data_plane(&[]).await?;
    shop.api.until(&id, "delivered").await?;
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 1);

    // The caller may not have got the answer and asks again: it is the same message.
    ensure!(shop.api.send("hello", &text).await? == id);
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn killed_while_the_provider_is_called_the_message_is_not_sent_again() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.hear(&shop, CUSTOMER, "Hi").await?;
    // The provider accepts the message, and its answer is held back until the data plane is dead.
    let slow = on_create(RequestEffect::AnswerDelay { ms: 30_000 }, 1);
    world.control.add_request_fault(slow).await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello"}});
    let id = shop.api.send("hello", &text).await?;
    eventually("the provider has the message", async || {
        let sent = world.provider_messages(&shop, CUSTOMER).await.map_err(|e| format!("{e:#}"))?;
        if sent.len() == 1 { Ok(()) } else { Err(format!("{sent:?}")) }
    })
    .await?;
    world.kill_data_plane()?;
    world.start_data_plane(&[]).await?;
    // The attempt's callback settles it, whether it comes before or after the restart.
    shop.api.until(&id, "delivered").await?;
    ensure!(world.creates().await? == 1);
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn killed_between_a_webhook_and_its_publication_the_event_arrives_under_one_id() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    // The application is down, so the event is stored and cannot be published.
    shop.app.answer_with(StatusCode::SERVICE_UNAVAILABLE);
    world.kill_data_plane()?;
    world.start_data_plane(&["--roles", "webhooks,api"]).await?;
    world.control.reply(CUSTOMER, &Reply { body: "Hi".into(), ..Reply::default() }).await?;
    eventually("the webhook is on disk", async || {
        let taken =
            world.metric("whatsapp_webhooks_total", &["result=\"accepted\""]).await.map_err(|e| format!("{e:#}"))?;
        if taken == 1.0 { Ok(()) } else { Err(format!("{taken}")) }
    })
    .await?;

    world.kill_data_plane()?;
    shop.app.answer_with(StatusCode::NO_CONTENT);
    world.start_data_plane(&[]).await?;
    shop.app.event("the message", |r| r.kind() == "dev.whatsapp-operator.message.received").await?;
    // Any further effect of the first one would arrive before this second message.
    world.hear(&shop, CUSTOMER, "Still there?").await?;
    ensure!(shop.app.distinct("dev.whatsapp-operator.message.received").len() == 2);
    Ok(())
}
