//! Providers' webhooks: read, verified, translated, committed, answered. In that order, and nothing else: what follows
//! from an event is decided from the log, in [`crate::apply`].
//!
//! A 2xx means that the event is on disk. What is not believed is answered with 403 and leaves no trace but a count.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use messaging::address::Address;
use messaging::clock::after;
use messaging::id::{AttemptId, SenderName, TenantId};
use messaging::provider::{Headers, InboundMessage, WebhookEvent, WebhookKind, WebhookRejected, WebhookRequest};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::WebhookContext;
use crate::apply::RecordedWebhook;
use crate::config::{Sender, Tenant};
use crate::metrics::{WebhookLabel, WebhookResult};
use crate::requests::body::{self, Unread};
use crate::store::StoreError;
use crate::store::webhook::{APPLIED_WITHIN, RecordWebhook, Recorded, dedupe_keys, webhook_id};

/// Nothing is said to the customer by answering their webhook.
const NO_REPLY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

pub(super) async fn inbound(
    State(context): State<Arc<WebhookContext>>,
    Path((namespace, sender)): Path<(String, String)>,
    request: Request,
) -> Response {
    take(&context, &namespace, &sender, WebhookKind::Inbound, request).await
}

pub(super) async fn status(
    State(context): State<Arc<WebhookContext>>,
    Path((namespace, sender)): Path<(String, String)>,
    request: Request,
) -> Response {
    take(&context, &namespace, &sender, WebhookKind::Status { attempt: None }, request).await
}

pub(super) async fn status_of_attempt(
    State(context): State<Arc<WebhookContext>>,
    Path((namespace, sender, attempt)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let Ok(attempt) = attempt.parse::<AttemptId>() else { return StatusCode::NOT_FOUND.into_response() };
    take(&context, &namespace, &sender, WebhookKind::Status { attempt: Some(attempt) }, request).await
}

async fn take(
    context: &WebhookContext,
    namespace: &str,
    sender: &str,
    kind: WebhookKind,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (Ok(tenant_id), Ok(sender_name)) = (TenantId::new(namespace), SenderName::new(sender)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(tenant) = context.configs.get(&tenant_id) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(sender) = tenant.sender(&sender_name) else { return StatusCode::NOT_FOUND.into_response() };
    // A paused sender still takes webhooks: its customers do not know that it is paused.

    let body = match body::read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(Unread::Broken) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let label = match kind {
        WebhookKind::Inbound => WebhookLabel::Inbound,
        WebhookKind::Status { .. } => WebhookLabel::Status,
    };
    let Verified { webhook, fresh, unreadable } = match verify(context, &tenant, sender, kind, &parts, &body) {
        Ok(verified) => verified,
        Err(rejected) => {
            // Neither the body nor the signature is logged: nobody vouches for either.
            tracing::info!(tenant = %tenant_id, sender = %sender_name, reason = %rejected, "a webhook is not believed");
            context.metrics.webhook(label, WebhookResult::RejectedSignature);
            return StatusCode::FORBIDDEN.into_response();
        }
    };
    // What is no longer needed goes while it is at hand; many wait below at once.
    drop((tenant, tenant_id, sender_name, parts, body));
    match context.store.record_webhook(webhook).await {
        Ok(recorded) => {
            if let (Some(fresh), Some(webhook)) = (&context.fresh, fresh) {
                fresh.hand_over(webhook, &recorded);
            }
            context.metrics.webhook(label, result(&recorded, unreadable));
            answer(kind)
        }
        Err(error) => {
            if matches!(error, StoreError::Overloaded) {
                context.metrics.webhook(label, WebhookResult::Overload);
            } else {
                tracing::error!(%error, "a webhook could not be stored; the provider is asked to send it again");
            }
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, HeaderValue::from_static("1"))]).into_response()
        }
    }
}

/// A webhook that the provider has signed.
struct Verified {
    webhook: RecordWebhook,
    /// For whoever applies it in this process.
    fresh: Option<RecordedWebhook>,
    unreadable: bool,
}

