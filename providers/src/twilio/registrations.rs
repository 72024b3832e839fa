//! Registering WhatsApp senders (Senders v2).
//!
//! A number of Twilio's that receives SMS is verified by Twilio. To any other one WhatsApp sends a code, which is then
//! told in an update of the sender. (Twilio docs, registering senders by API.)

use messaging::provider::ProviderError;
use messaging::provider::admin::{BusinessProfile, CodeBy, Labelled, Registered, Registration, Verified};
use messaging::secret::Secret;
use serde_json::{Map, Value, json};

use super::address;
use super::client::Client;
use super::hosts::Host;
use super::senders;

/// The number is registered with WhatsApp already.
const TAKEN: &str = "63110";
/// WhatsApp accepts no attempt for a time.
const TOO_OFTEN: &str = "63114";

pub(crate) async fn register(client: &Client, registration: &Registration) -> Result<Registered, ProviderError> {
    match client.post_json(Host::Messaging, "/v2/Channels/Senders", &body(registration)).await {
        Ok(_) => Ok(Registered::Begun),
        Err(error) => match (error.http_status, error.failure.code.as_deref()) {
            (_, Some(TOO_OFTEN)) => Ok(Registered::TooOften),
            (Some(409), _) | (_, Some(TAKEN)) => Ok(Registered::IsTaken),
            _ => Err(error),
        },
    }
}

/// The code is in no error that Twilio's answer leads to.
pub(crate) async fn verify(client: &Client, sid: &str, code: &Secret) -> Result<Verified, ProviderError> {
    let client = client.hiding(code);
    let body = json!({ "configuration": { "verification_code": code.expose() } });
    match client.post_json(Host::Messaging, &senders::path(sid), &body).await {
        Ok(_) => Ok(Verified::Submitted),
        Err(error) if error.failure.code.as_deref() == Some(TOO_OFTEN) => Ok(Verified::TooOften),
        Err(error) => Err(error),
    }
}

fn body(registration: &Registration) -> Value {
    let Registration { number, code_by, business_account, profile: of_business, webhooks } = registration;
    let verification_method = match code_by {
        CodeBy::Sms => "sms",
        CodeBy::Call => "voice",
    };
    let mut configuration = json!({ "verification_method": verification_method });
    if let Some(waba) = business_account {
        configuration["waba_id"] = json!(waba);
    }
    json!({
        "sender_id": address::channel_address(&number.to_string()),
        "configuration": configuration,
        "webhook": senders::webhook(webhooks),
        "profile": profile(of_business),
    })
}

fn profile(of_business: &BusinessProfile) -> Map<String, Value> {
    let BusinessProfile { name, about, address, description, logo_url, vertical, websites, emails } = of_business;
    let texts = [
        ("name", Some(name)),
        ("about", about.as_ref()),
        ("address", address.as_ref()),
        ("description", description.as_ref()),
        ("logo_url", logo_url.as_ref()),
        ("vertical", vertical.as_ref()),
    ];
    let lists = [("websites", "website", websites), ("emails", "email", emails)];
    let lists = lists.into_iter().filter(|(.., all)| !all.is_empty()).map(|(field, value, all)| {
        let all: Vec<_> =
            all.iter().map(|Labelled { value: text, label }| json!({ value: text, "label": label })).collect();
        (field.to_owned(), json!(all))
    });
    let texts = texts.into_iter().filter_map(|(field, text)| Some((field.to_owned(), json!(text?))));
    texts.chain(lists).collect()
}
