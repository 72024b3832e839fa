//! An account that exists is exported, and its manifests change nothing at the provider.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sandbox::twilio::types::{CreatedAccount, NewAccount, NewApproval, NewContent, NewService};
use sandbox::types::RequestFilter;
use serde_json::{Value, json};
use tests::cluster::documents;
use tests::eventually::eventually;
use tests::process::binary;
use tests::world::{World, conditions};

/// How many contents the account has.
const CONTENTS: usize = 300;

/// What a content is, and whether an object can say it.
type Case = (&'static str, bool, Value, Option<NewApproval>);

fn approval(status: &str, category: &str) -> Option<NewApproval> {
    let reason = "INVALID_FORMAT. No.".to_owned();
    Some(NewApproval { status: status.to_owned(), category: category.to_owned(), reason, content_type: None })
}

fn approved() -> Option<NewApproval> {
    approval("approved", "UTILITY")
}

/// Every type of content, in every state: once each.
fn cases() -> Vec<Case> {
    let reply = json!({"type": "QUICK_REPLY", "title": "Yes", "id": "yes"});
    let url = json!({"type": "URL", "title": "Track", "url": "https://shop.example/{{2}}"});
    let phone = json!({"type": "PHONE_NUMBER", "title": "Call us", "phone": "+447700900123"});
    let coupon = json!({"type": "COPY_CODE", "title": "Copy code", "code": "SAVE10"});
    let body = "Hello {{1}}, your order is on its way to you now.";
    let image = json!(["https://shop.example/1.png"]);
    let code = json!([{"type": "COPY_CODE", "copy_code_text": "Copy code"}]);
    let text = || json!({"twilio/text": {"body": body}});
    let card = |fields: Value| json!({"whatsapp/card": fields});
    let of_two = NewApproval { content_type: Some("twilio/quick-reply".to_owned()), ..approved().unwrap_or_default() };
    vec![
        ("text", true, text(), approved()),
        ("marketing", true, text(), approval("approved", "MARKETING")),
        ("paused", true, text(), approval("paused", "UTILITY")),
        ("under review", true, text(), approval("pending", "UTILITY")),
        ("replies", true, json!({"twilio/quick-reply": {"body": body, "actions": [reply]}}), approved()),
        ("actions", true, json!({"twilio/call-to-action": {"body": body, "actions": [url, phone]}}), approved()),
        (
            "card",
            true,
            card(json!({"body": body, "header_text": "News", "footer": "Bye", "actions": [reply, url]})),
            approved(),
        ),
        ("coupon", true, card(json!({"body": body, "actions": [coupon]})), approved()),
        ("bare card", true, card(json!({"body": body})), approved()),
        (
            "twilio's card",
            true,
            json!({"twilio/card": {"title": body, "subtitle": "Bye", "actions": [reply]}}),
            approved(),
        ),
        (
            "two types",
            true,
            json!({"twilio/text": {"body": body}, "twilio/quick-reply": {"body": body, "actions": [reply]}}),
            Some(of_two),
        ),
        (
            "login",
            true,
            json!({"whatsapp/authentication": {"actions": code, "add_security_recommendation": true}}),
            approval("approved", "AUTHENTICATION"),
        ),
        (
            "login without advice",
            false,
            json!({"whatsapp/authentication": {"actions": code, "add_security_recommendation": false}}),
            approval("approved", "AUTHENTICATION"),
        ),
        ("never submitted", false, text(), None),
        ("rejected", false, text(), approval("rejected", "UTILITY")),
        ("disabled", false, text(), approval("disabled", "UTILITY")),
        ("in appeal", false, text(), approval("in_appeal", "UTILITY")),
        ("of an old category", false, text(), approval("approved", "TRANSACTIONAL")),
        (
            "with named variables",
            false,
            json!({"twilio/text": {"body": "Hello {{name}}, your order is on its way."}}),
            approved(),
        ),
        (
            "ends with a variable",
            false,
            json!({"twilio/text": {"body": "Your order is on its way to you, dear {{1}}"}}),
            approved(),
        ),
        (
            "two undecided types",
            false,
            json!({"twilio/text": {"body": body}, "twilio/media": {"body": body, "media": image}}),
            None,
        ),
        ("media", false, json!({"twilio/media": {"body": body, "media": image}}), approved()),
        ("card with media", false, card(json!({"body": body, "media": image})), approved()),
        (
            "voice call",
            false,
            card(json!({"body": body, "actions": [{"type": "VOICE_CALL", "title": "Call"}]})),
            approved(),
        ),
        (
            "list",
            false,
            json!({"twilio/list-picker": {"body": body, "button": "Go", "items": [{"id": "1", "item": "One"}]}}),
            None,
        ),
        ("location", false, json!({"twilio/location": {"latitude": 1.5, "longitude": 2.5}}), None),
        ("catalog", false, json!({"twilio/catalog": {"body": body, "id": "1"}}), approved()),
        (
            "carousel",
            false,
            json!({"twilio/carousel": {"body": body, "cards": [{"title": "One", "body": "One", "media": "https://shop.example/1.png", "actions": [reply]}]}}),
            approved(),
        ),
        (
            "flow",
            false,
            json!({"twilio/flows": {"body": body, "button_text": "Go", "pages": [], "type": "OTHER"}}),
            approved(),
        ),
        (
            "whatsapp's flow",
            false,
            json!({"whatsapp/flows": {"body": body, "button_text": "Go", "flow_id": "1"}}),
            approved(),
        ),
        ("schedule", false, json!({"twilio/schedule": {"id": "1", "title": body, "timeSlots": []}}), None),
    ]
}

/// The contents of an account, and how many of them an object can say. Each case comes in four languages under one
/// name, and then again under the next.
fn contents() -> (Vec<NewContent>, usize) {
    let cases = cases();
    let languages = ["en_US", "de", "es", "pt_BR"];
    let variables: serde_json::Map<String, Value> =
        [("1", "Ava"), ("2", "7")].map(|(key, value)| (key.to_owned(), json!(value))).into_iter().collect();
    let mut contents = Vec::new();
    let mut expressible = 0;
    for round in 0.. {
        for (name, can_be_said, types, approval) in &cases {
            for language in languages {
                if contents.len() == CONTENTS {
                    return (contents, expressible);
                }
                expressible += usize::from(*can_be_said);
                contents.push(NewContent {
                    sid: None,
                    friendly_name: format!("{name} {round} {language}"),
                    language: language.to_owned(),
                    variables: variables.clone(),
                    types: types.as_object().cloned().unwrap_or_default(),
                    approval: approval.clone(),
                });
            }
        }
    }
    (contents, expressible)
}

/// Runs the command; what it wrote to stdout and to stderr.
async fn export(world: &World, account: &CreatedAccount, arguments: &[&str]) -> Result<(String, String)> {
    let mut command = Command::new(binary("whatsapp-operator")?);
    command
        .args(["export", "--account", &account.account_sid, "--twilio-base-url", world.sandbox.base_url()])
        .args(arguments)
        .env_remove("TWILIO_API_KEY")
        .env_remove("TWILIO_API_SECRET")
        .env("TWILIO_AUTH_TOKEN", &account.auth_token);
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{stderr}");
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), stderr))
}

