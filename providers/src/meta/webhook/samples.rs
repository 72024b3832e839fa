//! Meta's own samples, read from the folder that `META_SAMPLES_DIR` names: every one is understood or kept whole. They
//! are not part of this repository. Without the variable these tests prove nothing, and say so on stderr.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use messaging::content::InboundContent;
use messaging::provider::{InboundMessage, WebhookEvent};
use serde_json::Value;

use super::tests::{endpoint, receive, sign, signer};
use super::*;

/// The samples whose names begin with `prefix`, with their names.
fn samples(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let Some(folder) = env::var_os("META_SAMPLES_DIR").map(PathBuf::from) else {
        // The harness captures what print macros write, and shows nothing of a test that passes.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED {test}: META_SAMPLES_DIR names no folder").expect("stderr is open");
        return Vec::new();
    };
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("META_SAMPLES_DIR={}: {error}", folder.display()));
    let mut samples: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .map(|file| (file.file_name().expect("a name").to_string_lossy().into_owned(), file))
        .filter(|(name, _)| name.starts_with(prefix) && name.ends_with(".json"))
        .map(|(name, file)| (name, fs::read(file).expect("a readable file")))
        .collect();
    samples.sort();
    assert!(!samples.is_empty(), "META_SAMPLES_DIR={}: no {prefix}*.json in it", folder.display());
    samples
}

/// The ids of a webhook's text messages, read without the adapter.
fn texts_of(webhook: &Value) -> Vec<&str> {
    fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
        of[key].as_array().into_iter().flatten()
    }
    list(webhook, "entry")
        .flat_map(|entry| list(entry, "changes"))
        .filter(|change| change["field"] == "messages")
        .flat_map(|change| list(&change["value"], "messages"))
        .filter(|message| message["type"] == "text")
        .map(|message| message["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn every_sample_is_understood_or_kept_whole() {
    let (mut webhooks, mut understood, mut kept) = (0, 0, 0);
    for (name, body) in samples("") {
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        if document.get("entry").is_none() {
            continue;
        }
        webhooks += 1;
        let parts = receive(&body);
        assert!(!parts.is_empty(), "{name}");
        let mut texts = Vec::new();
        for part in &parts {
            assert!(body.as_ptr_range().contains(&part.body.as_ptr()), "{name}: {part:?}");
            assert!(serde_json::from_slice::<Value>(part.body).is_ok_and(|change| change.is_object()), "{name}");
            assert!(!part.events.is_empty(), "{name}: {part:?}");
            assert_eq!(MetaWebhooks.translate(&part.route, part.body), part.events, "{name}");
            for event in &part.events {
                match event {
                    WebhookEvent::OtherChannel { .. } | WebhookEvent::Unreadable { .. } => kept += 1,
                    WebhookEvent::Inbound(_) | WebhookEvent::Status(_) | WebhookEvent::UserIdChange(_) => {
                        understood += 1;
                    }
                }
                if let WebhookEvent::Inbound(InboundMessage {
                    provider_message_id,
                    content: InboundContent::Text { .. },
                    ..
                }) = event
                {
                    texts.push(provider_message_id.as_str());
                }
            }
        }
        assert_eq!(texts, texts_of(&document), "{name}");
    }
    println!("{webhooks} webhooks: {understood} events understood, {kept} kept");
}

#[test]
fn every_vector_of_the_signature_gets_its_verdict() {
    for (name, vectors) in samples("vectors__x_hub_signature_256") {
        let vectors: Value = serde_json::from_slice(&vectors).expect("JSON");
        for vector in vectors.as_array().expect("a list") {
            let text = |key: &str| vector[key].as_str().expect(key);
            let (secret, body) = (text("app_secret"), text("raw_body_utf8").as_bytes());
            let verdict = |signature: &str| signer(&*endpoint(&["another", secret], &[]), body, signature);
            assert_eq!(verdict(text("x_hub_signature_256")), Ok(1), "{name}");
            assert_eq!(sign(secret, body), text("x_hub_signature_256"));
            let reserialised = text("wrong_if_reserialised");
            assert_eq!(verdict(reserialised).is_ok(), reserialised == text("x_hub_signature_256"), "{name}");
        }
    }
}

/// `appsecret_proof` signs an access token as a webhook's signature signs its body.
#[test]
fn the_vector_of_appsecret_proof_gets_its_verdict() {
    for (name, vector) in samples("vectors__appsecret_proof") {
        let vector: Value = serde_json::from_slice(&vector).expect("JSON");
        let text = |key: &str| vector[key].as_str().expect(key);
        let signature = format!("sha256={}", text("appsecret_proof"));
        let endpoint = endpoint(&[text("app_secret")], &[]);
        assert_eq!(signer(&*endpoint, text("access_token").as_bytes(), &signature), Ok(0), "{name}");
    }
}
