//! Decides, given the provider's answer, what to write about an unsettled message and what to stop. Pure.

use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;
use messaging::failure::{Stop, stop};
use messaging::lifecycle::MessageStatus;
use messaging::provider::ProviderMessage;

use super::DispatchOptions;
use super::evidence::Unclear;
use crate::metrics::Repair;
use crate::store::message::{OnUnconfirmed, Reason};
use crate::store::queue::Settlement;

/// How long after an attempt of unknown outcome the provider's log is first read. Its callback usually comes earlier.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(60);
/// The longest pause between two questions about one message.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 60 * 60);

/// A message whose end is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Awaited {
    pub(super) status: MessageStatus,
    pub(super) attempt_started_at: Timestamp,
    /// How often the provider was asked before.
    pub(super) asked: u32,
    /// What the tenant wants when it cannot be known whether the message was sent.
    pub(super) on_unconfirmed: OnUnconfirmed,
    /// How many attempts were started.
    pub(super) attempts: u32,
    pub(super) expires_at: Timestamp,
}

impl Awaited {
    /// Whether it may be sent once more instead of ending as failed.
    fn may_be_sent_again(&self, options: &DispatchOptions, now: Timestamp) -> bool {
        self.on_unconfirmed == OnUnconfirmed::Resend
            && self.attempts < options.most_attempts_to_resend
            && now < self.expires_at
    }
}

/// What the provider says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer<'a> {
    /// It has the message, found by its id or as the only one in the log that fits.
    Has(&'a ProviderMessage),
    /// Its log has no message that fits, or it does not know the id.
    HasNot,
    /// Its log does not decide it.
    Unclear(Unclear),
    /// It could not be asked.
    Silent(String),
    /// It keeps no log, so only a callback can settle the message.
    HasNoLog,
    /// It was not asked. It may be asked at this time.
    NotAsked { again_at: Timestamp },
}

/// What follows from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// What to write.
    pub(super) settlement: Settlement,
    /// What to count as repaired.
    pub(super) repair: Option<Repair>,
    /// What to stop once it is written: a failure found by asking counts as much as one that a callback reported.
    pub(super) stop: Option<Stop>,
}

