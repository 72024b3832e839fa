//! Twilio's own Sandbox as a sender, with which everybody begins.

use anyhow::{Context, Result, ensure};
use sandbox::twilio::types::{NewAccount, NewTryOut};
use sandbox::types::{Reply, RequestFilter};
use serde_json::json;
use tests::app::Received;
use tests::world::{Tenant, World, conditions};

const JOINED: &str = "+447700900123";
const STRANGER: &str = "+447700900124";

/// A tenant whose sender is the Sandbox. A person has pasted the URLs into the console.
async fn tenant(world: &World) -> Result<Tenant> {
    let url = |rest| world.webhook_url(&format!("/webhooks/{}/support/twilio/{rest}", world.namespaces[0]));
    let account = NewAccount {
        sandbox: Some(NewTryOut {
            join_code: "plenty-tiger".to_owned(),
            inbound_url: Some(url("inbound")),
            status_url: Some(url("status")),
        }),
        ..NewAccount::default()
    };
    let mut tenant = world.tenant_of(0, &account).await?;
    tenant.number = "+14155238886".to_owned();
    let twilio = json!({"sandbox": true, "sandboxJoinCode": "plenty-tiger"});
    world.cluster.apply(&[tenant.sender(&json!({"provider": {"twilio": twilio}}))?], None).await?;
    let sender = world.ready("whatsappsender", &tenant.namespace, "support").await?;
    let told = &sender["status"]["sandbox"];
    ensure!(told["join"].as_str().is_some_and(|join| join.contains("join plenty-tiger")), "{told}");
    for (field, url) in [("inboundUrl", url("inbound")), ("statusUrl", url("status"))] {
        let shown = told[field].as_str().context("no URL")?;
        ensure!(shown.split('#').next() == Some(url.as_str()), "{field}: {told}");
        let tells = |c: &serde_json::Value| {
            c["type"] == "WebhooksConfigured" && c["message"].as_str().is_some_and(|message| message.contains(shown))
        };
        ensure!(conditions(&sender).any(tells), "{sender:#}");
    }
    world.in_data_plane("whatsappsender", &tenant.namespace, "support").await?;
    Ok(tenant)
}

#[tokio::test]
async fn a_phone_that_joined_gets_twilios_own_templates_and_a_stranger_is_told_to_join() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let shop = tenant(&world).await?;
    let code = |to: &str| json!({"to": to, "from": "support", "template": {"name": "sandbox-code", "language": "en", "values": {"1": "4711"}}});
    let refused = shop.api.send("stranger", &code(STRANGER)).await?;
    let failed = shop.api.until(&refused, "failed").await?.to_string();
    ensure!(failed.contains("63015") && failed.contains("status.sandbox.join"), "{failed}");

    let write = async |words: &str| {
        let reply = Reply { to: Some(shop.number.clone()), body: words.to_owned(), ..Reply::default() };
        world.control.reply(JOINED, &reply).await
    };
    write("join plenty-tiger").await?;
    let first = shop.api.send("first", &code(JOINED)).await?;
    let second = shop.api.send("second", &code(JOINED)).await?;
    for id in [&first, &second] {
        shop.api.until(id, "delivered").await?;
    }
    let sent = world.provider_messages(&shop, JOINED).await?;
    ensure!(sent.len() == 2 && sent[0].body.starts_with("4711 is your verification code."), "{sent:?}");
    let between = sent[1].history[0].at.duration_since(sent[0].history[0].at);
    ensure!(between.as_millis() >= 3000, "{between:?} lie between two messages, and the Sandbox takes one in 3 s");
    // Not only because the Sandbox refuses what comes too early: it is not asked all the time. It may still refuse one
    // that was faster on its way than the one before.
    let calls =
        RequestFilter { method: Some("POST".into()), path: Some("/Messages.json$".into()), ..Default::default() };
    let calls: Vec<_> = world.control.requests(&calls).await?.into_iter().map(|call| call.at).collect();
    let gaps: Vec<_> = calls.windows(2).map(|two| two[1].duration_since(two[0])).collect();
    ensure!(gaps.len() > 1 && gaps.iter().all(|gap| gap.as_millis() >= 2000), "{gaps:?} lie between two calls");

    write("Hello").await?;
    let heard = |r: &Received| r.event["data"]["content"]["body"] == "Hello";
    shop.app.event("the customer's words", heard).await?;
    let text = json!({"to": JOINED, "from": "support", "text": {"body": "Hello to you"}});
    let answer = shop.api.send("answer", &text).await?;
    shop.api.until(&answer, "delivered").await?;
    Ok(())
}
