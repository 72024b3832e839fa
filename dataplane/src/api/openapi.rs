//! The description of the tenants' API in OpenAPI, made from the types that are served.

use axum::Json;
use utoipa::OpenApi;

use super::events::{DeadEventList, Redriven};
use super::schema::{ConsentBody, RedriveBody, SendBody, Status, SuppressionBody};
use super::view::{ContactView, MessageList, MessageView};
use crate::requests::problem::Problem;

/// The description, as JSON with line breaks.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_else(|e| unreachable!("a description is JSON: {e}"));
    text.push('\n');
    text
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

const DESCRIPTION: &str = "Sends, reads and cancels WhatsApp messages of one tenant, reads \
its contacts, records their consent, suppresses them, and lists and redrives its dead letters. Every request carries \
`Authorization: Bearer` and an API key of the tenant, or a token of one of its Kubernetes ServiceAccounts for this \
service's audience. The namespace is the tenant. Errors are problem documents (RFC 9457).";

#[derive(OpenApi)]
#[openapi(
    info(title = "whatsapp-operator data plane", description = DESCRIPTION),
    paths(send, list, read, cancel, contact, consent, suppress, lift, unlink, dead_events, redrive_event, redrive_events),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().security_schemes.insert("bearer".to_owned(), scheme.into());
    }
}