pub(super) fn decide(awaited: Awaited, answer: &Answer<'_>, options: &DispatchOptions, now: Timestamp) -> Decision {
    let unconfirmed = awaited.status <= MessageStatus::Unconfirmed;
    let since = |pause: Duration| after(awaited.attempt_started_at, pause);
    let grace_over = now >= since(options.unconfirmed_grace);
    let deadline = since(if unconfirmed { options.retry.confirm_within } else { options.give_up_after });
    let failed = |text: String, repair| {
        let settlement = Settlement::Ended { status: MessageStatus::Failed, reason: Reason::new(None, text) };
        Decision { settlement, repair: Some(repair), stop: None }
    };
    // Without proof that it was sent, it ends as failed or is sent again, as the tenant chose.
    let unproven = |text: String, repair| {
        if !awaited.may_be_sent_again(options, now) {
            return failed(format!("unconfirmed: {text}"), repair);
        }
        let reason = Reason::new(None, format!("sent again, as onUnconfirmed asks: {text}"));
        Decision { settlement: Settlement::Resend { at: now, reason }, repair: Some(Repair::SentAgain), stop: None }
    };
    // No later than the next time at which the same answer may mean something else.
    let ask_again_at = || {
        let mut at = after(now, pause(awaited.asked, unconfirmed, options));
        if unconfirmed && !grace_over {
            at = at.min(since(options.unconfirmed_grace));
        }
        if now < deadline { at.min(deadline) } else { at }
    };
    let again = |at| Decision { settlement: Settlement::AskAgain { at }, repair: None, stop: None };

    match answer {
        Answer::Has(found) if now >= deadline && !unconfirmed && !found.status.is_terminal() => failed(
            format!(
                "no delivery report came within {} and the provider still says {}: the recipient may have blocked the sender or be offline",
                in_words(options.give_up_after),
                found.status
            ),
            Repair::DeadlinePassed,
        ),
        Answer::Has(found) => {
            let news = unconfirmed || found.status > awaited.status;
            let settlement = Settlement::Found {
                provider_message_id: found.provider_message_id.clone(),
                status: found.status,
                failure: found.failure.clone(),
                ask_at: ask_again_at(),
            };
            let stop = found
                .failure
                .as_ref()
                .filter(|_| news)
                .and_then(|failure| stop(failure.scope(), options.retry.sender_pause, now));
            Decision { settlement, repair: news.then_some(Repair::FoundInLog), stop }
        }
        Answer::HasNot if unconfirmed && grace_over => unproven(
            format!(
                "the provider's log has no such message {} after the attempt, so it was not sent",
                in_words(options.unconfirmed_grace)
            ),
            Repair::AbsentFromLog,
        ),
        Answer::Unclear(why) if now >= deadline => {
            unproven(format!("{why}, and no callback named the right one"), Repair::DeadlinePassed)
        }
        // A message that the provider accepted is not sent again: only its end is unknown.
        Answer::Silent(reason) if now >= deadline && !unconfirmed => failed(
            format!("unconfirmed: the provider could not be asked what became of it: {reason}"),
            Repair::DeadlinePassed,
        ),
        Answer::Silent(reason) if now >= deadline => {
            unproven(format!("the provider could not be asked what became of it: {reason}"), Repair::DeadlinePassed)
        }
        // A missing log proves nothing, so this never counts as "not sent" before the deadline, and a message that the
        // provider accepted is not sent again after it.
        Answer::HasNoLog if now >= deadline && unconfirmed => {
            unproven("the provider keeps no log to look in, and no callback came".to_owned(), Repair::DeadlinePassed)
        }
        Answer::HasNoLog if now >= deadline => failed(
            format!(
                "no delivery report came within {} and the provider keeps no log to look in",
                in_words(options.give_up_after)
            ),
            Repair::DeadlinePassed,
        ),
        Answer::HasNot if now >= deadline => failed(
            format!(
                "no delivery report came within {} and the provider no longer knows the message",
                in_words(options.give_up_after)
            ),
            Repair::DeadlinePassed,
        ),
        Answer::HasNot | Answer::Unclear(_) | Answer::Silent(_) | Answer::HasNoLog => again(ask_again_at()),
        // Also after the deadline: without a question there is no answer.
        Answer::NotAsked { again_at } => {
            Decision { settlement: Settlement::NotAsked { again_at: *again_at }, repair: None, stop: None }
        }
    }
}

/// The pause before the next question. It doubles with each question.
fn pause(asked: u32, unconfirmed: bool, options: &DispatchOptions) -> Duration {
    let first = if unconfirmed { FIRST_LOOK.min(options.unconfirmed_grace) } else { options.ask_accepted_after };
    first.saturating_mul(2_u32.saturating_pow(asked.min(20))).min(LONGEST_PAUSE)
}

fn in_words(duration: Duration) -> String {
    let span = jiff::SignedDuration::try_from(duration).unwrap_or_default();
    format!("{span:#}")
}

#[cfg(test)]
mod tests {
    use messaging::failure::{Failure, FailureClass};
    use messaging::provider::Direction;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn found(status: MessageStatus) -> ProviderMessage {
        ProviderMessage {
            provider_message_id: "SM1".into(),
            direction: Direction::Outbound,
            from: None,
            to: None,
            body: None,
            files: None,
            status,
            failure: None,
            created_at: None,
        }
    }

    fn awaited(status: MessageStatus) -> Awaited {
        Awaited {
            status,
            attempt_started_at: at(0),
            asked: 0,
            on_unconfirmed: OnUnconfirmed::Fail,
            attempts: 1,
            expires_at: at(86_400),
        }
    }

    fn settled(status: MessageStatus, answer: &Answer<'_>, now: i64) -> Decision {
        let awaited = awaited(status);
        decide(awaited, answer, &DispatchOptions::new("test"), at(now))
    }

    fn of(status: MessageStatus, answer: &Answer<'_>, now: i64) -> (Settlement, Option<Repair>) {
        let Decision { settlement, repair, stop } = settled(status, answer, now);
        assert_eq!(stop, None);
        (settlement, repair)
    }

