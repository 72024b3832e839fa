//! The 24-hour window: how long after a customer's message free text is allowed.
//!
//! The window opens with each message that the customer sends, and closes exactly 24 hours after the last of them.
//! Outside it WhatsApp accepts approved templates only (Twilio error 63016).

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;

/// How long a customer's message keeps the window open.
pub const LENGTH: Duration = Duration::from_secs(24 * 60 * 60);

/// The window between a sender and a contact at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The contact has never written to this sender.
    NeverOpened,
    Open {
        closes_at: Timestamp,
    },
    Closed {
        closed_at: Timestamp,
    },
}

impl Window {
    /// The window at `now`. At the exact closing time it is closed. A last message after `now`, from a clock that
    /// disagrees, opens it.
    pub fn at(last_inbound_at: Option<Timestamp>, now: Timestamp) -> Self {
        match last_inbound_at.map(|opened_at| after(opened_at, LENGTH)) {
            None => Self::NeverOpened,
            Some(closes_at) if now < closes_at => Self::Open { closes_at },
            Some(closed_at) => Self::Closed { closed_at },
        }
    }

    pub fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// When it closes, while it is open.
    pub fn closes_at(self) -> Option<Timestamp> {
        match self {
            Self::Open { closes_at } => Some(closes_at),
            Self::NeverOpened | Self::Closed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::clock::tests::at;

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn the_window_closes_exactly_24_hours_after_the_last_message() {
        let closes_at = at(DAY);
        assert_eq!(Window::at(Some(at(0)), at(0)), Window::Open { closes_at });
        let last_moment = closes_at.checked_sub(SignedDuration::from_nanos(1)).expect("in range");
        assert_eq!(Window::at(Some(at(0)), last_moment), Window::Open { closes_at });
        assert_eq!(Window::at(Some(at(0)), closes_at), Window::Closed { closed_at: closes_at });
        assert_eq!(Window::at(Some(at(0)), at(2 * DAY)), Window::Closed { closed_at: closes_at });
    }

    #[test]
    fn a_contact_who_never_wrote_has_no_window() {
        assert_eq!(Window::at(None, at(0)), Window::NeverOpened);
        assert!(!Window::at(None, at(0)).is_open());
    }

    #[test]
    fn a_message_from_a_clock_that_runs_ahead_opens_the_window() {
        assert_eq!(Window::at(Some(at(5)), at(0)).closes_at(), Some(at(DAY + 5)));
    }
}
