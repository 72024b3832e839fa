//! The oracle is shown one broken promise at a time, beside a story in which all is well.

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

fn webhook(sid: &str, tells: &str, answers: &[Option<u16>]) -> Webhook {
    Webhook { tenant: "shop".into(), sid: sid.into(), tells: tells.into(), answers: answers.into(), faults: vec![] }
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

/// What the oracle says of a story that was broken so.
fn broken_by(harm: impl FnOnce(&mut Logs)) -> Vec<Broken> {
    let mut logs = well();
    harm(&mut logs);
    let mut broken: Vec<_> = judge(&logs).into_iter().map(|violation| violation.broken).collect();
    broken.dedup();
    broken
}

#[test]
fn nothing_is_said_of_a_story_in_which_all_is_well() {
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
    assert_eq!(broken_by(|logs| logs.stored_inbound = None), [], "a database that cannot be asked says nothing");
}

#[test]
fn a_webhook_that_nobody_acknowledged_may_be_missing_or_not_but_not_told_twice() {
    let told = |id| event(id, "received", "msg_8", "SM8");
    assert_eq!(broken_by(|logs| logs.received.push(told("evt_8"))), []);
    assert_eq!(
        broken_by(|logs| logs.received.extend([told("evt_8"), told("evt_7")])),
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
fn what_was_told_and_never_happened_is_found() {
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
fn a_status_that_was_not_told_or_told_under_two_ids_is_found() {
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
fn a_message_that_nobody_asked_for_is_found() {
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
    assert_eq!(read, [], "to be read refines that it was delivered");
}

/// The message ended so without the provider's doing.
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

/// The message may be sent again, and was: the first attempt's outcome stayed unknown.
fn resent(logs: &mut Logs) {
    use MessageStatus::{Delivered, Queued, Submitted, Unconfirmed};
    logs.asked[0].resends = true;
    let story = [(Queued, None), (Submitted, Some("att-1")), (Unconfirmed, Some("att-1")), (Queued, Some("att-1"))];
    let then = [(Submitted, Some("att-2")), (Delivered, Some("att-2"))];
    let line =
        |(status, attempt): (_, Option<&str>)| Reached { attempt: attempt.map(str::to_owned), ..reached(status) };
    logs.stored[0].timeline = story.into_iter().chain(then).map(line).collect();
    logs.stored[0].provider_message_id = Some("SM2".into());
    let again = Outbound { sid: "SM2".into(), attempt: Some("att-2".into()), ..logs.provider[0].clone() };
    logs.provider.push(again);
    logs.webhooks.push(webhook("SM2", "delivered", &[Some(204)]));
    logs.received.truncate(1);
    logs.received.push(event("evt_1", "unconfirmed", "msg_1", "SM1"));
    logs.received.push(event("evt_2", "delivered", "msg_1", "SM2"));
}

#[test]
fn a_message_may_be_at_the_provider_twice_only_where_that_was_asked_for_and_needed() {
    assert_eq!(broken_by(resent), []);
    let unasked = broken_by(|logs| {
        resent(logs);
        logs.asked[0].resends = false;
    });
    assert!(unasked.contains(&Broken::SentTwice) && unasked.contains(&Broken::SentAgainUnasked), "{unasked:?}");
    let never_at_the_provider = broken_by(|logs| {
        resent(logs);
        logs.asked[0].resends = false;
        logs.provider.remove(0);
        logs.webhooks.retain(|webhook| webhook.sid != "SM1");
    });
    assert_eq!(never_at_the_provider, [Broken::SentAgainUnasked]);
    let without_need = broken_by(|logs| {
        resent(logs);
        logs.stored[0].timeline.drain(2..4);
        logs.received.remove(1);
    });
    assert_eq!(without_need, [Broken::SentAgainUnasked]);
    let by_one_attempt = broken_by(|logs| {
        resent(logs);
        logs.provider[1].attempt = Some("att-1".into());
    });
    assert_eq!(by_one_attempt, [Broken::SentTwice]);
}

#[test]
fn a_message_that_was_given_up_instead_of_sent_again_is_found() {
    let given_up = |resends, expires| {
        broken_by(|logs| {
            ended(logs, MessageStatus::Failed, Some("unconfirmed: the provider's log has no such message"));
            logs.provider.clear();
            (logs.asked[0].resends, logs.asked[0].expires) = (resends, expires);
        })
    };
    assert_eq!(given_up(true, false), [Broken::GivenUpInsteadOfResent]);
    assert_eq!(given_up(false, false), []);
    assert_eq!(given_up(true, true), [], "its validity may have been over");
    let after_every_attempt = broken_by(|logs| {
        ended(logs, MessageStatus::Failed, Some("unconfirmed: the provider's log has no such message"));
        logs.provider.clear();
        logs.asked[0].resends = true;
        let line = |n: usize| Reached { attempt: Some(format!("att-{n}")), ..reached(MessageStatus::Submitted) };
        logs.stored[0].timeline.splice(1..1, (0..8).map(line));
    });
    assert_eq!(after_every_attempt, []);
}

#[test]
fn a_message_with_another_template_than_was_asked_for_is_found() {
    let with = |asked: Option<&str>, sent: Option<&str>| {
        broken_by(|logs| {
            logs.asked[0].template = asked.map(str::to_owned);
            logs.provider[0].template = sent.map(str::to_owned);
        })
    };
    assert_eq!(with(Some("HX1"), Some("HX1")), []);
    for (asked, sent) in [(Some("HX1"), None), (None, Some("HX1")), (Some("HX1"), Some("HX2"))] {
        assert_eq!(with(asked, sent), [Broken::SentOtherContent], "{asked:?} {sent:?}");
    }
}

/// What the customer wrote: which change, when it was written, and when the application was seen to have heard of it.
fn keywords(story: &[(OptChange, i64, Option<i64>)]) -> Vec<Keyword> {
    let keyword = |(n, (change, written_at, heard_at)): (usize, &(OptChange, i64, Option<i64>))| Keyword {
        tenant: "shop".into(),
        customer: CUSTOMER.into(),
        change: *change,
        sid: format!("SMk{n}"),
        written_at: at(*written_at),
        heard_at: heard_at.map(at),
        changed_at: heard_at.map(at),
    };
    story.iter().enumerate().map(keyword).collect()
}

#[test]
fn a_message_to_somebody_who_had_opted_out_is_found() {
    use OptChange::{Start, Stop};
    // It was asked for at 100 and taken at 101.
    let with = |story: &[(OptChange, i64, Option<i64>)]| broken_by(|logs| logs.keywords = keywords(story));
    assert_eq!(with(&[(Stop, 90, Some(95))]), [Broken::SentAlthoughOptedOut]);
    assert_eq!(with(&[(Stop, 90, Some(95)), (Start, 102, Some(103))]), [Broken::SentAlthoughOptedOut]);
    assert_eq!(
        with(&[(Stop, 60, Some(61)), (Start, 70, Some(71)), (Stop, 90, Some(95))]),
        [Broken::SentAlthoughOptedOut]
    );

    assert_eq!(with(&[(Stop, 90, Some(100)), (Start, 101, None)]), [], "the wish to hear again may have come first");
    assert_eq!(with(&[(Stop, 90, Some(95)), (Start, 96, Some(98))]), [], "opted in again");
    assert_eq!(with(&[(Stop, 90, None)]), [], "nobody knows whether it came");
    assert_eq!(with(&[(Stop, 90, Some(101))]), [], "asked for before, it may have been in flight");
    let overtaken = &[(Start, 80, Some(91)), (Stop, 90, Some(95))];
    assert_eq!(with(overtaken), [], "an earlier wish to hear again may have taken effect after it");
    let somebody_else = broken_by(|logs| {
        logs.keywords = keywords(&[(Stop, 90, Some(95))]);
        logs.keywords[0].customer = "+447700900999".into();
    });
    assert_eq!(somebody_else, []);
}

#[test]
fn a_message_that_was_asked_for_before_an_opt_out_and_left_long_after_it_is_found() {
    let taken_at = |second| {
        broken_by(|logs| {
            logs.keywords = keywords(&[(OptChange::Stop, 101, Some(102))]);
            logs.provider[0].taken_at = at(second);
        })
    };
    assert_eq!(taken_at(111), []);
    assert_eq!(taken_at(112), [Broken::SentAlthoughOptedOut]);
}

#[test]
fn a_message_that_was_refused_because_of_an_opt_out_that_was_taken_back_is_found() {
    use OptChange::{Start, Stop};
    let refused = |story: &[(OptChange, i64, Option<i64>)], code: &str| {
        let mut logs = Logs { asked: well().asked, keywords: keywords(story), ..Logs::default() };
        let words = serde_json::json!({"errors": [{"code": code, "pointer": "/to"}]}).to_string();
        logs.asked[0].answers = vec![Answer { words, at: at(101), ..answered(422, None) }];
        judge(&logs).into_iter().map(|violation| violation.broken).collect::<Vec<_>>()
    };
    let again = [(Stop, 80, Some(81)), (Start, 90, Some(91))];
    assert_eq!(refused(&again, "suppressed"), [Broken::RefusedAlthoughOptedIn]);
    assert_eq!(refused(&again, "windowClosed"), []);
    assert_eq!(refused(&again[..1], "suppressed"), []);
    assert_eq!(refused(&[again[0], again[1], (Stop, 100, None)], "suppressed"), []);
    assert_eq!(refused(&[(Stop, 80, None), again[1]], "suppressed"), [], "the opt-out may have come after it");
    let mut ignored = keywords(&again);
    ignored[1].changed_at = None;
    let mut logs = Logs { asked: well().asked, keywords: ignored, ..Logs::default() };
    logs.asked[0].answers = vec![Answer { words: "\"suppressed\"".into(), at: at(101), ..answered(422, None) }];
    assert_eq!(judge(&logs), [], "it changed nothing, as far as anybody was told");
}

#[test]
fn a_change_that_nobody_asked_for_or_that_is_told_twice_is_found() {
    let told = |kinds: &[(&str, &str)]| {
        broken_by(|logs| {
            logs.keywords = keywords(&[(OptChange::Stop, 200, Some(201))]);
            logs.received.extend(kinds.iter().map(|(id, kind)| event(id, kind, CUSTOMER, "SMk0")));
        })
    };
    assert_eq!(told(&[("evt_7", "opted-out"), ("evt_7", "opted-out")]), []);
    assert_eq!(told(&[("evt_7", "opted-out"), ("evt_8", "opted-out")]), [Broken::PublishedUnderSeveralIds]);
    assert_eq!(told(&[("evt_7", "opted-in")]), [Broken::PublishedButNeverHappened]);
    let nobody = broken_by(|logs| logs.received.push(event("evt_7", "opted-out", CUSTOMER, "SM9")));
    assert_eq!(nobody, [Broken::PublishedButNeverHappened]);
}