    const UNCONFIRMED: MessageStatus = MessageStatus::Unconfirmed;

    #[test]
    fn an_unconfirmed_message_that_the_log_has_is_adopted_at_once() {
        let (settlement, repair) = of(UNCONFIRMED, &Answer::Has(&found(MessageStatus::Sent)), 60);
        let Settlement::Found { provider_message_id, status, .. } = settlement else { panic!("{settlement:?}") };
        assert_eq!((provider_message_id.as_str(), status), ("SM1", MessageStatus::Sent));
        assert_eq!(repair, Some(Repair::FoundInLog));
    }

    #[test]
    fn absence_counts_only_after_the_grace_and_never_becomes_a_second_send() {
        assert_eq!(of(UNCONFIRMED, &Answer::HasNot, 60), (Settlement::AskAgain { at: at(120) }, None));
        assert_eq!(of(UNCONFIRMED, &Answer::HasNot, 899), (Settlement::AskAgain { at: at(900) }, None));
        let (settlement, repair) = of(UNCONFIRMED, &Answer::HasNot, 900);
        let Settlement::Ended { status, reason } = settlement else { panic!("{settlement:?}") };
        assert_eq!((status, repair), (MessageStatus::Failed, Some(Repair::AbsentFromLog)));
        assert!(reason.text.starts_with("unconfirmed: "), "{}", reason.text);
    }

    #[test]
    fn an_unclear_log_and_a_silent_provider_are_waited_out_until_the_deadline() {
        for answer in [
            Answer::Unclear(Unclear::Several(2)),
            Answer::Unclear(Unclear::Claimed),
            Answer::Unclear(Unclear::OtherWords),
            Answer::Silent("503".into()),
        ] {
            assert!(
                matches!(of(UNCONFIRMED, &answer, 3599), (Settlement::AskAgain { at: again }, None) if again == at(3600))
            );
            let (settlement, repair) = of(UNCONFIRMED, &answer, 3600);
            assert!(matches!(settlement, Settlement::Ended { status: MessageStatus::Failed, .. }), "{settlement:?}");
            assert_eq!(repair, Some(Repair::DeadlinePassed));
        }
    }

