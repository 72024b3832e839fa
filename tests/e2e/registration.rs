//! A number that the operator registers with WhatsApp.

use anyhow::{Context, Result, ensure};
use sandbox::twilio::types::{NewAccount, NewVerification};
use sandbox::types::Reply;
use serde_json::{Value, json};
use tests::app::Received;
use tests::eventually::eventually;
use tests::world::{World, conditions};

const CUSTOMER: &str = "+447700900123";

/// Waits until `Online` has this reason, and returns its message.
async fn online_says(world: &World, namespace: &str, reason: &str) -> Result<String> {
    eventually(&format!("Online says {reason}"), async || {
        let sender = world.get("whatsappsender", namespace, "support").await.map_err(|e| format!("{e:#}"))?;
        let told = conditions(&sender).find(|c| c["type"] == "Online" && c["reason"] == reason);
        told.map(|told| told["message"].to_string()).ok_or_else(|| sender["status"].to_string())
    })
    .await
}

#[tokio::test]
async fn a_number_is_registered_waits_for_its_code_and_sends_and_receives_once_a_person_has_written_it_down()
-> Result<()> {
    let world = World::start(&["shop"]).await?;
    let mut shop = world.tenant_of(0, &NewAccount::default()).await?;
    shop.number = "+447700900777".to_owned();
    let code = world.control.verify(&shop.number, &NewVerification::default()).await?.code;

    // Nobody asks for it.
    world.cluster.apply(&[shop.sender(&json!({}))?], None).await?;
    let message = online_says(&world, &shop.namespace, "SenderNotFound").await?;
    ensure!(message.contains("spec.provider.twilio.registration"), "{message}");
    ensure!(world.control.verification(&shop.number).await?.registrations == 0);

    let registration = json!({
        "profile": {"name": "Example Shop", "websites": [{"url": "https://shop.example.com"}]},
        "verificationCodeSecretRef": {"name": "whatsapp-code", "key": "code"},
    });
    let sender = shop.sender(&json!({"provider": {"twilio": {"registration": registration}}}))?;
    world.cluster.apply(&[sender], None).await?;
    let message = online_says(&world, &shop.namespace, "AwaitsVerificationCode").await?;
    ensure!(message.contains("the key code of the secret") && message.contains("whatsapp-code"), "{message}");

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "whatsapp-code", "namespace": shop.namespace},
        "stringData": {"code": code},
    });
    world.cluster.apply(&[serde_json::from_value(secret)?], None).await?;
    let sender = world.ready("whatsappsender", &shop.namespace, "support").await?;
    ensure!(sender["status"]["state"].as_str().is_some_and(|state| state.starts_with("ONLINE")), "{sender}");
    ensure!(!sender.to_string().contains(&code), "the status shows the code: {sender}");
    let known = &sender["status"]["registration"];
    ensure!(known["registeredAt"].is_string() && known["attempts"].as_array().is_some_and(|all| all.len() == 1));
    let record = world.control.verification(&shop.number).await?;
    ensure!((record.registrations, record.codes, record.wrong_codes) == (1, vec![code], 0));

    world.in_data_plane("whatsappsender", &shop.namespace, "support").await?;
    let reply = Reply { to: Some(shop.number.clone()), body: "Hello".to_owned(), ..Reply::default() };
    world.control.reply(CUSTOMER, &reply).await?;
    shop.app.event("the customer's words", |r: &Received| r.event["data"]["content"]["body"] == "Hello").await?;
    let text = json!({"to": CUSTOMER, "from": "support", "text": {"body": "Hello to you"}});
    let sent = shop.api.send("answer", &text).await?;
    shop.api.until(&sent, "delivered").await?;

    // It is not given up.
    let delete = ["delete", "whatsappsender", "support", "--timeout=60s", "--namespace", &shop.namespace];
    world.cluster.kubectl(&delete).await?;
    let url = format!("{}/v2/Channels/Senders?Channel=whatsapp", world.sandbox.base_url());
    let (sid, token) = (&shop.account.account_sid, &shop.account.auth_token);
    let listed: Value = reqwest::Client::new().get(&url).basic_auth(sid, Some(token)).send().await?.json().await?;
    ensure!(listed["senders"].as_array().context("no list")?.len() == 1, "{listed}");
    Ok(())
}
