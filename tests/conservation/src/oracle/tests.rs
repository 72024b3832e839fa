//! The oracle finds each broken promise on its own, in logs that are otherwise in order.

mod asked;

use jiff::Timestamp;
use messaging::opt_out::OptChange;

use super::*;
use crate::logs::{Answer, Asked, Keyword, Outbound, Reached, Received, Stored, Webhook};

const TEXT: &str = "hello 1";
const CUSTOMER: &str = "+447700900123";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn answered(status: u16, message: Option<&str>) -> Answer {
    Answer { replica: "a".into(), status: Some(status), message: message.map(str::to_owned), ..Answer::default() }
}

fn reached(status: MessageStatus) -> Reached {
    Reached { status, attempt: None, reason: None, at: String::new() }
}

fn event(id: &str, kind: &str, subject: &str, provider_message_id: &str) -> Received {
    Received {
        application: "shop".into(),
        id: id.into(),
        tenant: "shop".into(),
        kind: kind.into(),
        subject: subject.into(),
        provider_message_id: Some(provider_message_id.into()),
        body: "{}".into(),
    }
}

fn webhook(sid: &str, reports: &str, answers: &[Option<u16>]) -> Webhook {
    Webhook { tenant: "shop".into(), sid: sid.into(), reports: reports.into(), answers: answers.into(), faults: vec![] }
}

/// One customer wrote, and one message was sent and delivered.
fn well() -> Logs {
    use MessageStatus::{Accepted, Delivered, Queued, Submitted};
    Logs {
        asked: vec![Asked {
            tenant: "shop".into(),
            key: "k1".into(),
            text: TEXT.into(),
            answers: vec![Answer::default(), answered(503, None), answered(202, Some("msg_1"))],
            withdrawals: vec![Some(409)],
            to: CUSTOMER.into(),
            person: CUSTOMER.into(),
            asked_at: at(100),
            ..Asked::default()
        }],
        provider: vec![Outbound {
            tenant: "shop".into(),
            sid: "SM1".into(),
            text: TEXT.into(),
            attempt: Some("att-1".into()),
            template: None,
            taken_at: at(101),
            statuses: ["queued", "sent", "delivered"].map(str::to_owned).into(),
        }],
        webhooks: vec![
            webhook("SM9", "received", &[None, Some(503), Some(200), Some(200)]),
            webhook("SM8", "received", &[None]),
            webhook("SM1", "delivered", &[Some(204)]),
        ],
        keywords: vec![],
        received: vec![
            event("evt_9", "received", "msg_9", "SM9"),
            event("evt_1", "accepted", "msg_1", "SM1"),
            event("evt_2", "delivered", "msg_1", "SM1"),
            event("evt_1", "accepted", "msg_1", "SM1"),
        ],
        stored: vec![Stored {
            tenant: "shop".into(),
            id: "msg_1".into(),
            key: "k1".into(),
            status: Delivered,
            reason: None,
            provider_message_id: Some("SM1".into()),
            timeline: [Queued, Submitted, Accepted, Delivered].map(reached).into(),
        }],
        stored_inbound: Some(vec![("shop".into(), "SM9".into())]),
    }
}

/// The violations in logs with this fault.
fn broken_by(harm: impl FnOnce(&mut Logs)) -> Vec<Broken> {
    let mut logs = well();
    harm(&mut logs);
    let mut broken: Vec<_> = judge(&logs).into_iter().map(|violation| violation.broken).collect();
    broken.dedup();
    broken
}

#[test]
fn logs_that_are_in_order_have_no_violations() {
    assert_eq!(judge(&well()), []);
    assert_eq!(judge(&Logs::default()), []);
}

#[test]
fn an_acknowledged_webhook_that_was_not_published_is_found() {
    assert_eq!(broken_by(|logs| drop(logs.received.remove(0))), [Broken::AcknowledgedButNotPublished]);
}