    #[test]
    fn an_unproven_message_is_sent_again_if_its_tenant_asks_for_it() {
        let resend = Awaited { on_unconfirmed: OnUnconfirmed::Resend, ..awaited(UNCONFIRMED) };
        let unclear = Answer::Unclear(Unclear::Several(2));
        let silent = Answer::Silent("503".into());
        let of = |awaited: Awaited, answer: &Answer<'_>, now: i64| {
            decide(awaited, answer, &DispatchOptions::new("test"), at(now))
        };
        for (answer, then) in [(&Answer::HasNot, 900), (&unclear, 3600), (&silent, 3600)] {
            let before = of(resend, answer, then - 1).settlement;
            assert_eq!(before, Settlement::AskAgain { at: at(then) }, "not before proof could have come");
            let Decision { settlement, repair, stop } = of(resend, answer, then);
            let Settlement::Resend { at: when, reason } = settlement else { panic!("{settlement:?}") };
            assert_eq!((when, repair, stop), (at(then), Some(Repair::SentAgain), None));
            assert!(reason.text.starts_with("sent again, as onUnconfirmed asks: "), "{}", reason.text);

            let ends = [
                ("by default", awaited(UNCONFIRMED)),
                ("it has had enough attempts", Awaited { attempts: 8, ..resend }),
                ("its validity is over", Awaited { expires_at: at(then), ..resend }),
            ];
            for (why, awaited) in ends {
                let settlement = of(awaited, answer, then).settlement;
                let Settlement::Ended { status: MessageStatus::Failed, reason } = &settlement else {
                    panic!("{why}: {settlement:?}")
                };
                assert!(reason.text.starts_with("unconfirmed: "), "{why}: {}", reason.text);
            }
            let last = Awaited { attempts: 7, expires_at: at(then + 1), ..resend };
            assert!(matches!(of(last, answer, then).settlement, Settlement::Resend { .. }));
        }
    }

    #[test]
    fn what_the_provider_has_is_never_sent_again() {
        let resend = |status| Awaited { on_unconfirmed: OnUnconfirmed::Resend, ..awaited(status) };
        let found = found(MessageStatus::Sent);
        let answers = [Answer::Has(&found), Answer::HasNot, Answer::Silent("503".into())];
        for (status, answers) in [(UNCONFIRMED, &answers[..1]), (MessageStatus::Accepted, &answers[..])] {
            for answer in answers {
                for now in [60, 900, 3600, 9_000_000] {
                    let settled = decide(resend(status), answer, &DispatchOptions::new("test"), at(now));
                    let again = matches!(settled.settlement, Settlement::Resend { .. });
                    assert!(!again, "{status} {answer:?} {now}: {settled:?}");
                }
            }
        }
    }

    #[test]
    fn a_provider_without_a_log_never_proves_that_a_message_was_not_sent() {
        let resend = |status| Awaited { on_unconfirmed: OnUnconfirmed::Resend, ..awaited(status) };
        let of = |awaited, now| decide(awaited, &Answer::HasNoLog, &DispatchOptions::new("test"), at(now)).settlement;
        for now in [60, 900, 3599] {
            let settlement = of(resend(UNCONFIRMED), now);
            assert!(matches!(settlement, Settlement::AskAgain { .. }), "{now}: {settlement:?}");
        }
        assert!(
            matches!(of(resend(UNCONFIRMED), 3600), Settlement::Resend { .. }),
            "as its tenant asks, at the deadline"
        );
        assert!(matches!(of(awaited(UNCONFIRMED), 3600), Settlement::Ended { status: MessageStatus::Failed, .. }));
        for now in [60, 3600, 9_000_000] {
            let settlement = of(resend(MessageStatus::Accepted), now);
            assert!(!matches!(settlement, Settlement::Resend { .. }), "{now}: {settlement:?}");
        }
    }

    #[test]
    fn a_question_that_is_put_off_is_asked_later_and_no_deadline_ends_its_message() {
        for (status, now) in [(UNCONFIRMED, 60), (UNCONFIRMED, 90_000), (MessageStatus::Sent, 9_000_000)] {
            let again_at = at(now + 3);
            let answer = Answer::NotAsked { again_at };
            assert_eq!(of(status, &answer, now), (Settlement::NotAsked { again_at }, None));
        }
    }

    #[test]
    fn a_failure_that_only_the_log_reports_stops_what_it_affects() {
        let failed = |class| ProviderMessage {
            failure: Some(Failure::new(class, "locked").with_code("63051")),
            ..found(MessageStatus::Failed)
        };
        let stop = |status, class| settled(status, &Answer::Has(&failed(class)), 600).stop;
        let until = at(660);
        for status in [UNCONFIRMED, MessageStatus::Sent] {
            assert_eq!(stop(status, FailureClass::Sender), Some(Stop::Sender { until }));
            assert_eq!(stop(status, FailureClass::Template), Some(Stop::Template { until: at(600 + 3600) }));
            assert_eq!(stop(status, FailureClass::Request), None);
        }
        assert_eq!(stop(MessageStatus::Failed, FailureClass::Sender), None, "it was known, and has been heeded");
    }

    #[test]
    fn a_message_that_stays_sent_forever_ends_with_a_reason() {
        const WEEK: i64 = 7 * 24 * 3600;
        let sent = found(MessageStatus::Sent);
        let (settlement, repair) = of(MessageStatus::Sent, &Answer::Has(&sent), WEEK - 1);
        assert!(matches!(settlement, Settlement::Found { ask_at, .. } if ask_at == at(WEEK)), "{settlement:?}");
        assert_eq!(repair, None, "nothing was repaired: the provider says what was known");
        let (settlement, _) = of(MessageStatus::Sent, &Answer::Has(&sent), WEEK);
        let Settlement::Ended { status, reason } = settlement else { panic!("{settlement:?}") };
        assert_eq!(status, MessageStatus::Failed);
        assert!(reason.text.contains("still says sent"), "{}", reason.text);
    }
}
