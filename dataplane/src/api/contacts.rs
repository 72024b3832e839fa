//! Reads a contact's window, consent and suppression, and records consent.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::HeaderMap;
use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, ConsentStatus, Evidence};
use messaging::id::SenderName;
use serde_json::Value;
use url::form_urlencoded;

use super::ApiContext;
use super::view::ContactView;
use crate::auth::Caller;
use crate::config::Tenant;
use crate::requests::body;
use crate::requests::fields::{Errors, Fields};
use crate::requests::problem::{FieldError, Problem};
use crate::store::contact::PutConsent;

/// Characters of each text of the evidence.
const EVIDENCE: usize = 1024;

pub(super) async fn read(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ContactView>, Problem> {
    let tenant = context.tenant_of(&caller)?;
    let (address, sender) = which(&tenant, &address, query.as_deref())?;
    let contact = context.shared.store.contact(&caller.tenant, &sender, &address).await?;
    Ok(Json(ContactView::new(address, sender, contact, context.shared.clock.now())))
}

pub(super) async fn put_consent(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ContactView>, Problem> {
    body::check_is_json(&headers)?;
    let tenant = context.tenant_of(&caller)?;
    let (contact, sender) = which(&tenant, &address, query.as_deref())?;
    let now = context.shared.clock.now();
    let body = body::json(&body::read(body, body::LIMIT).await?)?;
    let consent = read_consent(body, now).map_err(Problem::invalid)?;
    let put = PutConsent { tenant: caller.tenant.clone(), sender: sender.clone(), contact: contact.clone(), consent };
    let saved = context.shared.store.write(put).await?;
    Ok(Json(ContactView::new(contact, sender, saved, now)))
}

/// The contact's address and sender. The sender may be left out if the tenant has only one.
fn which(tenant: &Tenant, address: &str, query: Option<&str>) -> Result<(Address, SenderName), Problem> {
    let mut errors = Vec::new();
    let address: Option<Address> = address.parse().ok();
    if address.is_none() {
        let expected = "a phone number in E.164 such as +447700900123, or a business-scoped user id such as GB.1a2b3c";
        errors.push(FieldError::parameter("address", "the address in the path is not valid", expected));
    }
    let mut named = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
        if name == "sender" {
            named = Some(value.into_owned());
        } else {
            let detail = format!("{name:?} is not a parameter here");
            errors.push(FieldError::parameter(&name, detail, "sender"));
        }
    }
    let senders = &tenant.config.senders;
    let sender = match &named {
        Some(name) => senders.keys().find(|sender| sender.as_str() == name),
        None => senders.keys().next().filter(|_| senders.len() == 1),
    };
    if sender.is_none() {
        let known: Vec<_> = senders.keys().map(SenderName::as_str).collect();
        let detail = match named {
            Some(name) => format!("this tenant has no WhatsAppSender {name:?}"),
            None => {
                "windows, consent and suppressions are kept for each sender, and this tenant has several".to_owned()
            }
        };
        errors.push(FieldError::parameter("sender", detail, format!("one of: {}", known.join(", "))));
    }
    match (address, sender) {
        (Some(address), Some(sender)) if errors.is_empty() => Ok((address, sender.clone())),
        _ => Err(Problem::bad_parameters(errors)),
    }
}

fn read_consent(body: Value, now: Timestamp) -> Result<ConsentRecord, Errors> {
    let mut errors = Errors::new();
    let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
    const EXPECTED: &str = "granted or revoked";
    let status = fields.required_string("status", EXPECTED, &mut errors).and_then(|text| match text.as_str() {
        "granted" => Some(ConsentStatus::Granted),
        "revoked" => Some(ConsentStatus::Revoked),
        _ => {
            errors.push(FieldError::body("/status", "invalid", format!("status is {text:?}"), EXPECTED));
            None
        }
    });
    let evidence = match fields.value("evidence") {
        None => {
            let expected = "an object with source, and perhaps reference, at and note";
            errors.push(FieldError::body("/evidence", "required", "evidence is missing", expected));
            None
        }
        Some(value) => Fields::of("/evidence", value, &mut errors).and_then(|e| read_evidence(e, now, &mut errors)),
    };
    fields.finish(&mut errors);
    match (status, evidence) {
        (Some(status), Some(evidence)) if errors.is_empty() => Ok(ConsentRecord { status, recorded_at: now, evidence }),
        _ => Err(errors),
    }
}

fn read_evidence(mut fields: Fields, now: Timestamp, errors: &mut Errors) -> Option<Evidence> {
    let source = fields.required_string("source", "where the consent was given, such as checkout-form", errors);
    let reference = fields.string("reference", errors);
    let at = fields.parsed(
        "at",
        "a time in RFC 3339 that is not in the future",
        |text| text.parse().ok().filter(|at| *at <= now),
        errors,
    );
    let note = fields.string("note", errors);
    for (name, text) in [("source", &source), ("reference", &reference), ("note", &note)] {
        let length = text.as_ref().map_or(1, |text| text.trim().chars().count());
        if !(1..=EVIDENCE).contains(&length) {
            let expected = format!("1 to {EVIDENCE} characters");
            errors.push(FieldError::body(fields.pointer(name), "invalid", format!("{name} has {length}"), expected));
        }
    }
    fields.finish(errors);
    Some(Evidence { source: source?, reference, at, note })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    #[test]
    fn consent_needs_a_status_and_evidence() {
        let body = json!({"status": "granted", "evidence": {"source": "checkout-form", "at": "2026-09-01T00:00:00Z"}});
        let consent = read_consent(body, now()).unwrap();
        assert_eq!(consent.status, ConsentStatus::Granted);
        assert_eq!(consent.recorded_at, now());
    }

    #[test]
    fn every_fault_of_a_consent_is_reported_at_once() {
        let body =
            json!({"status": "yes", "evidence": {"source": " ", "at": "2126-01-01T00:00:00Z", "who": 1}, "x": 1});
        let mut pointers: Vec<_> =
            read_consent(body, now()).unwrap_err().into_iter().filter_map(|e| e.pointer).collect();
        pointers.sort();
        assert_eq!(pointers, ["/evidence/at", "/evidence/source", "/evidence/who", "/status", "/x"]);
    }
}
