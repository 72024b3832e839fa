//! The tenants' messages: sent, read, listed and canceled.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use messaging::address::{Address, PhoneNumber};
use messaging::clock::after;
use messaging::content::OutboundContent;
use messaging::id::{MessageId, PolicyName, SenderName, TenantId};
use messaging::lifecycle::MessageStatus;
use messaging::policy::{self, Purpose, SendIntent};
use messaging::provider::WebhookEvent;
use messaging::refusal::{Refusal, RefusalCode};
use messaging::routing::{self, Route};
use messaging::template::TemplateConfig;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::send::{self, A_SENDER, Answers, RouteChoice, SendRequest, of_sender};
use super::view::{MessageList, MessageView, ReadView, ReceivedView};
use super::{ApiContext, page_limit, permission};
use crate::apply;
use crate::auth::Caller;
use crate::config::{Sender, Tenant};
use crate::requests::body;
use crate::requests::fields::Errors;
use crate::requests::problem::{FieldError, Problem};
use crate::requests::query::Query;
use crate::shared::Shared;
use crate::store::StoreError;
use crate::store::hold::{Hold, Scope};
use crate::store::message::{
    AcceptMessage, Acceptance, CancelMessage, Cancellation, Idempotency, Message, MessageFilter, NewMessage, Priority,
    Reason, ReceivedMessage, ReplyTo,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks the answer to an earlier request with the same key.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(super) async fn send(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    body::check_is_json(&headers)?;
    let key = idempotency_key(&headers)?;
    let body = body::read(body, body::LIMIT).await?;
    let value = body::json(&body)?;
    let idempotency = key.map(|key| Idempotency {
        key,
        body_sha256: Sha256::digest(&body).into(),
        content_sha256: digest(value.clone()),
    });
    // A repeated request gets its first answer, whatever has become of the window or the template since.
    if let Some(idempotency) = &idempotency
        && let Some(answer) = context.shared.store.replayed(&caller.tenant, idempotency).await?
    {
        return answered(&context, &caller, answer).await;
    }
    let now = context.shared.clock.now();
    let request = send::read(value, now).map_err(Problem::invalid)?;
    let tenant = context.tenant_of(&caller)?;
    let message = admit(&context, &caller, &tenant, request, now).await?;
    let acceptance = context.shared.store.write(AcceptMessage { message, idempotency }).await?;
    if matches!(acceptance, Acceptance::New(_)) {
        context.shared.metrics.message_reached(MessageStatus::Queued);
    }
    answered(&context, &caller, acceptance).await
}

async fn answered(context: &ApiContext, caller: &Caller, acceptance: Acceptance) -> Result<Response, Problem> {
    let accepted = |message: Message| (StatusCode::ACCEPTED, Json(MessageView::from(message)));
    match acceptance {
        Acceptance::New(message) => Ok(accepted(*message).into_response()),
        Acceptance::Replayed(message) => {
            // The first request may have been another caller's, or this one's while it had the right.
            permission::check(context, caller, &*context.tenant_of(caller)?, &message.route, message.content.as_ref())
                .await?;
            Ok(([(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"))], accepted(message.as_accepted()))
                .into_response())
        }
        Acceptance::KeyReused => {
            let detail = "this Idempotency-Key was used with another body; expected the same body, or another key";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key is taken", detail))
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |detail: &str, expected: &str| {
        Problem::malformed(vec![FieldError::parameter("Idempotency-Key", detail, expected)])
    };
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(wrong("there are several Idempotency-Key headers", "one key for one request"));
    }
    match value.to_str().ok().filter(|key| (1..=255).contains(&key.len())) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(wrong(
            "the Idempotency-Key is empty, too long, or not printable",
            "1 to 255 printable ASCII characters",
        )),
    }
}

/// What a body says, whatever its whitespace, the order of its keys and its escapes.
fn digest(mut body: Value) -> [u8; 32] {
    body.sort_all_objects();
    Sha256::digest(body.to_string()).into()
}

/// Turns a request into a message, if policy allows it.
async fn admit(
    context: &ApiContext,
    caller: &Caller,
    tenant: &Tenant,
    request: SendRequest,
    now: jiff::Timestamp,
) -> Result<NewMessage, Problem> {
    let SendRequest { to, route: choice, content, reply_to, scheduled_at, valid_for, on_unconfirmed, metadata } =
        request;
    if (scheduled_at.is_some() || valid_for.is_some()) && !context.shared.clock_check.is_reliable() {
        return Err(unreliable_clock());
    }
    let not_before = scheduled_at.filter(|at| *at > now);
    let mut route = route(tenant, &choice, &to).map_err(|error| Problem::invalid(vec![error]))?;
    if content.is_free_form() {
        route = answering(context, tenant, route, &to, not_before.unwrap_or(now)).await?;
    }
    let sender = sender(tenant, &route).map_err(|error| Problem::invalid(vec![error]))?;
    permission::check(context, caller, tenant, &route, Some(&content)).await?;
    let tenant_id = &tenant.config.tenant;
    if let Some(drain) = context.shared.holds.refuses_sends(tenant_id, sender.name, now) {
        return Err(draining(&drain, now));
    }
    let reply_to = match reply_to {
        Some(answers) => Some(reply_to_of(context, tenant_id, answers, &to, &sender).await?),
        None => None,
    };
    let template = template(tenant, &content);
    let validity = valid_for.unwrap_or_else(|| sender.config.validity.of(template.map(|template| template.category)));
    let expires_at = Some(after(not_before.unwrap_or(now), validity));
    let others = tenant.config.others_in_pool(&route);
    let contact = context.shared.store.contact_in_pool(tenant_id, sender.name, &others, &to).await?;
    let intent = SendIntent { to: &to, content: &content, purpose: Purpose::Message, not_before, expires_at };
    let permit = policy::check(&intent, &contact.state, sender.config, sender.provider.limits(), template, now)
        .map_err(|refusal| Problem::refused(in_pool(refusal, tenant, &route)))?;
    let served_language = content.language_served_instead(&permit.content).map(str::to_owned);
    Ok(NewMessage {
        id: MessageId::new(now, &rand::random()),
        tenant: tenant_id.clone(),
        from: Some(sender.config.phone_number.clone()),
        route,
        to,
        content,
        served_language,
        purpose: Purpose::Message,
        priority: Priority::of(permit.category),
        reply_to,
        metadata,
        on_unconfirmed,
        created_at: now,
        scheduled_at: not_before,
        expires_at,
    })
}

/// The message that is answered, which must have been exchanged with the same person.
async fn reply_to_of(
    context: &ApiContext,
    tenant: &TenantId,
    Answers { id, required }: Answers,
    to: &Address,
    sender: &Sender<'_>,
) -> Result<ReplyTo, Problem> {
    let store = &context.shared.store;
    let wrong = |pointer: &str, code, detail, expected: &str| {
        Err(Problem::invalid(vec![FieldError::body(pointer, code, detail, expected)]))
    };
    let Some(answered) = store.answerable(tenant, id).await? else {
        let detail = format!("{id} is not a message of this tenant that the provider knows");
        return wrong(
            "/replyTo",
            "unknown_message",
            detail,
            "a message that was received, or that the provider has accepted",
        );
    };
    if !store.is_one_person(tenant, sender.name, &answered.contact, to).await? {
        let detail = format!("{id} was exchanged with another contact than {to}");
        return wrong("/replyTo", "other_contact", detail, "a message to or from the contact that this one is to");
    }
    // The provider finds what is quoted among the messages of the sender that quotes.
    let can_quote = sender.provider.limits().quotes && answered.sender == *sender.name;
    if required && !can_quote {
        let why = if sender.provider.limits().quotes {
            format!("{id} was exchanged through the sender {}", answered.sender)
        } else {
            format!("the provider of the sender {} cannot quote a message", sender.name)
        };
        let expected = "false or nothing: the message then answers without a quote";
        return wrong("/replyTo/required", "cannot_quote", why, expected);
    }
    Ok(ReplyTo { id, quotes: can_quote.then_some(answered.provider_message_id) })
}

/// The longest `Retry-After` while a drain lasts, in seconds: an operator may lift it at any moment.
const DRAINING_RETRY: i64 = 60;

/// A 503, because the request is sound and will be accepted later. On a 4xx a caller would give up.
fn draining(drain: &Hold, now: jiff::Timestamp) -> Problem {
    let what = match &drain.scope {
        Scope::Sender(sender) => format!("the sender {sender}"),
        Scope::Tenant | Scope::Template(_) | Scope::Conversations(_) | Scope::Sink(..) => {
            format!("the tenant {}", drain.tenant)
        }
    };
    let until =
        if drain.lasts_until_lifted() { "an operator lifts the drain".to_owned() } else { drain.until.to_string() };
    let detail = format!(
        "{what} is being drained: queued messages are sent, and nothing new is accepted until {until} ({}); \
         expected the same request after that",
        drain.reason
    );
    let seconds = drain.until.duration_since(now).as_secs().clamp(1, DRAINING_RETRY);
    let title = "No new messages for now";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", title, detail).after(u32::try_from(seconds).unwrap_or(1))
}

/// The `Retry-After` while the clock is unreliable, in seconds: another replica may take the request.
const UNRELIABLE_CLOCK_RETRY: u32 = 5;

fn unreliable_clock() -> Problem {
    Problem::try_again(
        "scheduleAt and validFor cannot be kept: this replica's clock differs from the database's by more than a minute; \
         expected the same request later, or without them",
    )
    .after(UNRELIABLE_CLOCK_RETRY)
}

fn template<'a>(tenant: &'a Tenant, content: &OutboundContent) -> Option<&'a TemplateConfig> {
    match content {
        OutboundContent::Template { name, .. } => tenant.config.templates.get(name),
        OutboundContent::Text { .. } | OutboundContent::Media { .. } => None,
    }
}

/// The route that the message takes.
fn route(tenant: &Tenant, choice: &RouteChoice, to: &Address) -> Result<Route, FieldError> {
    let config = &tenant.config;
    let listed = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match choice {
        RouteChoice::Sender(sender) => Ok(Route::direct(sender.clone())),
        RouteChoice::Number(number) => match with_number(tenant, number) {
            Some(sender) => Ok(Route::direct(sender.clone())),
            None => Err(sender_unknown(tenant, format!("this tenant has no WhatsAppSender with the number {number}"))),
        },
        RouteChoice::Policy(name) => match config.policies.get(name) {
            Some(policy) => Ok(routing::route(policy, to).clone()),
            None => Err(FieldError::body(
                "/policy",
                "policy_unknown",
                format!("this tenant has no RoutingPolicy {name} that is ready"),
                format!("one of: {}", listed(config.policies.keys().map(PolicyName::as_str).collect())),
            )),
        },
        RouteChoice::Default => {
            if let Some(policy) = config.default_policy.as_ref().and_then(|name| config.policies.get(name)) {
                return Ok(routing::route(policy, to).clone());
            }
            match config.senders.keys().next() {
                Some(sender) if config.senders.len() == 1 => Ok(Route::direct(sender.clone())),
                _ => Err(FieldError::body(
                    "/from",
                    "required",
                    "nothing says which sender the message leaves through",
                    format!(
                        "from, policy, or a RoutingPolicy that is ready; senders: {}",
                        listed(config.senders.keys().map(|s| s.as_str()).collect())
                    ),
                )),
            }
        }
    }
}

/// The route of a free-form message: through the sender of its pool whose window is open, if it has a pool and one is.
async fn answering(
    context: &ApiContext,
    tenant: &Tenant,
    route: Route,
    to: &Address,
    leaves_at: jiff::Timestamp,
) -> Result<Route, Problem> {
    let Some(pool) = &route.via else { return Ok(route) };
    let senders: Vec<_> = tenant.config.senders_in(pool).collect();
    let contacts = context.shared.store.contacts_of(&tenant.config.tenant, senders.iter().copied(), to).await?;
    let last_inbound = senders.into_iter().zip(contacts.iter().map(|contact| contact.state.last_inbound_at));
    Ok(match routing::answering(last_inbound, leaves_at) {
        Some(sender) => Route { sender: sender.clone(), ..route },
        None => route,
    })
}

/// A refusal for want of a window says which senders' windows were looked at.
fn in_pool(refusal: Refusal, tenant: &Tenant, route: &Route) -> Refusal {
    let Some(pool) = route.via.as_ref().filter(|_| refusal.code == RefusalCode::WindowClosed) else { return refusal };
    let declared: Vec<_> = tenant.config.senders_in(pool).map(SenderName::as_str).collect();
    let detail = format!(
        "{}; nor is one open at another sender of {pool} that you declare ({})",
        refusal.detail,
        declared.join(", ")
    );
    Refusal { detail, ..refusal }
}

fn sender<'a>(tenant: &'a Tenant, route: &Route) -> Result<Sender<'a>, FieldError> {
    let unknown = || sender_unknown(tenant, format!("this tenant has no WhatsAppSender {}", route.sender));
    tenant.sender(&route.sender).ok_or_else(unknown)
}