#[test]
fn an_acknowledged_webhook_that_is_not_stored_exactly_once_is_found() {
    assert_eq!(broken_by(|logs| logs.stored_inbound = Some(vec![])), [Broken::AcknowledgedButNotStoredOnce]);
    let row = || ("shop".to_owned(), "SM9".to_owned());
    assert_eq!(
        broken_by(|logs| logs.stored_inbound = Some(vec![row(), row()])),
        [Broken::AcknowledgedButNotStoredOnce]
    );
    assert_eq!(broken_by(|logs| logs.stored_inbound = None), [], "a database that cannot be queried proves nothing");
}

#[test]
fn an_unacknowledged_webhook_may_be_missing_or_published_but_not_twice() {
    let received = |id| event(id, "received", "msg_8", "SM8");
    assert_eq!(broken_by(|logs| logs.received.push(received("evt_8"))), []);
    assert_eq!(
        broken_by(|logs| logs.received.extend([received("evt_8"), received("evt_7")])),
        [Broken::PublishedUnderSeveralIds]
    );
}

#[test]
fn an_acknowledged_status_without_effect_is_found() {
    assert_eq!(
        broken_by(|logs| logs.webhooks.push(webhook("SM1", "read", &[Some(204)]))),
        [Broken::AcknowledgedStatusWithoutEffect]
    );
    assert_eq!(
        broken_by(|logs| logs.webhooks.push(webhook("SM7", "sent", &[Some(204)]))),
        [Broken::AcknowledgedStatusWithoutEffect]
    );
    assert_eq!(broken_by(|logs| logs.webhooks.push(webhook("SM1", "read", &[Some(503)]))), []);
}

#[test]
fn an_event_that_never_happened_is_found() {
    assert_eq!(
        broken_by(|logs| logs.received.push(event("evt_5", "received", "msg_5", "SM5"))),
        [Broken::PublishedButNeverHappened]
    );
    assert_eq!(
        broken_by(|logs| logs.received.push(event("evt_5", "read", "msg_1", "SM1"))),
        [Broken::PublishedButNeverHappened]
    );
    assert_eq!(
        broken_by(|logs| logs.received.push(event("evt_5", "sent", "msg_5", "SM5"))),
        [Broken::PublishedButNeverHappened]
    );
}

#[test]
fn an_event_that_changed_between_deliveries_is_found() {
    assert_eq!(broken_by(|logs| logs.received[3].body = "{ }".into()), [Broken::EventChanged]);
}

#[test]
fn an_event_in_another_tenants_application_is_found() {
    let broken = broken_by(|logs| {
        logs.received.push(Received { application: "clinic".into(), ..event("evt_6", "read", "+44", "") });
    });
    assert!(broken.contains(&Broken::ReachedAnotherTenant), "{broken:?}");
}

#[test]
fn statuses_in_the_wrong_order_are_found_and_redeliveries_are_not_mistaken_for_them() {
    assert_eq!(broken_by(|logs| logs.received.swap(1, 2)), [Broken::StatusOutOfOrder]);
}

#[test]
fn a_status_that_was_not_published_or_published_under_two_ids_is_found() {
    assert_eq!(broken_by(|logs| drop(logs.received.remove(2))), [Broken::StatusNotPublished]);
    assert_eq!(
        broken_by(|logs| logs.received.push(event("evt_4", "delivered", "msg_1", "SM1"))),
        [Broken::PublishedUnderSeveralIds]
    );
}

#[test]
fn a_request_that_was_never_decided_is_found() {
    let broken = broken_by(|logs| drop(logs.asked[0].answers.pop()));
    assert_eq!(broken, [Broken::NeverAnswered, Broken::SentWithoutAcceptance]);
}

#[test]
fn a_refused_request_needs_no_message_and_may_not_have_left() {
    let mut logs = Logs { asked: well().asked, ..Logs::default() };
    logs.asked[0].answers = vec![answered(422, None)];
    assert_eq!(judge(&logs), []);
    logs.provider = well().provider;
    assert_eq!(judge(&logs)[0].broken, Broken::SentWithoutAcceptance);
}

#[test]
fn an_accepted_message_that_is_gone_is_found() {
    let broken = broken_by(|logs| logs.stored.clear());
    assert!(broken.contains(&Broken::AcceptedButNotStored), "{broken:?}");
}

