//! Providers' webhooks: located, read, verified, recorded and answered, in that order. Their effects are decided from
//! the log, in [`crate::apply`].
//!
//! A 2xx means that every part of the request is on disk. A request whose signature does not match gets a 403 and
//! leaves only a count. So does one to an unknown tenant or sender, by the same steps: nobody can find out which exist.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use messaging::clock::after;
use messaging::provider::webhook::{
    Headers, Location, Part, Received, ReceivedHints, Traffic, WebhookAnswer, WebhookRejected, WebhookRequest,
    WebhookRoute,
};
use messaging::provider::{WebhookAdapter, WebhookEvent};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{WebhookContext, hints};
use crate::apply::RecordedWebhook;
use crate::config::Endpoint;
use crate::metrics::{WebhookLabel, WebhookResult};
use crate::requests::body;
use crate::requests::problem::Problem;
use crate::requests::seldom::Seldom;
use crate::store::StoreError;
use crate::store::webhook::{
    APPLIED_WITHIN, HearStop, RecordRequest, RecordWebhook, Recorded, UnaddressedPart, dedupe_keys, webhook_id,
};

/// Lines about forged requests.
static REJECTED: Seldom = Seldom::new();
/// Lines about parts that are for no sender.
static UNADDRESSED: Seldom = Seldom::new();

/// Handles a request to a path below `/webhooks/`.
pub(super) async fn receive(
    State(context): State<Arc<WebhookContext>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let located = context.configs.webhook_adapters().iter().find_map(|adapter| Some((adapter, adapter.locate(&path)?)));
    let Some((adapter, location)) = located else { return super::no_such_path().into_response() };
    if !location.methods.contains(&request.method().as_str()) {
        let allowed = location.methods.join(",");
        let detail = format!("this path does not take {}; expected {allowed}", request.method());
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        return ([(header::ALLOW, allowed)], problem).into_response();
    }
    // A paused sender still receives webhooks: its customers do not know that it is paused.
    let known = context.configs.endpoint(&location.endpoint);
    let forged = if known.is_some() { WebhookResult::RejectedSignature } else { WebhookResult::UnknownEndpoint };
    let Some(endpoint) = known.or_else(|| context.configs.nobodys_endpoint(adapter.provider())) else {
        return super::no_such_path().into_response();
    };
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        return challenge(&endpoint, &location, &parts);
    }
    record(&context, adapter.as_ref(), &endpoint, forged, location, parts, body).await
}

/// Answers the provider's check that this endpoint is ours.
fn challenge(endpoint: &Endpoint, location: &Location, parts: &Parts) -> Response {
    let (url, headers) = (url_of(endpoint, parts), RequestHeaders(&parts.headers));
    let request = WebhookRequest {
        route: &location.route,
        method: parts.method.as_str(),
        url: &url,
        headers: &headers,
        body: &[],
    };
    endpoint.verifier.challenge(&request).map_or_else(|| refused().into_response(), response)
}

async fn record(
    context: &WebhookContext,
    adapter: &dyn WebhookAdapter,
    endpoint: &Endpoint,
    forged: WebhookResult,
    location: Location,
    parts: Parts,
    body: Body,
) -> Response {
    let body = match body::read(body, adapter.largest_body()).await {
        Ok(body) => body,
        Err(unread) => return Problem::from(unread).into_response(),
    };
    let label = match adapter.carries(&location.route) {
        Traffic::Inbound => WebhookLabel::Inbound,
        Traffic::Statuses { .. } => WebhookLabel::Status,
        Traffic::Mixed => WebhookLabel::Mixed,
        Traffic::Hints => {
            let taken = hints::take(context, adapter, endpoint, &location, &parts, body).await;
            return taken.unwrap_or_else(|why| reject(context, WebhookLabel::Event, forged, &location, &why));
        }
    };
    let Verified { request, fresh, stops, unreadable, other_channel } =
        match verify(context, endpoint, &location, &parts, &body) {
            Ok(verified) => verified,
            Err(rejected) => return reject(context, label, forged, &location, &rejected),
        };
    // Free the memory before the wait below, in which many requests may be at once.
    drop((parts, body));
    let unaddressed = !request.unaddressed.is_empty();
    let recorded = match context.store.record(request).await {
        // The answer says that the customer's stop is in force, and its other effects come later.
        Ok(recorded) => join_all(stops.into_iter().map(|stop| context.store.hear_stop(stop)))
            .await
            .into_iter()
            .collect::<Result<(), _>>()
            .map(|()| recorded),
        Err(error) => Err(error),
    };
    match recorded {
        Ok(recorded) => {
            if let Some(handle) = &context.fresh {
                fresh.into_iter().zip(&recorded).for_each(|(webhook, recorded)| handle.hand_over(webhook, recorded));
            }
            context.metrics.webhook(label, result(&recorded, other_channel, unreadable, unaddressed));
            response(adapter.answer(&location.route))
        }
        Err(error) => {
            if matches!(error, StoreError::Overloaded) {
                context.metrics.webhook(label, WebhookResult::Overload);
            } else {
                tracing::error!(%error, "a webhook could not be stored; the provider is asked to send it again");
            }
            Problem::try_again("the webhook could not be stored").into_response()
        }
    }
}

/// Refuses a request whose signature does not match, and counts it.
fn reject(
    context: &WebhookContext,
    label: WebhookLabel,
    forged: WebhookResult,
    location: &Location,
    why: &WebhookRejected,
) -> Response {
    // Neither the body nor the signature is logged: nothing vouches for either.
    if let Some(left_out) = REJECTED.turn() {
        let endpoint = location.endpoint.as_str();
        tracing::info!(endpoint, reason = %why, result = ?forged, left_out, "webhook rejected");
    }
    context.metrics.webhook(label, forged);
    refused().into_response()
}

