//! The provider's deliberate faults, in the requests that it gets and the webhooks that it sends.

use sandbox::types::{ErrorShape, FaultRules, RequestEffect, RequestFault, WebhookEffect, WebhookFault, WebhookKind};

/// A provider on a bad day.
pub fn bad_day() -> FaultRules {
    let status = |status, retry_after| RequestEffect::Status {
        status,
        retry_after,
        code: None,
        message: None,
        shape: ErrorShape::Classic,
    };
    let create = |probability, effect| RequestFault {
        method: Some("POST".to_owned()),
        path: Some("Messages.json$".to_owned()),
        probability: Some(probability),
        ..RequestFault::new(effect)
    };
    let look = |probability, effect| RequestFault {
        method: Some("GET".to_owned()),
        probability: Some(probability),
        ..RequestFault::new(effect)
    };
    let webhooks =
        |kind, probability, effect| WebhookFault { kind, probability: Some(probability), ..WebhookFault::new(effect) };
    FaultRules {
        requests: vec![
            create(0.10, RequestEffect::Latency { ms: 300 }),
            create(0.06, status(429, Some(1))),
            create(0.05, RequestEffect::DropResponse),
            create(0.05, RequestEffect::StatusAfter { status: 503 }),
            create(0.03, status(503, None)),
            create(0.03, RequestEffect::Refuse),
            create(0.08, RequestEffect::AnswerDelay { ms: 900 }),
            look(0.05, status(429, None)),
            look(0.05, RequestEffect::Refuse),
        ],
        webhooks: vec![
            webhooks(Some(WebhookKind::Status), 0.05, WebhookEffect::Lose),
            webhooks(Some(WebhookKind::Inbound), 0.02, WebhookEffect::Lose),
            webhooks(None, 0.10, WebhookEffect::Duplicate { times: 2 }),
            webhooks(None, 0.10, WebhookEffect::Delay { ms: 1500 }),
            webhooks(Some(WebhookKind::Status), 0.10, WebhookEffect::Reorder),
        ],
    }
}