#[test]
fn a_key_with_two_messages_is_found() {
    let broken = broken_by(|logs| logs.asked[0].answers.push(answered(202, Some("msg_2"))));
    assert_eq!(broken, [Broken::AcceptedButNotStored, Broken::KeyHasSeveralMessages]);
    let broken = broken_by(|logs| logs.stored.push(Stored { id: "msg_2".into(), ..logs.stored[0].clone() }));
    assert!(broken.contains(&Broken::KeyHasSeveralMessages), "{broken:?}");
}

#[test]
fn a_message_that_was_never_requested_is_found() {
    let broken = broken_by(|logs| logs.asked.clear());
    assert_eq!(broken, [Broken::StoredButNeverAsked, Broken::SentWithoutAcceptance]);
}

#[test]
fn a_second_message_at_the_provider_is_found() {
    let again = |sid: &str, attempt: &str| Outbound {
        sid: sid.into(),
        attempt: Some(attempt.into()),
        ..well().provider[0].clone()
    };
    assert_eq!(broken_by(|logs| logs.provider.push(again("SM2", "att-2"))), [Broken::SentTwice]);
    assert_eq!(broken_by(|logs| logs.provider.push(again("SM2", "att-1"))), [Broken::SentTwice]);
}

#[test]
fn a_message_that_left_although_it_was_withdrawn_is_found() {
    let broken = broken_by(|logs| logs.asked[0].withdrawals.push(Some(200)));
    assert_eq!(broken, [Broken::SentAlthoughCanceled, Broken::ContradictsProvider]);
}

#[test]
fn a_message_that_has_not_ended_is_found() {
    let broken = broken_by(|logs| {
        logs.stored[0].status = MessageStatus::Accepted;
        logs.stored[0].timeline.pop();
        logs.received.remove(2);
        logs.webhooks.pop();
    });
    assert_eq!(broken, [Broken::NotTerminal]);
}

#[test]
fn a_message_that_ended_twice_is_found() {
    let broken = broken_by(|logs| {
        logs.stored[0].timeline.insert(3, reached(MessageStatus::Failed));
        logs.received.insert(2, event("evt_3", "failed", "msg_1", "SM1"));
    });
    assert_eq!(broken, [Broken::SeveralTerminalStates]);
    let read = broken_by(|logs| {
        logs.stored[0].status = MessageStatus::Read;
        logs.stored[0].timeline.push(reached(MessageStatus::Read));
        logs.received.push(event("evt_3", "read", "msg_1", "SM1"));
    });
    assert_eq!(read, [], "read implies delivered");
}

/// The message ended this way before it reached the provider.
fn ended(logs: &mut Logs, status: MessageStatus, reason: Option<&str>) {
    logs.stored[0].status = status;
    logs.stored[0].reason = reason.map(str::to_owned);
    logs.stored[0].timeline = vec![reached(MessageStatus::Queued), reached(status)];
    logs.received.truncate(1);
    logs.received.push(event("evt_3", status.as_str(), "msg_1", "SM1"));
    logs.webhooks.pop();
}

#[test]
fn an_end_without_a_reason_is_found() {
    let with = |reason| {
        broken_by(|logs| {
            ended(logs, MessageStatus::Expired, reason);
            logs.provider.clear();
        })
    };
    assert_eq!(with(Some("its validity is over")), []);
    assert_eq!(with(Some(" ")), [Broken::EndedWithoutReason]);
    assert_eq!(with(None), [Broken::EndedWithoutReason]);
}

#[test]
fn an_end_that_the_provider_contradicts_is_found() {
    let not_sent = broken_by(|logs| ended(logs, MessageStatus::Failed, Some("it was not sent")));
    assert_eq!(not_sent, [Broken::ContradictsProvider]);
    let undelivered = broken_by(|logs| logs.provider[0].statuses = vec!["undelivered".into()]);
    assert_eq!(undelivered, [Broken::ContradictsProvider]);
    assert_eq!(broken_by(|logs| logs.provider.clear()), [Broken::ContradictsProvider]);
}
