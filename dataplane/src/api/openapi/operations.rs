//! The operations, and the answers that are an operation's own.
#![expect(dead_code, reason = "each function carries the description of a path")]

use super::super::bodies::{ConsentBody, RedriveBody, SendBody, SuppressionBody};
use super::super::events::{DeadEventList, Redriven};
use super::super::view::{ContactView, MessageList, MessageView, ReadView};
use super::parameters::{
    AtSender, IdempotencyKey, OfContact, OfEvent, OfMessage, OneSink, OtherAddress, Page, WhichDeadEvents,
    WhichMessages, WhyLifted,
};
use crate::requests::problem::Problem;

/// Send a message
///
/// 202 means that the message is on disk. It does not mean that the message was sent or delivered.
#[utoipa::path(
    post, path = "/v1/messages", tag = "messages", operation_id = "sendMessage", request_body = SendBody, params(IdempotencyKey),
    responses(
        (status = 202, description = "Accepted. `Idempotency-Replayed: true` marks the answer to a repeated request.", body = MessageView),
        (status = 422, description = "Fields are wrong, or policy forbids the message.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn send() {}

/// List messages, newest first
#[utoipa::path(
    get, path = "/v1/messages", tag = "messages", operation_id = "listMessages", params(WhichMessages, Page),
    responses((status = 200, description = "A page.", body = MessageList))
)]
pub(super) fn list() {}

/// Read a message, sent or received
#[utoipa::path(
    get, path = "/v1/messages/{id}", tag = "messages", operation_id = "getMessage", params(OfMessage),
    responses(
        (status = 200, description = "The message; with its timeline, if it was sent.", body = ReadView),
        (status = 404, description = "This tenant has no such message.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn read() {}

/// Cancel a queued message
#[utoipa::path(
    post, path = "/v1/messages/{id}/cancel", tag = "messages", operation_id = "cancelMessage", params(OfMessage),
    responses(
        (status = 200, description = "It is canceled, by this request or an earlier one.", body = MessageView),
        (status = 404, description = "This tenant has no such message.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has left the queue: it was handed over, or has ended.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn cancel() {}

/// Read a contact
#[utoipa::path(
    get, path = "/v1/contacts/{address}", tag = "contacts", operation_id = "getContact", params(OfContact, AtSender),
    responses((status = 200, description = "Window, consent and suppression.", body = ContactView))
)]
pub(super) fn contact() {}

/// Record a contact's consent
#[utoipa::path(
    put, path = "/v1/contacts/{address}/consent", tag = "contacts", operation_id = "putConsent", request_body = ConsentBody,
    params(OfContact, AtSender),
    responses(
        (status = 200, description = "Recorded.", body = ContactView),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn consent() {}

/// Suppress a contact
///
/// Nothing is sent to the contact until `DELETE` lifts it.
#[utoipa::path(
    put, path = "/v1/contacts/{address}/suppression", tag = "contacts", operation_id = "putSuppression",
    request_body = SuppressionBody, params(OfContact, AtSender),
    responses(
        (status = 200, description = "Suppressed.", body = ContactView),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn suppress() {}

/// Lift a contact's suppression
///
/// Lifts every suppression of the contact but an opt-out: that ends with a start keyword from the contact, or with a
/// recorded consent that they gave after it. A contact that is not suppressed stays as it is.
#[utoipa::path(
    delete, path = "/v1/contacts/{address}/suppression", tag = "contacts", operation_id = "liftSuppression",
    params(OfContact, AtSender, WhyLifted),
    responses(
        (status = 200, description = "Nothing keeps messages from the contact.", body = ContactView),
        (status = 409, description = "The contact opted out; nothing changes.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn lift() {}

/// Revoke a link
///
/// Says that two addresses that were seen together are not one person's: what is known of either no longer counts for
/// the other. A webhook that names both again links them again. The link goes for every sender.
#[utoipa::path(
    delete, path = "/v1/contacts/{address}/links/{other}", tag = "contacts", operation_id = "revokeLink",
    params(OfContact, OtherAddress, AtSender, WhyLifted),
    responses(
        (status = 200, description = "The link is revoked, by this request or an earlier one.", body = ContactView),
        (status = 404, description = "The two addresses were not seen together.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn unlink() {}

/// List dead letters
///
/// A dead letter is an event that was given up for a sink: after ten tries over three days, at once when the sink
/// answers 410 or has a private address, and while the sink is gone or no longer configured. It is kept as long as
/// bodies are.
#[utoipa::path(
    get, path = "/v1/events/dead", tag = "events", operation_id = "listDeadEvents", params(WhichDeadEvents, Page),
    responses((status = 200, description = "A page, oldest first.", body = DeadEventList))
)]
pub(super) fn dead_events() {}

/// Redrive a dead letter
///
/// The event keeps its id and gets the whole schedule of tries again. It is delivered out of order: later events about
/// the same subject may have been delivered already. A sink that had answered 410 is called again.
#[utoipa::path(
    post, path = "/v1/events/{id}/redrive", tag = "events", operation_id = "redriveEvent", params(OfEvent, OneSink),
    responses(
        (status = 200, description = "It is back in the outbox.", body = Redriven),
        (status = 404, description = "This tenant has no such dead letter.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn redrive_event() {}

/// Redrive dead letters, oldest first
///
/// At most 500 in one request. If there are more, the answer has a cursor for the next request.
#[utoipa::path(
    post, path = "/v1/events/redrive", tag = "events", operation_id = "redriveEvents", request_body = RedriveBody,
    responses(
        (status = 200, description = "They are back in the outbox.", body = Redriven),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn redrive_events() {}
