//! Samples of Meta's webhooks where they are at hand: each is understood, or kept whole.

use std::path::PathBuf;

use messaging::content::InboundContent;
use messaging::provider::{InboundMessage, WebhookEvent};
use serde_json::Value;

use super::tests::{endpoint, receive, sign, signer};
use super::*;

/// Every sample whose name begins so, with its name.
fn samples(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::env::var_os("META_SAMPLES_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/meta/samples"),
        PathBuf::from,
    );
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there, and the samples are not copied into this repository", folder.display());
        return Vec::new();
    };
    let mut samples: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .map(|file| (file.file_name().expect("a name").to_string_lossy().into_owned(), file))
        .filter(|(name, _)| name.starts_with(prefix) && name.ends_with(".json"))
        .map(|(name, file)| (name, std::fs::read(file).expect("a readable file")))
        .collect();
    samples.sort();
    assert!(!samples.is_empty(), "{} holds no {prefix}*.json", folder.display());
    samples
}

/// The ids of the texts in a webhook, read the plain way.
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
                    WebhookEvent::Unreadable { .. } => kept += 1,
                    WebhookEvent::Inbound(_) | WebhookEvent::Status(_) => understood += 1,
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

/// Meta signs an access token as it signs a body.
#[test]
fn the_vector_of_the_proof_that_goes_with_a_token_is_met() {
    for (name, vector) in samples("vectors__appsecret_proof") {
        let vector: Value = serde_json::from_slice(&vector).expect("JSON");
        let text = |key: &str| vector[key].as_str().expect(key);
        let signature = format!("sha256={}", text("appsecret_proof"));
        let endpoint = endpoint(&[text("app_secret")], &[]);
        assert_eq!(signer(&*endpoint, text("access_token").as_bytes(), &signature), Ok(0), "{name}");
    }
}
