//! Reads a contact's window, consent, suppression and links, records consent, suppresses a contact or lifts that, and
//! revokes a link.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use messaging::address::Address;
use messaging::contact::{ConsentRecord, ConsentStatus, Evidence, Lift, Suppression, SuppressionReason};
use messaging::id::{SenderName, TenantId};
use messaging::text::is_blank;
use serde_json::Value;

use super::ApiContext;
use super::view::ContactView;
use crate::auth::Caller;
use crate::config::Tenant;
use crate::requests::body;
use crate::requests::fields::{Errors, Fields};
use crate::requests::problem::{FieldError, Problem};
use crate::requests::query::Query;
use crate::store::contact::{Contact, LiftSuppression, PutConsent, PutSuppression, RevokeLink};

/// Characters of each text that says why something was recorded.
const TEXT: usize = 1024;
/// What says who decided, and why.
const BY: (&str, &str) = ("by", "the person or program that decides, such as ann@example.com");
const REASON: (&str, &str) = ("reason", "why, such as a ticket's number or a sentence");

pub(super) async fn read(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ContactView>, Problem> {
    let tenant = context.tenant_of(&caller)?;
    let (address, sender, []) = which(&tenant, &address, query.as_deref(), [])?;
    let contact = context.shared.store.contact(&caller.tenant, &sender, &address).await?;
    view(&context, &caller.tenant, sender, address, contact).await
}

/// A contact as it is shown.
async fn view(
    context: &ApiContext,
    tenant: &TenantId,
    sender: SenderName,
    address: Address,
    contact: Contact,
) -> Result<Json<ContactView>, Problem> {
    let links = context.shared.store.linked(tenant, &sender, &address).await?;
    Ok(Json(ContactView::new(address, sender, contact, links, context.shared.clock.now())))
}

pub(super) async fn put_consent(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ContactView>, Problem> {
    let now = context.shared.clock.now();
    let put = read_put(&context, caller, &address, query.as_deref(), &headers, body).await?;
    let consent = read_consent(put.body, now).map_err(Problem::invalid)?;
    let Put { tenant, sender, contact, .. } = put;
    let put = PutConsent { tenant: tenant.clone(), sender: sender.clone(), contact: contact.clone(), consent };
    let saved = context.shared.store.write(put).await?;
    view(&context, &tenant, sender, contact, saved).await
}

pub(super) async fn put_suppression(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ContactView>, Problem> {
    let now = context.shared.clock.now();
    let put = read_put(&context, caller, &address, query.as_deref(), &headers, body).await?;
    let suppression = read_suppression(put.body, now).map_err(Problem::invalid)?;
    let Put { tenant, sender, contact, .. } = put;
    let put = PutSuppression { tenant: tenant.clone(), sender: sender.clone(), contact: contact.clone(), suppression };
    let saved = context.shared.store.write(put).await?;
    view(&context, &tenant, sender, contact, saved).await
}

/// What a request records, and of whose contact.
struct Put {
    tenant: TenantId,
    sender: SenderName,
    contact: Address,
    body: Value,
}

async fn read_put(
    context: &ApiContext,
    caller: Caller,
    address: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Put, Problem> {
    body::check_is_json(headers)?;
    let (contact, sender, []) = which(&*context.tenant_of(&caller)?, address, query, [])?;
    let body = body::json(&body::read(body, body::LIMIT).await?)?;
    Ok(Put { tenant: caller.tenant, sender, contact, body })
}

pub(super) async fn lift_suppression(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(address): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ContactView>, Problem> {
    let tenant = context.tenant_of(&caller)?;
    let (contact, sender, [by, reason]) = which(&tenant, &address, query.as_deref(), [BY, REASON])?;
    let now = context.shared.clock.now();
    let lift = LiftSuppression {
        tenant: caller.tenant.clone(),
        sender: sender.clone(),
        contact: contact.clone(),
        lift: Lift { at: now, by, reason },
    };
    let saved = context.shared.store.write(lift).await?;
    if let Some(suppression) = saved.state.suppression(now) {
        let detail = format!(
            "{contact} opted out at {}: {}; only they take that back, with a start keyword, or with a consent that they \
             give later and you record",
            suppression.at, suppression.detail
        );
        return Err(Problem::new(StatusCode::CONFLICT, "opted-out", "The contact opted out", detail));
    }
    view(&context, &caller.tenant, sender, contact, saved).await
}

pub(super) async fn revoke_link(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path((address, other)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<ContactView>, Problem> {
    let tenant = context.tenant_of(&caller)?;
    let (contact, sender, [by, reason]) = which(&tenant, &address, query.as_deref(), [BY, REASON])?;
    let Ok(linked) = other.parse::<Address>() else {
        return Err(Problem::malformed(vec![not_an_address("other")]));
    };
    let between = [contact.clone(), linked];
    let revoke = RevokeLink { tenant: caller.tenant.clone(), between, at: context.shared.clock.now(), by, reason };
    if !context.shared.store.write(revoke).await? {
        let detail = format!("nothing links {contact} with {other}; expected an address in the contact's links");
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such link", detail));
    }
    let known = context.shared.store.contact(&caller.tenant, &sender, &contact).await?;
    view(&context, &caller.tenant, sender, contact, known).await
}

fn not_an_address(parameter: &str) -> FieldError {
    let expected = "a phone number in E.164 such as +447700900123, or a business-scoped user id such as GB.1a2b3c";
    FieldError::parameter(parameter, "the address in the path is not valid", expected)
}

/// The contact's address and sender, and the required parameters, which are given with what is expected of each. The
/// sender may be left out if the tenant has only one.
fn which<const N: usize>(
    tenant: &Tenant,
    address: &str,
    query: Option<&str>,
    required: [(&'static str, &'static str); N],
) -> Result<(Address, SenderName, [String; N]), Problem> {
    let mut errors = Vec::new();
    let address: Option<Address> = address.parse().ok();
    if address.is_none() {
        errors.push(not_an_address("address"));
    }
    let mut query = Query::of(query, &mut errors);
    let named = query.text("sender");
    let given = required.map(|(name, expected)| {
        let text = query.text(name).unwrap_or_default().trim().to_owned();
        if let Err(detail) = check_text(name, &text) {
            errors.push(FieldError::parameter(name, detail, format!("1 to {TEXT} characters: {expected}")));
        }
        text
    });
    query.finish(&mut errors);
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
        (Some(address), Some(sender)) if errors.is_empty() => Ok((address, sender.clone(), given)),
        _ => Err(Problem::malformed(errors)),
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

/// A suppression by the tenant: who decided it, and why.
fn read_suppression(body: Value, now: Timestamp) -> Result<Suppression, Errors> {
    let mut errors = Errors::new();
    let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
    let [by, reason] = [BY, REASON].map(|(name, expected)| {
        let text = fields.required_string(name, expected, &mut errors)?.trim().to_owned();
        check_length(&fields.pointer(name), name, &text, &mut errors);
        Some(text)
    });
    fields.finish(&mut errors);
    match (by, reason) {
        (Some(by), Some(reason)) if errors.is_empty() => {
            Ok(Suppression { reason: SuppressionReason::Manual, at: now, detail: format!("{by}: {reason}") })
        }
        _ => Err(errors),
    }
}

fn check_length(pointer: &str, name: &str, text: &str, errors: &mut Errors) {
    if let Err(detail) = check_text(name, text) {
        errors.push(FieldError::body(pointer, "invalid", detail, format!("1 to {TEXT} characters")));
    }
}

/// What is wrong with a text that says why something is recorded, if anything is.
fn check_text(name: &str, text: &str) -> Result<(), String> {
    match text.trim().chars().count() {
        _ if is_blank(text) => Err(format!("{name} has no text in it")),
        length if length > TEXT => Err(format!("{name} has {length} characters")),
        _ => Ok(()),
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
        if let Some(text) = text {
            check_length(&fields.pointer(name), name, text, errors);
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