fn sender_unknown(tenant: &Tenant, detail: String) -> FieldError {
    let known: Vec<_> = tenant.config.senders.keys().map(|s| s.as_str()).collect();
    FieldError::body("/from", "sender_unknown", detail, format!("one of: {}", known.join(", ")))
}

/// The name of the sender that has a number.
fn with_number<'a>(tenant: &'a Tenant, number: &PhoneNumber) -> Option<&'a SenderName> {
    tenant.config.senders.iter().find(|(_, sender)| sender.phone_number == *number).map(|(name, _)| name)
}

pub(super) async fn read(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<String>,
) -> Result<Json<ReadView>, Problem> {
    // A malformed id cannot name a message.
    let id = id.parse().map_err(|_| Problem::not_found("message"))?;
    if let Some(record) = context.shared.store.message(&caller.tenant, id).await? {
        return Ok(Json(ReadView::Sent(Box::new(record.into()))));
    }
    match context.shared.store.received(&caller.tenant, id).await? {
        Some(message) => {
            let view = received(&context, &caller.tenant, message).await?;
            Ok(Json(ReadView::Received(Box::new(view))))
        }
        None => Err(Problem::not_found("message")),
    }
}

/// A received message, with what its webhook says as long as that is kept.
async fn received(
    context: &ApiContext,
    tenant: &TenantId,
    message: ReceivedMessage,
) -> Result<ReceivedView, StoreError> {
    let Shared { configs, store, .. } = &context.shared;
    let config = configs.get(tenant);
    let sender = config.as_deref().and_then(|config| config.sender(&message.sender));
    let provider = sender.as_ref().map(|sender| sender.provider.as_ref());
    let events = message.webhook.iter().flat_map(|webhook| apply::translate(configs, provider, webhook));
    let inbound = events.into_iter().find_map(|event| match event {
        WebhookEvent::Inbound(inbound) if inbound.provider_message_id == message.provider_message_id => Some(inbound),
        _ => None,
    });
    let in_reply_to = match inbound.as_ref().and_then(|inbound| inbound.in_reply_to.as_deref()) {
        Some(quoted) => store.id_of(tenant, &message.sender, quoted).await?,
        None => None,
    };
    Ok(ReceivedView::of(message, inbound, in_reply_to))
}

