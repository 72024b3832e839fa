//! A tenant's dead letters: listed and redriven.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::future::join_all;
use http::HeaderMap;
use jiff::Timestamp;
use messaging::clock::after;
use messaging::id::{EventId, SenderName, TenantId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{ApiContext, page_limit};
use crate::auth::Caller;
use crate::holds;
use crate::requests::body;
use crate::requests::fields::{Errors, Fields};
use crate::requests::problem::Problem;
use crate::requests::query::Query;
use crate::schema;
use crate::store::StoreError;
use crate::store::hold::{HoldKind, LiftHold, Scope};
use crate::store::message::SinkId;
use crate::store::outbox::{DeadEvent, DeadEventFilter, RedriveEvent};

/// Dead letters that one request redrives at most.
const REDRIVEN: usize = 500;
/// Dead letters of one event, one for each sink: more than a sender can have.
const SINKS: u32 = 1000;

/// An event that was given up for a sink.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadEvent)]
pub(super) struct DeadEventView {
    #[schema(value_type = schema::EventId)]
    id: EventId,
    #[schema(value_type = schema::SenderName)]
    sender: SenderName,
    /// The name of the sink that did not take it, or its URL if it was given up before sinks had names.
    sink: String,
    /// The message or contact that it is about.
    subject: String,
    /// Why it was given up.
    reason: String,
    /// How many deliveries failed before that.
    tries: u32,
    created_at: Timestamp,
    /// When it was given up.
    dead_at: Timestamp,
    /// The CloudEvent, as it would have been delivered.
    #[schema(value_type = Object)]
    event: Value,
}

/// A page of dead letters, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadEventList {
    items: Vec<DeadEventView>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a redrive put back into the outbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redriven {
    /// How many dead letters were redriven; an event counts once for each sink.
    redriven: usize,
    /// Where the next request continues; absent when no dead letters are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) async fn list(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    RawQuery(query): RawQuery,
) -> Result<Json<DeadEventList>, Problem> {
    let filter = filter(query.as_deref()).map_err(Problem::malformed)?;
    let (letters, next_cursor) = page(&context, &caller.tenant, filter).await?;
    Ok(Json(DeadEventList { items: letters.into_iter().map(DeadEventView::from).collect(), next_cursor }))
}

pub(super) async fn redrive(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Redriven>, Problem> {
    // A malformed id cannot name an event.
    let event: EventId = id.parse().map_err(|_| Problem::not_found("dead letter"))?;
    let mut errors = Errors::new();
    let mut query = Query::of(query.as_deref(), &mut errors);
    let sink = query.text("sink").map(SinkId::new);
    query.finish(&mut errors);
    if !errors.is_empty() {
        return Err(Problem::malformed(errors));
    }
    let filter = DeadEventFilter { event: Some(event), sink, limit: SINKS, ..DeadEventFilter::default() };
    let letters = context.shared.store.dead_events(&caller.tenant, &filter).await?;
    match redrive_all(&context, &caller.tenant, letters).await? {
        0 => Err(Problem::not_found("dead letter")),
        redriven => Ok(Json(Redriven { redriven, next_cursor: None })),
    }
}

pub(super) async fn redrive_many(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Redriven>, Problem> {
    body::check_is_json(&headers)?;
    let filter = read_filter(body::json(&body::read(body, body::LIMIT).await?)?).map_err(Problem::invalid)?;
    let (letters, next_cursor) = page(&context, &caller.tenant, filter).await?;
    let redriven = redrive_all(&context, &caller.tenant, letters).await?;
    Ok(Json(Redriven { redriven, next_cursor }))
}

/// One page, and the cursor of the next.
async fn page(
    context: &ApiContext,
    tenant: &TenantId,
    filter: DeadEventFilter,
) -> Result<(Vec<DeadEvent>, Option<String>), Problem> {
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // One more than wanted, to see whether another page follows.
    let filter = DeadEventFilter { limit: filter.limit.saturating_add(1), ..filter };
    let mut letters = context.shared.store.dead_events(tenant, &filter).await?;
    let there_are_more = letters.len() > wanted;
    letters.truncate(wanted);
    let last = letters.last().filter(|_| there_are_more);
    let next = last.map(|last| Cursor { event: last.event, sink: last.sink.clone() }.to_string());
    Ok((letters, next))
}

/// Returns how many were redriven: a concurrent request may have redriven some of them first.
async fn redrive_all(context: &ApiContext, tenant: &TenantId, letters: Vec<DeadEvent>) -> Result<usize, Problem> {
    let now = context.shared.clock.now();
    let sinks: BTreeSet<_> = letters.iter().map(|letter| (letter.sender.clone(), letter.sink.clone())).collect();
    // A redrive asks for another call to the sink, even if the sink answered 410 before.
    let lifted = lift(context, tenant, &sinks, now).await?;
    let again = |letter: DeadEvent| {
        let DeadEvent { sender, sink, event, .. } = letter;
        // By then every replica has read that the hold on the sink is gone.
        let at = if lifted.contains(&(sender.clone(), sink.clone())) { after(now, holds::EVERY * 2) } else { now };
        context.shared.store.write(RedriveEvent { tenant: tenant.clone(), sender, sink, event, now: at })
    };
    let mut redriven = 0;
    for outcome in join_all(letters.into_iter().map(again)).await {
        redriven += usize::from(outcome?);
    }
    Ok(redriven)
}

/// Lifts the holds on these sinks that a 410 caused, and returns the sinks that were held.
async fn lift(
    context: &ApiContext,
    tenant: &TenantId,
    sinks: &BTreeSet<(SenderName, SinkId)>,
    now: Timestamp,
) -> Result<BTreeSet<(SenderName, SinkId)>, StoreError> {
    let mut lifted = BTreeSet::new();
    for hold in context.shared.store.holds(now).await? {
        let Scope::Sink(sender, sink) = &hold.scope else { continue };
        let key = (sender.clone(), sink.clone());
        if hold.tenant == *tenant && hold.kind == HoldKind::Gone && sinks.contains(&key) {
            let lift = LiftHold { tenant: tenant.clone(), scope: hold.scope, kind: HoldKind::Gone };
            context.shared.holds.lift(lift).await?;
            lifted.insert(key);
        }
    }
    Ok(lifted)
}

/// Where a page ended. Opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    event: EventId,
    sink: SinkId,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(format!("{} {}", self.event, self.sink.as_str())))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| ())?;
        let decoded = String::from_utf8(decoded).map_err(|_| ())?;
        let (event, sink) = decoded.split_once(' ').ok_or(())?;
        Ok(Self { event: event.parse().map_err(|_| ())?, sink: SinkId::new(sink) })
    }
}