/// Send a message
///
/// 202 means that the message is on disk. It does not mean that the message was sent or delivered.
#[utoipa::path(
    post, path = "/v1/messages", operation_id = "sendMessage", request_body = SendBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters. The same key and body get the same answer; the same key and another body get 422.")),
    responses(
        (status = 202, description = "Accepted. `Idempotency-Replayed: true` marks the answer to a repeated request.", body = MessageView),
        (status = 400, description = "The body is not JSON, or a header is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The request carries no valid credentials.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller may not act for this tenant.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 256 KiB.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The Content-Type is not `application/json`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong, or policy forbids the message.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The service is overloaded, the sender or tenant is being drained, or `scheduleAt` or `validFor` cannot be kept because the replica's clock is wrong; try again after `Retry-After` seconds.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn send() {}

/// List messages, newest first
#[utoipa::path(
    get, path = "/v1/messages", operation_id = "listMessages",
    params(
        ("status" = Option<Status>, Query, description = "Only messages that have this status now."),
        ("to" = Option<String>, Query, description = "Only messages to this address; + is written as %2B."),
        ("from" = Option<String>, Query, description = "Only messages of this sender."),
        ("template" = Option<String>, Query, description = "Only messages with this template."),
        ("since" = Option<jiff::Timestamp>, Query, description = "Created at this time or later."),
        ("until" = Option<jiff::Timestamp>, Query, description = "Created before this time."),
        ("limit" = Option<u32>, Query, description = "From 1 to 200; 50 by default.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page."),
    ),
    responses(
        (status = 200, description = "A page.", body = MessageList),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn list() {}

/// Read a message and its timeline
#[utoipa::path(
    get, path = "/v1/messages/{id}", operation_id = "getMessage",
    params(("id" = String, Path, description = "`msg_` and 32 hexadecimal digits.")),
    responses(
        (status = 200, description = "The message with its timeline.", body = MessageView),
        (status = 404, description = "This tenant has no such message.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn read() {}

/// Cancel a queued message
#[utoipa::path(
    post, path = "/v1/messages/{id}/cancel", operation_id = "cancelMessage",
    params(("id" = String, Path, description = "`msg_` and 32 hexadecimal digits.")),
    responses(
        (status = 200, description = "It is canceled, by this request or an earlier one.", body = MessageView),
        (status = 404, description = "This tenant has no such message.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has left the queue: it was handed over, or has ended.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn cancel() {}

/// Read a contact
#[utoipa::path(
    get, path = "/v1/contacts/{address}", operation_id = "getContact",
    params(
        ("address" = String, Path, description = "Such as +447700900123."),
        ("sender" = Option<String>, Query, description = "The sender whose contact it is; may be left out if the tenant has only one."),
    ),
    responses(
        (status = 200, description = "Window, consent and suppression.", body = ContactView),
        (status = 400, description = "The address or a parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn contact() {}

/// Record a contact's consent
#[utoipa::path(
    put, path = "/v1/contacts/{address}/consent", operation_id = "putConsent", request_body = ConsentBody,
    params(
        ("address" = String, Path, description = "Such as +447700900123."),
        ("sender" = Option<String>, Query, description = "The sender whose contact it is; may be left out if the tenant has only one."),
    ),
    responses(
        (status = 200, description = "Recorded.", body = ContactView),
        (status = 400, description = "The address or a parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn consent() {}

/// Suppress a contact
///
/// Nothing is sent to the contact until `DELETE` lifts it.
#[utoipa::path(
    put, path = "/v1/contacts/{address}/suppression", operation_id = "putSuppression", request_body = SuppressionBody,
    params(
        ("address" = String, Path, description = "Such as +447700900123."),
        ("sender" = Option<String>, Query, description = "The sender whose contact it is; may be left out if the tenant has only one."),
    ),
    responses(
        (status = 200, description = "Suppressed.", body = ContactView),
        (status = 400, description = "The address or a parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn suppress() {}

/// Lift a contact's suppression
///
/// Lifts every suppression of the contact but an opt-out: that ends with a start keyword from the contact, or with a
/// recorded consent that they gave after it. A contact that is not suppressed stays as it is.
#[utoipa::path(
    delete, path = "/v1/contacts/{address}/suppression", operation_id = "liftSuppression",
    params(
        ("address" = String, Path, description = "Such as +447700900123."),
        ("sender" = Option<String>, Query, description = "The sender whose contact it is; may be left out if the tenant has only one."),
        ("by" = String, Query, description = "The person or program that decides; 1 to 1024 characters.", min_length = 1, max_length = 1024),
        ("reason" = String, Query, description = "Why; 1 to 1024 characters.", min_length = 1, max_length = 1024),
    ),
    responses(
        (status = 200, description = "Nothing keeps messages from the contact.", body = ContactView),
        (status = 400, description = "The address or a parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The contact opted out; nothing changes.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn lift() {}

/// Revoke a link
///
/// Says that two addresses that were seen together are not one person's: what is known of either no longer counts for the
/// other. A webhook that names both again links them again.
#[utoipa::path(
    delete, path = "/v1/contacts/{address}/links/{other}", operation_id = "revokeLink",
    params(
        ("address" = String, Path, description = "Such as +447700900123."),
        ("other" = String, Path, description = "An address in the contact's links, such as GB.1a2b3c."),
        ("sender" = Option<String>, Query, description = "The sender as whose contact the answer shows the address; may be left out if the tenant has only one. The link goes for every sender."),
        ("by" = String, Query, description = "The person or program that decides; 1 to 1024 characters.", min_length = 1, max_length = 1024),
        ("reason" = String, Query, description = "Why; 1 to 1024 characters.", min_length = 1, max_length = 1024),
    ),
    responses(
        (status = 200, description = "The link is revoked, by this request or an earlier one.", body = ContactView),
        (status = 400, description = "An address or a parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The two addresses were not seen together.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn unlink() {}

/// List dead letters
///
/// A dead letter is an event that was given up for a sink: after ten tries over three days, at once when the sink
/// answers 410 or has a private address, and while the sink is gone or no longer configured. It is kept as long as
/// bodies are.
#[utoipa::path(
    get, path = "/v1/events/dead", operation_id = "listDeadEvents",
    params(
        ("sender" = Option<String>, Query, description = "Only events of this sender."),
        ("sink" = Option<String>, Query, description = "Only events for this sink, by its name."),
        ("limit" = Option<u32>, Query, description = "From 1 to 200; 50 by default.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page."),
    ),
    responses(
        (status = 200, description = "A page, oldest first.", body = DeadEventList),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn dead_events() {}

/// Redrive a dead letter
///
/// The event keeps its id and gets the whole schedule of tries again. It is delivered out of order: later events about
/// the same subject may have been delivered already. A sink that had answered 410 is called again.
#[utoipa::path(
    post, path = "/v1/events/{id}/redrive", operation_id = "redriveEvent",
    params(
        ("id" = String, Path, description = "`evt_` and 32 hexadecimal digits."),
        ("sink" = Option<String>, Query, description = "Only for this sink, by its name; by default, for every sink that it was given up for."),
    ),
    responses(
        (status = 200, description = "It is back in the outbox.", body = Redriven),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "This tenant has no such dead letter.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn redrive_event() {}

/// Redrive dead letters, oldest first
///
/// At most 500 in one request. If there are more, the answer has a cursor for the next request.
#[utoipa::path(
    post, path = "/v1/events/redrive", operation_id = "redriveEvents", request_body = RedriveBody,
    responses(
        (status = 200, description = "They are back in the outbox.", body = Redriven),
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The Content-Type is not `application/json`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
#[expect(dead_code, reason = "carries the description of a path")]
fn redrive_events() {}

#[cfg(test)]
mod tests {
    use messaging::lifecycle::MessageStatus;

    use super::*;

    #[test]
    fn every_status_of_a_message_is_described_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(&document()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut described = schemas.values().map(|schema| &schema["enum"]);
        let statuses = serde_json::json!(MessageStatus::ALL);
        assert!(described.any(|words| *words == statuses), "{statuses}");
    }
}