/// The answer to whatever is not signed for an endpoint of ours. It tells nothing else.
fn refused() -> Problem {
    let detail = "no key of this endpoint signed the request";
    Problem::new(StatusCode::FORBIDDEN, "not-signed", "Not signed by the provider", detail)
}

/// A request that may be the provider's.
pub(super) struct Incoming<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) location: &'a Location,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
}

impl Incoming<'_> {
    /// Verifies the request and reads what it hints at.
    pub(super) fn hints(&self) -> Result<ReceivedHints, WebhookRejected> {
        let (url, headers) = (url_of(self.endpoint, self.parts), RequestHeaders(&self.parts.headers));
        let (route, method) = (self.location.route.as_str(), self.parts.method.as_str());
        let request = WebhookRequest { route, method, url: &url, headers: &headers, body: self.body };
        self.endpoint.verifier.hints(&request)
    }
}

/// A request that the provider signed, as it is to be recorded.
#[derive(Default)]
struct Verified {
    request: RecordRequest,
    /// For the applier in this process: one for each of the request's webhooks, and none without an applier.
    fresh: Vec<RecordedWebhook>,
    stops: Vec<HearStop>,
    unreadable: bool,
    other_channel: bool,
}

fn verify(
    context: &WebhookContext,
    endpoint: &Endpoint,
    location: &Location,
    parts: &Parts,
    body: &[u8],
) -> Result<Verified, WebhookRejected> {
    let url = url_of(endpoint, parts);
    let headers = RequestHeaders(&parts.headers);
    let method = parts.method.as_str();
    let request = WebhookRequest { route: &location.route, method, url: &url, headers: &headers, body };
    let Received { key, parts: received } = endpoint.verifier.receive(&request)?;
    let headers = kept_headers(&parts.headers);
    let now = context.clock.now();
    let left_to_others_at = if context.fresh.is_some() { after(now, APPLIED_WITHIN) } else { now };

    let mut verified = Verified::default();
    for Part { addressee, route, body, events } in received {
        let route = WebhookRoute::request(endpoint.adapter.provider(), method, &route);
        verified.other_channel |= events.iter().any(|event| matches!(event, WebhookEvent::OtherChannel { .. }));
        verified.unreadable |= events.iter().any(|event| matches!(event, WebhookEvent::Unreadable { .. }));
        // A copy, so that the connection can reuse its buffer for the next request.
        let body = Bytes::copy_from_slice(body);
        let addressees = context.configs.addressees(endpoint, &addressee, key);
        if addressees.is_empty() {
            if let Some(left_out) = UNADDRESSED.turn() {
                let endpoint = location.endpoint.as_str();
                tracing::warn!(endpoint, %addressee, left_out, "no sender is declared for what a webhook brought; it is kept for no tenant, without effect");
            }
            verified.request.unaddressed.push(UnaddressedPart {
                id: webhook_id(now),
                received_at: now,
                endpoint: location.endpoint.clone(),
                route: route.clone(),
                url: url.clone(),
                headers: headers.clone(),
                body,
            });
            continue;
        }
        let mut events = Some(events);
        for (index, speaker) in addressees.iter().enumerate() {
            let is_last = index + 1 == addressees.len();
            let events = if is_last { events.take() } else { events.clone() }.unwrap_or_default();
            if let Some(tenant) = context.configs.get(&speaker.tenant) {
                let stop = |event| HearStop::of(event, &tenant.config, &speaker.sender, now);
                verified.stops.extend(events.iter().filter_map(stop));
            }
            let webhook = RecordWebhook {
                tenant: speaker.tenant.clone(),
                sender: speaker.sender.clone(),
                id: webhook_id(now),
                received_at: now,
                url: url.clone(),
                route: route.clone(),
                headers: headers.clone(),
                body: body.clone(),
                dedupe_keys: dedupe_keys(&events),
                left_to_others_at,
            };
            if context.fresh.is_some() {
                verified.fresh.push(RecordedWebhook::new(&webhook, events));
            }
            verified.request.webhooks.push(webhook);
        }
    }
    Ok(verified)
}

/// The URL that the provider was given. It is never taken from `Host` or `X-Forwarded-*`, which anybody can send.
fn url_of(endpoint: &Endpoint, parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    [&endpoint.base_url, path].concat()
}

fn result(recorded: &[Recorded], other_channel: bool, unreadable: bool, unaddressed: bool) -> WebhookResult {
    if unaddressed {
        WebhookResult::Unaddressed
    } else if !recorded.is_empty() && recorded.iter().all(Recorded::is_duplicate) {
        WebhookResult::Duplicate
    } else if unreadable {
        WebhookResult::Unreadable
    } else if other_channel {
        WebhookResult::OtherChannel
    } else {
        WebhookResult::Accepted
    }
}

pub(super) fn response(answer: WebhookAnswer) -> Response {
    let WebhookAnswer { status, content_type, body } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    match content_type {
        Some(content_type) => (status, [(header::CONTENT_TYPE, content_type)], body).into_response(),
        None => status.into_response(),
    }
}

/// The headers as JSON, so that the webhook can be verified again; without credentials that proxies may have added.
fn kept_headers(headers: &HeaderMap) -> String {
    // Writing to memory cannot fail, and every key is a text.
    serde_json::to_string(&KeptHeaders(headers)).unwrap_or_else(|_| "{}".to_owned())
}

/// Serializes the headers without building a JSON value first.
struct KeptHeaders<'a>(&'a HeaderMap);

impl Serialize for KeptHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let mut headers = self.0.iter().peekable();
        while let Some((name, value)) = headers.next() {
            // The last value of a repeated header wins; its values follow one another here.
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
    use http::HeaderValue;

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
