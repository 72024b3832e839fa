//! The 24-hour window.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use serde_json::json;
use tests::world::World;

#[tokio::test]
async fn free_form_text_outside_the_window_is_refused_with_a_remedy() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let text = json!({"to": "+447700900125", "from": "support", "text": {"body": "Hello"}});
    let refused = shop.api.try_send("cold-call", &text).await?;
    ensure!(refused.status == StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
    let error = &refused.body["errors"][0];
    ensure!(error["pointer"] == "/text" && error["code"] == "window_closed", "{:#}", refused.body);
    ensure!(error["expected"].as_str().is_some_and(|e| e.contains("template")), "{:#}", refused.body);
    ensure!(world.provider_messages(&shop, "+447700900125").await?.is_empty());
    Ok(())
}