fn verify(
    context: &WebhookContext,
    tenant: &Tenant,
    sender: Sender<'_>,
    kind: WebhookKind,
    parts: &Parts,
    body: &[u8],
) -> Result<Verified, WebhookRejected> {
    // What the provider called, as far as it was told: never from Host or X-Forwarded-*, which anybody can send.
    let base = tenant.config.public_base_url.as_str().trim_end_matches('/');
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{base}{path}");
    let headers = RequestHeaders(&parts.headers);
    let request = WebhookRequest { kind, method: parts.method.as_str(), url: &url, headers: &headers, body };
    let events = sender.provider.receive(&request)?;
    let now = context.clock.now();
    let webhook = RecordWebhook {
        tenant: tenant.config.tenant.clone(),
        sender: addressee(tenant, sender, &events).name.clone(),
        id: webhook_id(now),
        received_at: now,
        headers: kept_headers(&parts.headers),
        url,
        // A copy, so that the connection has its buffer back for the next request.
        body: Bytes::copy_from_slice(body),
        dedupe_keys: dedupe_keys(&events),
        left_to_others_at: if context.fresh.is_some() { after(now, APPLIED_WITHIN) } else { now },
    };
    let unreadable = events.iter().any(|event| matches!(event, WebhookEvent::Unreadable { .. }));
    let fresh = context.fresh.is_some().then(|| RecordedWebhook::new(&webhook, events));
    Ok(Verified { webhook, fresh, unreadable })
}

/// Whose webhook it is. A Messaging Service has one URL for all its senders, so what a customer wrote says itself which of
/// them it is for; only a sender of the same account is believed to be meant, because its keys signed it.
pub(crate) fn addressee<'a>(tenant: &'a Tenant, called: Sender<'a>, events: &[WebhookEvent]) -> Sender<'a> {
    let written_to = events.iter().find_map(|event| match event {
        WebhookEvent::Inbound(InboundMessage { to: Some(Address::Phone(number)), .. }) => Some(number),
        _ => None,
    });
    let meant = |sender: &Sender<'_>| {
        Some(&sender.config.phone_number) == written_to
            && sender.config.provider.account_key() == called.config.provider.account_key()
    };
    if meant(&called) { called } else { tenant.senders().find(meant).unwrap_or(called) }
}

fn result(recorded: &Recorded, unreadable: bool) -> WebhookResult {
    if recorded.is_duplicate() {
        WebhookResult::Duplicate
    } else if unreadable {
        WebhookResult::Unreadable
    } else {
        WebhookResult::Accepted
    }
}

fn answer(kind: WebhookKind) -> Response {
    match kind {
        WebhookKind::Inbound => ([(header::CONTENT_TYPE, "text/xml")], NO_REPLY).into_response(),
        WebhookKind::Status { .. } => StatusCode::NO_CONTENT.into_response(),
    }
}

/// The headers as JSON, so that the webhook can be verified again; without what proxies on the way may have added of
/// their own credentials.
fn kept_headers(headers: &HeaderMap) -> String {
    // Writing to memory cannot fail, and every key is a text.
    serde_json::to_string(&KeptHeaders(headers)).unwrap_or_else(|_| "{}".to_owned())
}

/// Written as JSON without being built as such first.
struct KeptHeaders<'a>(&'a HeaderMap);

impl Serialize for KeptHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let mut headers = self.0.iter().peekable();
        while let Some((name, value)) = headers.next() {
            // Of a header that comes again the last one counts; its values follow one another here.
            let comes_again = headers.peek().is_some_and(|(next, _)| *next == name);
            if comes_again || matches!(*name, header::AUTHORIZATION | header::COOKIE) {
                continue;
            }
            object.serialize_entry(name.as_str(), &String::from_utf8_lossy(value.as_bytes()))?;
        }
        object.end()
    }
}

struct RequestHeaders<'a>(&'a HeaderMap);

impl Headers for RequestHeaders<'_> {
    fn get(&self, lower_case_name: &str) -> Option<&str> {
        self.0.get(lower_case_name).and_then(|value| value.to_str().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_as_one_json_object_without_credentials() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-twilio-signature", &b"a\"b\\c"[..]),
            ("authorization", b"Basic x"),
            ("x-forwarded-for", b"first"),
            ("cookie", b"a=b"),
            ("i-twilio", b"caf\xff\t"),
            ("x-forwarded-for", b"last"),
            ("cookie", b"c=d"),
        ] {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(
            kept_headers(&headers),
            "{\"x-twilio-signature\":\"a\\\"b\\\\c\",\"x-forwarded-for\":\"last\",\"i-twilio\":\"caf\u{fffd}\\t\"}"
        );
        assert_eq!(kept_headers(&HeaderMap::new()), "{}");
    }
}