pub(super) async fn list(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    RawQuery(query): RawQuery,
) -> Result<Json<MessageList>, Problem> {
    let filter = filter(query.as_deref(), &*context.tenant_of(&caller)?).map_err(Problem::malformed)?;
    let page = context.shared.store.messages(&caller.tenant, &filter).await?;
    Ok(Json(MessageList {
        items: page.items.into_iter().map(MessageView::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

fn one_of_the_statuses() -> String {
    format!("one of {}", MessageStatus::ALL.map(MessageStatus::as_str).join(", "))
}

/// The name of a sender: a name need not be one of now, because messages outlive their senders.
fn named_by(tenant: &Tenant, choice: RouteChoice) -> Option<SenderName> {
    match choice {
        RouteChoice::Sender(name) => Some(name),
        RouteChoice::Number(number) => with_number(tenant, &number).cloned(),
        RouteChoice::Policy(_) | RouteChoice::Default => None,
    }
}

/// Reads the query and reports every fault in it.
fn filter(query: Option<&str>, tenant: &Tenant) -> Result<MessageFilter, Errors> {
    const A_TIME: &str = "a time in RFC 3339";
    fn read<T: FromStr>(text: &str) -> Option<T> {
        text.parse().ok()
    }
    let mut errors = Errors::new();
    let mut query = Query::of(query, &mut errors);
    let filter = MessageFilter {
        status: query.parsed("status", &one_of_the_statuses(), read, &mut errors),
        to: query.parsed("to", "an address such as %2B447700900123", read, &mut errors),
        sender: query.parsed("from", A_SENDER, |text| named_by(tenant, of_sender(text)?), &mut errors),
        template: query.text("template"),
        since: query.parsed("since", A_TIME, read, &mut errors),
        until: query.parsed("until", A_TIME, read, &mut errors),
        limit: page_limit(&mut query, &mut errors),
        after: query.parsed("cursor", "nextCursor of the page before", read, &mut errors),
    };
    query.finish(&mut errors);
    if errors.is_empty() { Ok(filter) } else { Err(errors) }
}

pub(super) async fn cancel(
    caller: Caller,
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<String>,
) -> Result<Json<MessageView>, Problem> {
    let id: MessageId = id.parse().map_err(|_| Problem::not_found("message"))?;
    let Some(record) = context.shared.store.message(&caller.tenant, id).await? else {
        return Err(Problem::not_found("message"));
    };
    let was_canceled = record.message.status == MessageStatus::Canceled;
    let sinks = context.shared.sinks_of(&caller.tenant, record.message.sender());
    let reason = Reason::new(Some("canceled"), format!("canceled by {}", caller.name));
    let cancel = CancelMessage { tenant: caller.tenant.clone(), id, now: context.shared.clock.now(), reason, sinks };
    match context.shared.store.write(cancel).await? {
        Cancellation::Canceled(message) => {
            if !was_canceled {
                context.shared.metrics.message_reached(MessageStatus::Canceled);
            }
            Ok(Json((*message).into()))
        }
        Cancellation::TooLate(message) => Err(Problem::new(
            StatusCode::CONFLICT,
            "too-late",
            "Too late to cancel",
            format!("the message is {}; expected one that is still queued", message.status),
        )),
        Cancellation::NotFound => Err(Problem::not_found("message")),
    }
}
