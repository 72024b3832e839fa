//! A provider's documented limits.

use crate::rate::Rate;

/// The limits of one provider, which are the same for every account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Characters of a free-form text.
    pub text: usize,
    /// All senders of an account combined.
    pub account: Rate,
    /// From one sender to one recipient.
    pub pair: Rate,
    /// Whether a message can quote the one that it answers.
    pub quotes: bool,
}
