//! The statuses of a message, and their order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a message. The variants are in the order of the lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Accepted from the tenant and stored; waiting for its time, its turn, or another attempt.
    Queued,
    /// An attempt has been handed to the provider and is not settled.
    Submitted,
    /// An attempt's outcome is unknown. No other call is made until it is settled.
    Unconfirmed,
    /// The provider accepted it.
    Accepted,
    /// The provider passed it on to WhatsApp.
    Sent,
    /// Canceled by the tenant before it was handed over.
    Canceled,
    /// Its validity ended before it could be handed over.
    Expired,
    /// Not sent: the recipient opted out, or cannot be reached.
    Suppressed,
    /// Not sent: policy or the provider forbade it, and trying again would not help.
    Rejected,
    /// It was handed over and not delivered, or every safe attempt was used up.
    Failed,
    /// On the recipient's device.
    Delivered,
    /// Opened by the recipient.
    Read,
}

impl MessageStatus {
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Submitted,
        Self::Unconfirmed,
        Self::Accepted,
        Self::Sent,
        Self::Canceled,
        Self::Expired,
        Self::Suppressed,
        Self::Rejected,
        Self::Failed,
        Self::Delivered,
        Self::Read,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitted => "submitted",
            Self::Unconfirmed => "unconfirmed",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }

    /// Whether the message has ended. `delivered` may still become `read`, which refines it and is not a second end.
    pub fn is_terminal(self) -> bool {
        self >= Self::Canceled
    }

    /// Whether a message that had ended with this status, and now has `proven`, has been corrected: it had ended
    /// without arriving, and proof of something else came later. That a delivered message is read corrects nothing.
    pub fn is_corrected_by(self, proven: Self) -> bool {
        self.is_terminal() && self < Self::Delivered && proven > self
    }

    /// Merges evidence: the join of the lattice.
    #[must_use]
    pub fn merge(self, evidence: Self) -> Self {
        self.max(evidence)
    }
}

impl fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MessageStatus {
    type Err = String;
    fn from_str(value: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.as_str() == value).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|s| s.as_str()).collect();
            format!("{value:?} is not a message status: expected one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::MessageStatus::{Canceled, Delivered, Expired, Failed, Read, Sent, Unconfirmed};

    #[test]
    fn only_an_end_without_arrival_can_be_corrected() {
        for (before, after, corrected) in [
            (Failed, Delivered, true),
            (Expired, Read, true),
            (Canceled, Failed, true),
            (Delivered, Read, false),
            (Unconfirmed, Failed, false),
            (Sent, Delivered, false),
            (Failed, Failed, false),
        ] {
            assert_eq!(before.is_corrected_by(after), corrected, "{before} {after}");
        }
    }
}
