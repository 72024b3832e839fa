//! An example of each operation: a request, and its answer.

use serde_json::{Value, json};
use utoipa::openapi::{OpenApi, RefOr};

use super::operations_of;

pub(super) struct Examples;

impl utoipa::Modify for Examples {
    fn modify(&self, openapi: &mut OpenApi) {
        for operation in openapi.paths.paths.values_mut().flat_map(operations_of) {
            let name = operation.operation_id.as_deref().unwrap_or_default();
            let (request, answer) = (request(name), answer(name));
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                for content in body.content.values_mut() {
                    if let RefOr::T(content) = content {
                        content.example.clone_from(&request);
                    }
                }
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                for content in response.content.values_mut() {
                    if let RefOr::T(content) = content
                        && status.starts_with('2')
                    {
                        content.example.clone_from(&answer);
                    }
                }
            }
        }
    }
}

fn request(operation: &str) -> Option<Value> {
    match operation {
        "sendMessage" => Some(json!({
            "to": "+447700900123",
            "from": "support",
            "template": { "name": "order-shipped", "language": "de", "values": { "1": "Ava" } },
            "validFor": "6h",
            "metadata": { "order": "18473" },
        })),
        "putConsent" => Some(json!({
            "status": "granted",
            "evidence": { "source": "checkout-form", "reference": "order 18473", "at": "2026-11-01T11:58:00Z" },
        })),
        "putSuppression" => Some(json!({ "by": "ann@example.com", "reason": "asked by phone" })),
        "redriveEvents" => Some(json!({ "sender": "support" })),
        _ => None,
    }
}

fn answer(operation: &str) -> Option<Value> {
    match operation {
        "sendMessage" => Some(message("queued")),
        "listMessages" => Some(json!({ "items": [message("read")] })),
        "getMessage" => {
            Some(with_timeline(message("delivered"), &["queued", "submitted", "accepted", "sent", "delivered"]))
        }
        "cancelMessage" => Some(message("canceled")),
        "revokeLink" => Some(contact(&json!({}))),
        "getContact" | "putConsent" => Some(contact(&json!({
            "consent": {
                "status": "granted",
                "recordedAt": "2026-11-01T12:00:00Z",
                "evidence": { "source": "checkout-form", "reference": "order 18473", "at": "2026-11-01T11:58:00Z" },
            },
        }))),
        "putSuppression" => Some(contact(&json!({
            "suppression": { "reason": "manual", "at": "2026-11-01T12:00:00Z", "detail": "ann@example.com: asked by phone" },
        }))),
        "liftSuppression" => Some(contact(&json!({
            "lifted": { "at": "2026-11-01T12:00:00Z", "by": "ann@example.com", "reason": "a wrong number that was corrected" },
        }))),
        "listDeadEvents" => Some(json!({ "items": [{
            "id": "evt_0192d3b8c7ab7a3e8f1e2d3c4b5a6978",
            "sender": "support",
            "sink": "app",
            "subject": "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978",
            "reason": "the sink answered 410",
            "tries": 1,
            "createdAt": "2026-11-01T12:00:02Z",
            "deadAt": "2026-11-01T12:00:02Z",
            "event": super::super::event_schemas::example(messaging::event::EventKind::MessageReceived),
        }] })),
        "redriveEvent" | "redriveEvents" => Some(json!({ "redriven": 1 })),
        _ => None,
    }
}

fn message(status: &str) -> Value {
    let canceled = json!({ "code": "canceled", "text": "canceled by apikey/shop" });
    let mut message = json!({
        "id": "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978",
        "status": status,
        "to": "+447700900123",
        "sender": "support",
        "from": "+14155238886",
        "template": { "name": "order-shipped", "language": "de", "values": { "1": "Ava" } },
        "expiresAt": "2026-11-01T18:00:00Z",
        "metadata": { "order": "18473" },
        "onUnconfirmed": "fail",
        "attempts": u8::from(status != "queued" && status != "canceled"),
        "createdAt": "2026-11-01T12:00:00Z",
        "updatedAt": "2026-11-01T12:00:00Z",
    });
    if status == "canceled" {
        message["reason"] = canceled;
    }
    message
}

fn with_timeline(mut message: Value, statuses: &[&str]) -> Value {
    let step =
        |(second, status): (usize, &&str)| json!({ "at": format!("2026-11-01T12:00:0{second}Z"), "status": status });
    message["timeline"] = statuses.iter().enumerate().map(step).collect();
    message
}

fn contact(more: &Value) -> Value {
    let mut contact = json!({
        "address": "+447700900123",
        "sender": "support",
        "window": { "open": true, "closesAt": "2026-11-02T12:00:00Z", "lastInboundAt": "2026-11-01T12:00:00Z" },
    });
    if let (Some(contact), Some(more)) = (contact.as_object_mut(), more.as_object()) {
        contact.extend(more.clone());
    }
    contact
}
