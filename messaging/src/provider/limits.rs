//! What a provider allows, before anything is asked of it.

use crate::rate::Rate;

/// The limits of one provider. They are the provider's own, so they hold for every account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Characters of a free-form text.
    pub text: usize,
    /// All senders of an account together.
    pub account: Rate,
    /// One sender to one recipient.
    pub pair: Rate,
}
