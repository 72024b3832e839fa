//! What the provider's own log says about an attempt whose outcome is unknown: whether one of its messages is ours.
//!
//! The log carries nothing of ours, so a message is recognised by what it says and when. That is why only a single
//! candidate settles anything, and two settle nothing: a wrong guess would report one message's fate as another's.

use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::provider::{Direction, ProviderMessage};

/// The provider's dates are whole seconds, and its clock is not ours.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_secs(5);
/// A call is given up long before this, so what the provider created later came of another call.
const CREATED_WITHIN: SignedDuration = SignedDuration::from_mins(3);

/// The attempt, as far as the log can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) to: Address,
    /// `None` when a Messaging Service picked the sender.
    pub(super) from: Option<Address>,
    /// Free-form text, which the log repeats; `None` for templates and media, whose text the provider composes.
    pub(super) body: Option<String>,
    /// When the call began.
    pub(super) started_at: Timestamp,
}

impl Trace {
    /// From when on the log is worth reading.
    pub(super) fn since(&self) -> Timestamp {
        self.started_at - CLOCKS_DIFFER_BY
    }

    fn fits(&self, message: &ProviderMessage) -> bool {
        let in_time = message.created_at.is_some_and(|at| at >= self.since() && at <= self.started_at + CREATED_WITHIN);
        // The provider leaves `from` empty until a sender is picked.
        let from_fits = match (&self.from, &message.from) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let body_fits = self.body.as_ref().is_none_or(|body| message.body.as_deref() == Some(body));
        message.direction == Direction::Outbound
            && message.to.as_ref() == Some(&self.to)
            && from_fits
            && body_fits
            && in_time
    }

    /// The messages of the log that may be this attempt's, without those that belong to another.
    pub(super) fn candidates<'a>(
        &self,
        log: &'a [ProviderMessage],
        belongs_to_another: impl Fn(&str) -> bool,
    ) -> Vec<&'a ProviderMessage> {
        log.iter().filter(|m| self.fits(m) && !belongs_to_another(&m.provider_message_id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use messaging::lifecycle::MessageStatus;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn trace() -> Trace {
        Trace {
            to: "+447700900123".parse().unwrap(),
            from: Some("+14155238886".parse().unwrap()),
            body: Some("hello".into()),
            started_at: at(0),
        }
    }

    fn logged(id: &str) -> ProviderMessage {
        ProviderMessage {
            provider_message_id: id.into(),
            direction: Direction::Outbound,
            from: Some("+14155238886".parse().unwrap()),
            to: Some("+447700900123".parse().unwrap()),
            body: Some("hello".into()),
            files: None,
            status: MessageStatus::Sent,
            failure: None,
            created_at: Some(at(1)),
        }
    }

    fn found(log: &[ProviderMessage]) -> Vec<String> {
        trace().candidates(log, |id| id == "SM-other").iter().map(|m| m.provider_message_id.clone()).collect()
    }

    #[test]
    fn only_a_message_that_fits_in_everything_is_a_candidate() {
        assert_eq!(found(&[logged("SM1")]), ["SM1"]);
        assert_eq!(found(&[ProviderMessage { from: None, ..logged("SM1") }]), ["SM1"], "no sender picked yet");
        for foreign in [
            ProviderMessage { direction: Direction::Inbound, ..logged("SM1") },
            ProviderMessage { to: Some("+447700900124".parse().unwrap()), ..logged("SM1") },
            ProviderMessage { from: Some("+14155238887".parse().unwrap()), ..logged("SM1") },
            ProviderMessage { body: Some("hello!".into()), ..logged("SM1") },
            ProviderMessage { created_at: Some(at(-60)), ..logged("SM1") },
            ProviderMessage { created_at: Some(at(3600)), ..logged("SM1") },
            ProviderMessage { created_at: None, ..logged("SM1") },
            logged("SM-other"),
        ] {
            assert!(found(std::slice::from_ref(&foreign)).is_empty(), "{foreign:?}");
        }
    }

    #[test]
    fn two_candidates_are_both_shown_so_that_neither_is_guessed() {
        assert_eq!(found(&[logged("SM1"), logged("SM2"), logged("SM-other")]), ["SM1", "SM2"]);
    }
}