/// Waits until every template of a namespace has adopted everything that it names, and returns what that is.
async fn adopted(world: &World, namespace: &str, objects: usize) -> Result<BTreeSet<String>> {
    eventually("every template is synced", async || {
        let json = world
            .cluster
            .kubectl(&["get", "messagetemplates", "--namespace", namespace, "--output", "json"])
            .await
            .map_err(|error| format!("{error:#}"))?;
        let all: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let all = all["items"].as_array().cloned().unwrap_or_default();
        let unsynced: Vec<_> = all
            .iter()
            .filter(|object| !conditions(object).any(|c| c["type"] == "Synced" && c["status"] == "True"))
            .map(|object| format!("{}: {}", object["metadata"]["name"], object["status"]["conditions"]))
            .collect();
        if all.len() != objects || !unsynced.is_empty() {
            return Err(format!("{} of {objects}, of which are not synced: {unsynced:#?}", all.len()));
        }
        let newest =
            all.iter().flat_map(|o| o["status"]["locations"].as_array().into_iter().flatten()).map(|l| &l["newest"]);
        let adopted = newest.filter(|newest| newest["origin"] == "Adopted");
        Ok(adopted.filter_map(|newest| newest["handle"].as_str().map(str::to_owned)).collect())
    })
    .await
}