const A_SENDER: &str = "the name of a WhatsAppSender";
const A_CURSOR: &str = "nextCursor of the answer before";

/// Reads the query and reports every fault in it.
fn filter(query: Option<&str>) -> Result<DeadEventFilter, Errors> {
    let mut errors = Errors::new();
    let mut query = Query::of(query, &mut errors);
    let filter = DeadEventFilter {
        sender: query.parsed("sender", A_SENDER, |text| text.parse().ok(), &mut errors),
        sink: query.text("sink").map(SinkId::new),
        event: None,
        after: query
            .parsed("cursor", A_CURSOR, |text| text.parse().ok(), &mut errors)
            .map(|Cursor { event, sink }| (event, sink)),
        limit: page_limit(&mut query, &mut errors),
    };
    query.finish(&mut errors);
    if errors.is_empty() { Ok(filter) } else { Err(errors) }
}

fn read_filter(body: Value) -> Result<DeadEventFilter, Errors> {
    let mut errors = Errors::new();
    let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
    let sender = fields.parsed("sender", A_SENDER, |text| text.parse().ok(), &mut errors);
    let sink = fields.string("sink", &mut errors).map(SinkId::new);
    let after = fields.parsed("cursor", A_CURSOR, |text| text.parse().ok(), &mut errors);
    fields.finish(&mut errors);
    let after = after.map(|Cursor { event, sink }| (event, sink));
    let limit = u32::try_from(REDRIVEN).unwrap_or(u32::MAX);
    if errors.is_empty() { Ok(DeadEventFilter { sender, sink, event: None, after, limit }) } else { Err(errors) }
}

impl From<DeadEvent> for DeadEventView {
    fn from(letter: DeadEvent) -> Self {
        let DeadEvent { sender, sink, event, subject, body, created_at, dead_at, tries, last_error } = letter;
        Self {
            id: event,
            sender,
            sink: sink.as_str().to_owned(),
            subject,
            reason: last_error,
            tries,
            created_at,
            dead_at,
            // It was stored as JSON. If it no longer parses, it is shown as a string.
            event: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_survives_text_and_nothing_else_parses_as_one() {
        let cursor = Cursor {
            event: "evt_01890a5d4f7a7c3e8b2d112233445566".parse().unwrap(),
            sink: SinkId::new("https://app.example/events?a=b c"),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "evt_01890a5d4f7a7c3e8b2d112233445566", "%%", "YQ"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_fault_of_a_request_is_reported_at_once() {
        let wrong = filter(Some("sender=A%20b&cursor=x&limit=0&offset=3")).unwrap_err();
        let parameters: Vec<_> = wrong.into_iter().filter_map(|error| error.parameter).collect();
        assert_eq!(parameters, ["sender", "cursor", "limit", "offset"]);
        let wrong = read_filter(json!({"sender": 1, "cursor": "x", "all": true})).unwrap_err();
        let pointers: Vec<_> = wrong.into_iter().filter_map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/sender", "/cursor", "/all"]);
    }
}
