//! Messages to customers: what the provider answers, what it tells of them later, and what its log shows.

use std::time::Duration;

use messaging::failure::FailureClass;
use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{
    Direction, MessageFilter, MessageLog as _, MessagingProvider as _, OutboundMessage, ProviderMessage, SendOutcome,
    WebhookEvent,
};
use sandbox::seed::Seed;
use sandbox::types::{ErrorShape, FaultRules, RequestEffect, RequestFault};

use super::{CUSTOMER, NOWHERE, World, accepted, eventually, text, understand};

impl World {
    /// A world in which creating a message goes wrong in this way, once.
    async fn failing(effect: RequestEffect) -> Self {
        let rule = RequestFault {
            method: Some("POST".into()),
            path: Some("Messages.json$".into()),
            count: Some(1),
            ..RequestFault::new(effect)
        };
        let world =
            Self::new(Seed { faults: FaultRules { requests: vec![rule], webhooks: vec![] }, ..Seed::example() }).await;
        world.customer_writes().await;
        world
    }

    async fn log_since(&self, since: jiff::Timestamp) -> Vec<ProviderMessage> {
        let filter = MessageFilter { from: None, to: Some(CUSTOMER.parse().expect("an address")), since };
        self.twilio.list(&filter).await.expect("the log")
    }
}

#[tokio::test]
async fn a_message_is_sent_followed_by_its_attempts_callbacks_and_found_in_the_log() {
    let world = World::new(Seed::example()).await;
    world.customer_writes().await;
    let attempt = AttemptId::new(jiff::Timestamp::UNIX_EPOCH, &[3; 10]);
    let callback = format!("{NOWHERE}/webhooks/shop/support/twilio/status/{attempt}");
    let message = OutboundMessage { attempt, status_callback: Some(callback.parse().expect("a URL")), ..text() };
    let sid = accepted(world.twilio.send(&message).await.outcome);

    let callback_record = eventually("a delivered callback", async || {
        world.webhooks().await.into_iter().find(|w| w.message_sid == sid && w.message_status == "delivered")
    })
    .await;
    assert_eq!(callback_record.url, format!("{callback}#rc=5&rp=all"));
    match understand(&callback_record, &format!("status/{attempt}")) {
        WebhookEvent::Status(update) => {
            assert_eq!((update.provider_message_id.as_str(), update.attempt), (sid.as_str(), Some(attempt)));
            assert_eq!(update.status, MessageStatus::Delivered);
        }
        other => panic!("{other:?}"),
    }

    let found = world.twilio.lookup(&sid).await.expect("an answer").expect("the message");
    assert_eq!((found.status, found.body.as_deref()), (MessageStatus::Delivered, Some("hello")));
    assert_eq!(world.twilio.lookup(&format!("SM{}", "0".repeat(32))).await, Ok(None));
    let log = world.log_since(found.created_at.expect("a date")).await;
    assert!(log.iter().any(|logged| logged.provider_message_id == sid && logged.direction == Direction::Outbound));
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_ambiguous_and_in_the_log_once() {
    for effect in [RequestEffect::DropResponse, RequestEffect::StatusAfter { status: 500 }] {
        let world = World::failing(effect).await;
        let before = world.log_since(jiff::Timestamp::UNIX_EPOCH).await.len();
        let outcome = world.twilio.send(&text()).await.outcome;
        assert!(matches!(outcome, SendOutcome::Ambiguous { .. }), "{outcome:?}");
        assert_eq!(world.log_since(jiff::Timestamp::UNIX_EPOCH).await.len(), before + 1);
        world.sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_rate_limit_is_refused_with_its_pause_and_nothing_is_sent() {
    let limit = RequestEffect::Status {
        status: 429,
        retry_after: Some(2),
        code: None,
        message: None,
        shape: ErrorShape::Classic,
    };
    let world = World::failing(limit).await;
    match world.twilio.send(&text()).await.outcome {
        SendOutcome::Refused(error) => {
            assert_eq!((error.failure.class, error.retry_after), (FailureClass::Retry, Some(Duration::from_secs(2))));
        }
        other => panic!("{other:?}"),
    }
    accepted(world.twilio.send(&text()).await.outcome);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn every_format_of_error_is_understood() {
    for (shape, code) in [
        (ErrorShape::Classic, Some("63007")),
        (ErrorShape::Problem, Some("63007")),
        (ErrorShape::V1, Some("63007")),
        (ErrorShape::Html, None),
        (ErrorShape::Empty, None),
    ] {
        let message = Some("no channel with this From address".to_owned());
        let refusal = RequestEffect::Status { status: 400, retry_after: None, code: Some(63007), message, shape };
        let world = World::failing(refusal).await;
        match world.twilio.send(&text()).await.outcome {
            SendOutcome::Refused(error) => {
                assert_eq!(error.failure.code.as_deref(), code, "{shape:?}");
                let class = if code.is_some() { FailureClass::Sender } else { FailureClass::Request };
                assert_eq!(error.failure.class, class, "{shape:?}");
                assert_eq!(
                    error.failure.message.contains("no channel with this From address"),
                    code.is_some(),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
        world.sandbox.shutdown().await;
    }
}