#[tokio::test]
async fn an_exported_account_of_300_templates_is_taken_over_without_a_write_at_the_provider() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let namespace = world.namespaces[0].clone();
    let (contents, expressible) = contents();
    let new = NewAccount {
        senders: vec!["+14155249001".into(), "+14155249002".into()],
        services: vec![NewService { use_inbound_webhook_on_number: true, ..NewService::default() }],
        contents,
        ..NewAccount::default()
    };
    let account = world.control.create_account(&new).await?;
    let (yaml, stderr) = export(&world, &account, &["--namespace", &namespace]).await?;
    ensure!(!yaml.contains(&account.auth_token) && !stderr.contains(&account.auth_token), "the token was written");

    // Every content is in exactly one of the two.
    let named: BTreeSet<&String> = account.contents.iter().filter(|sid| yaml.contains(&format!("- {sid}\n"))).collect();
    let left_out: BTreeSet<&String> = account.contents.iter().filter(|sid| stderr.contains(sid.as_str())).collect();
    ensure!(named.is_disjoint(&left_out) && named.len() + left_out.len() == CONTENTS, "{stderr}");
    ensure!(named.len() == expressible, "{} of {expressible}: {stderr}", named.len());
    for sid in &left_out {
        ensure!(yaml.lines().any(|line| line.starts_with("#   - ") && line.contains(sid.as_str())), "{sid} is missing");
    }

    let objects = documents(&yaml)?;
    let templates = objects.iter().filter(|o| o.types.as_ref().is_some_and(|t| t.kind == "MessageTemplate")).count();
    ensure!(templates < expressible / 3, "languages were not grouped: {templates} objects for {expressible} templates");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "twilio", "namespace": namespace},
        "stringData": {"authToken": account.auth_token}});
    world.cluster.apply(&[serde_json::from_value(secret)?], None).await?;
    let own = RequestFilter { account: Some(account.account_sid.clone()), ..RequestFilter::default() };
    // Twice: what is deleted and applied again is taken up again.
    for round in 0..2 {
        world.cluster.apply(&objects, None).await?;
        let adopted = adopted(&world, &namespace, templates).await?;
        ensure!(adopted.iter().collect::<BTreeSet<_>>() == named, "round {round}: {adopted:#?}");
        world.ready("routingpolicy", &namespace, "default").await?;
        let kinds = "messagetemplates,routingpolicies,whatsappsenders";
        world.cluster.kubectl(&["delete", kinds, "--all", "--namespace", &namespace, "--timeout=120s"]).await?;
    }
    let requests = world.control.requests(&own).await?;
    let writes: Vec<_> = requests.iter().filter(|request| request.method != "GET").collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}

#[tokio::test]
async fn an_export_with_wrong_credentials_writes_nothing_and_says_what_would_be_right() -> Result<()> {
    let world = World::start(&["shop"]).await?;
    let mut account = world.control.create_account(&NewAccount::default()).await?;
    account.auth_token = "00000000000000000000000000000000".to_owned();
    let error = export(&world, &account, &[]).await.err().context("it was accepted")?.to_string();
    ensure!(error.contains("can't be listed") && error.contains("credentials are wrong"), "{error}");
    ensure!(!error.contains(&account.auth_token), "{error}");
    Ok(())
}
