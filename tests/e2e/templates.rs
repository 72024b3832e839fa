//! Template review, as tenants see it.

use anyhow::{Context, Result, ensure};
use sandbox::twilio::types::{Decision, ReviewRule};
use sandbox::types::RequestFilter;
use serde_json::json;
use tests::eventually::eventually;
use tests::world::{World, conditions};

#[tokio::test]
async fn a_rejected_template_is_stalled_with_the_providers_reason() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let rule = ReviewRule {
        account: Some(shop.account.account_sid.clone()),
        decision: "rejected".into(),
        reason: "INVALID_FORMAT. The placeholder has no sample.".into(),
        ..ReviewRule::default()
    };
    world.control.add_reviews(&[rule]).await?;
    world.cluster.apply(&[shop.template("order-shipped", &json!({}))?], None).await?;
    let template = world.condition("messagetemplate", &shop.namespace, "order-shipped", "Stalled", "True").await?;
    let stalled = conditions(&template).find(|c| c["type"] == "Stalled").context("no Stalled condition")?;
    let message = stalled["message"].as_str().unwrap_or_default();
    ensure!(message.contains("INVALID_FORMAT. The placeholder has no sample."), "{message}");
    ensure!(!conditions(&template).any(|c| c["type"] == "Ready" && c["status"] == "True"), "{template:#}");
    let described = world
        .cluster
        .kubectl(&["describe", "messagetemplate", "order-shipped", "--namespace", &shop.namespace])
        .await?;
    ensure!(described.contains("INVALID_FORMAT"), "{described}");
    Ok(())
}

#[tokio::test]
async fn an_edited_template_keeps_serving_its_approved_revision_until_the_next_is_approved() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    let only_english = |body: &str| json!({"localizations": [{"language": "en_US", "body": body}]});
    let first = "Hello {{1}}, your order has left our warehouse and is on its way to you.";
    world.cluster.apply(&[shop.template("order-shipped", &only_english(first))?], None).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    world.in_data_plane("messagetemplate", &shop.namespace, "order-shipped").await?;

    let undecided = ReviewRule {
        account: Some(shop.account.account_sid.clone()),
        decision: "pending".into(),
        ..ReviewRule::default()
    };
    world.control.add_reviews(&[undecided]).await?;
    let second = "Hello {{1}}, good news: your order has left our warehouse and is on its way.";
    world.cluster.apply(&[shop.template("order-shipped", &only_english(second))?], None).await?;
    world.condition("messagetemplate", &shop.namespace, "order-shipped", "Synced", "True").await?;
    world.in_data_plane("messagetemplate", &shop.namespace, "order-shipped").await?;
    let send = json!({"to": "+447700900126", "from": "support", "template": {"name": "order-shipped", "values": {"1": "Ava"}}});
    let id = shop.api.send("order-2", &send).await?;
    shop.api.until(&id, "delivered").await?;
    let sent = world.provider_messages(&shop, "+447700900126").await?;
    ensure!(sent.len() == 1 && sent[0].body.starts_with("Hello Ava, your order"), "{sent:?}");

    let template = world.get("messagetemplate", &shop.namespace, "order-shipped").await?;
    let newest = template["status"]["locations"][0]["newest"]["handle"].as_str().context("no newest revision")?;
    let approved = Decision { status: "approved".into(), ..Decision::default() };
    world.control.decide(newest, &approved).await?;
    eventually("the new revision is in use", async || {
        let object =
            world.get("messagetemplate", &shop.namespace, "order-shipped").await.map_err(|e| format!("{e:#}"))?;
        let serving = &object["status"]["locations"][0]["serving"]["handle"];
        if serving == newest { Ok(()) } else { Err(object["status"].to_string()) }
    })
    .await?;
    world.in_data_plane("messagetemplate", &shop.namespace, "order-shipped").await?;
    let id = shop.api.send("order-3", &send).await?;
    shop.api.until(&id, "delivered").await?;
    let sent = world.provider_messages(&shop, "+447700900126").await?;
    ensure!(sent.iter().filter(|m| m.body.starts_with("Hello Ava, good news")).count() == 1, "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn deleting_a_template_deletes_it_at_the_provider_even_when_the_tenants_secret_is_gone() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = world.tenant(0).await?;
    world.cluster.apply(&[shop.template("order-shipped", &json!({}))?], None).await?;
    world.ready("messagetemplate", &shop.namespace, "order-shipped").await?;
    world.cluster.kubectl(&["delete", "secret", "twilio", "--namespace", &shop.namespace]).await?;
    world
        .cluster
        .kubectl(&["delete", "messagetemplate", "order-shipped", "--namespace", &shop.namespace, "--timeout=60s"])
        .await?;
    let filter = RequestFilter {
        method: Some("DELETE".into()),
        path: Some("/v1/Content/".into()),
        account: Some(shop.account.account_sid.clone()),
        since: None,
    };
    eventually("both languages are deleted at the provider", async || {
        let deleted = world.control.requests(&filter).await.map_err(|e| format!("{e:#}"))?;
        if deleted.iter().filter(|r| r.status == Some(204)).count() == 2 { Ok(()) } else { Err(format!("{deleted:?}")) }
    })
    .await
}
