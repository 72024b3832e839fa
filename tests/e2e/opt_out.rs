//! A customer who opted out is sent nothing.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use sandbox::types::Reply;
use serde_json::json;
use tests::world::World;

const CUSTOMER: &str = "+447700900124";

#[tokio::test]
async fn after_a_customer_says_stop_nothing_is_sent_until_they_say_start() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let say = async |words: &str, kind: &str| -> Result<()> {
        world.control.reply(CUSTOMER, &Reply { body: words.into(), ..Reply::default() }).await?;
        shop.app.event(kind, |r| r.kind() == kind).await.map(drop)
    };
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello again"}});

    say("  sToP ", "dev.whatsapp-operator.contact.opted-out").await?;
    let refused = shop.api.try_send("hello-1", &text).await?;
    ensure!(refused.status == StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    let error = &refused.body["errors"][0];
    ensure!(error["pointer"] == "/to" && error["code"] == "suppressed", "{:#}", refused.body);
    let contact = shop.api.get("/v1/contacts/+447700900124?sender=support").await?;
    ensure!(contact.body.to_string().contains("suppress"), "{:#}", contact.body);
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.is_empty());

    say("START", "dev.whatsapp-operator.contact.opted-in").await?;
    let id = shop.api.send("hello-2", &text).await?;
    shop.api.until(&id, "delivered").await?;
    Ok(())
}

#[tokio::test]
async fn an_opt_out_between_accepting_and_sending_stops_the_message() -> Result<()> {
    let mut world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    // The window must be open, or the text would be refused at once.
    world.hear(&shop, CUSTOMER, "Hi").await?;

    // This replica accepts, but hands nothing to the provider.
    world.kill_data_plane()?;
    world.start_data_plane(&["--roles", "webhooks,apply,api,publish"]).await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello again"}});
    let id = shop.api.send("hello-3", &text).await?;
    world.control.reply(CUSTOMER, &Reply { body: "stop".into(), ..Reply::default() }).await?;
    shop.app.event("the opt-out", |r| r.kind() == "dev.whatsapp-operator.contact.opted-out").await?;

    world.kill_data_plane()?;
    world.start_data_plane(&[]).await?;
    let message = shop.api.until(&id, "suppressed").await?;
    ensure!(message["timeline"].to_string().contains("opted out"), "{message:#}");
    ensure!(world.provider_messages(&shop, CUSTOMER).await?.is_empty());
    Ok(())
}
