//! Broken promises about what clients and customers may request: another attempt, a template, an opt-out.

use super::*;

/// The message may be sent again, and was, because the outcome of the first attempt stayed unknown.
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
fn a_message_may_be_at_the_provider_twice_only_if_that_was_requested_and_necessary() {
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
fn a_status_that_a_message_reaches_again_is_published_again() {
    let published = |times: usize| {
        broken_by(|logs| {
            resent(logs);
            let again = logs.stored[0].timeline[1..4].to_vec();
            logs.stored[0].timeline.splice(4..4, again);
            let event = |n| event(&format!("evt_1{n}"), "unconfirmed", "msg_1", "SM1");
            logs.received.splice(2..2, (1..times).map(event));
        })
    };
    assert_eq!(published(2), []);
    assert_eq!(published(3), [Broken::PublishedUnderSeveralIds]);
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
fn a_message_with_another_template_than_requested_is_found() {
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

/// The customer's keywords: the change, when it was sent, and when the application was seen to have received it.
fn keywords(story: &[(OptChange, i64, Option<i64>)]) -> Vec<Keyword> {
    let keyword = |(n, (change, written_at, heard_at)): (usize, &(OptChange, i64, Option<i64>))| Keyword {
        tenant: "shop".into(),
        person: CUSTOMER.into(),
        change: *change,
        sid: format!("SMk{n}"),
        written_at: at(*written_at),
        heard_at: heard_at.map(at),
        changed_at: heard_at.map(at),
    };
    story.iter().enumerate().map(keyword).collect()
}

#[test]
fn a_message_to_a_customer_who_had_opted_out_is_found() {
    use OptChange::{Start, Stop};
    // It was requested at 100 and accepted at 101.
    let with = |story: &[(OptChange, i64, Option<i64>)]| broken_by(|logs| logs.keywords = keywords(story));
    assert_eq!(with(&[(Stop, 90, Some(95))]), [Broken::SentAlthoughOptedOut]);
    assert_eq!(with(&[(Stop, 90, Some(95)), (Start, 102, Some(103))]), [Broken::SentAlthoughOptedOut]);
    assert_eq!(
        with(&[(Stop, 60, Some(61)), (Start, 70, Some(71)), (Stop, 90, Some(95))]),
        [Broken::SentAlthoughOptedOut]
    );

    assert_eq!(with(&[(Stop, 90, Some(100)), (Start, 101, None)]), [], "the opt-in may have come first");
    assert_eq!(with(&[(Stop, 90, Some(95)), (Start, 96, Some(98))]), [], "opted in again");
    assert_eq!(with(&[(Stop, 90, None)]), [], "it is unknown whether it arrived");
    assert_eq!(with(&[(Stop, 90, Some(101))]), [], "requested before, it may have been in flight");
    let overtaken = &[(Start, 80, Some(91)), (Stop, 90, Some(95))];
    assert_eq!(with(overtaken), [], "an earlier opt-in may have taken effect after it");
    let somebody_else = broken_by(|logs| {
        logs.keywords = keywords(&[(Stop, 90, Some(95))]);
        logs.keywords[0].person = "+447700900999".into();
    });
    assert_eq!(somebody_else, []);
    let another_address = broken_by(|logs| {
        logs.keywords = keywords(&[(Stop, 90, Some(95))]);
        logs.asked[0].to = "+447700900998".into();
    });
    assert_eq!(another_address, [Broken::SentAlthoughOptedOut], "of the same person");
}

#[test]
fn a_message_that_was_requested_before_an_opt_out_and_left_long_after_it_is_found() {
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
fn a_message_that_was_refused_because_of_a_reversed_opt_out_is_found() {
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
    assert_eq!(judge(&logs), [], "no application received a change");
}

#[test]
fn a_change_that_was_never_requested_or_is_published_twice_is_found() {
    let published = |kinds: &[(&str, &str)]| {
        broken_by(|logs| {
            logs.keywords = keywords(&[(OptChange::Stop, 200, Some(201))]);
            logs.received.extend(kinds.iter().map(|(id, kind)| event(id, kind, CUSTOMER, "SMk0")));
        })
    };
    assert_eq!(published(&[("evt_7", "opted-out"), ("evt_7", "opted-out")]), []);
    assert_eq!(published(&[("evt_7", "opted-out"), ("evt_8", "opted-out")]), [Broken::PublishedUnderSeveralIds]);
    assert_eq!(published(&[("evt_7", "opted-in")]), [Broken::PublishedButNeverHappened]);
    let nobody = broken_by(|logs| logs.received.push(event("evt_7", "opted-out", CUSTOMER, "SM9")));
    assert_eq!(nobody, [Broken::PublishedButNeverHappened]);
}
