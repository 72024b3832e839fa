//! Why a message is not sent, for machines and for people.

use std::fmt;

use crate::lifecycle::MessageStatus;

/// A refusal by policy: one thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}; expected {expected}")]
pub struct Refusal {
    pub code: RefusalCode,
    /// JSON pointer (RFC 6901) into the body of `POST /v1/messages`.
    pub pointer: String,
    /// What was wrong: a lower-case sentence.
    pub detail: String,
    /// What would be right; completes "expected …".
    pub expected: String,
}

impl Refusal {
    pub fn new(
        code: RefusalCode,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { code, pointer: pointer.into(), detail: detail.into(), expected: expected.into() }
    }

    /// The status of a message that was accepted and is refused later.
    pub fn status(&self) -> MessageStatus {
        self.code.status()
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $status:ident,)*) => {
        /// What a program may match on. The codes are part of the API and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)*
        }

        impl RefusalCode {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The status of a message that is refused with this code.
            pub fn status(self) -> MessageStatus {
                match self {
                    $(Self::$name => MessageStatus::$status,)*
                }
            }
        }
    };
}
codes! {
    /// The contact is on the sender's suppression list.
    Suppressed = "suppressed" => Suppressed,
    /// The sender needs recorded consent, and there is none.
    ConsentRequired = "consent_required" => Rejected,
    /// The recorded consent is older than the sender allows.
    ConsentStale = "consent_stale" => Rejected,
    /// The contact revoked the consent.
    ConsentRevoked = "consent_revoked" => Suppressed,
    /// Free-form content outside the 24-hour window.
    WindowClosed = "window_closed" => Rejected,
    TextEmpty = "text_empty" => Rejected,
    /// The text is longer than the provider accepts.
    TextTooLong = "text_too_long" => Rejected,
    TemplateUnknown = "template_unknown" => Rejected,
    /// The template has none of the acceptable languages.
    TemplateUnknownLanguage = "template_unknown_language" => Rejected,
    /// The template is not at the sender's provider account.
    TemplateUnknownAtAccount = "template_unknown_at_account" => Rejected,
    TemplateNotApproved = "template_not_approved" => Rejected,
    TemplatePaused = "template_paused" => Rejected,
    TemplateDisabled = "template_disabled" => Rejected,
    TemplateValuesMissing = "template_values_missing" => Rejected,
    /// Values that the template has no variable for.
    TemplateValuesUnknown = "template_values_unknown" => Rejected,
    /// A value that WhatsApp does not accept.
    TemplateValueInvalid = "template_value_invalid" => Rejected,
    /// The text is too long with the values in place.
    TemplateTooLong = "template_too_long" => Rejected,
    /// Authentication templates go to phone numbers only.
    PhoneNumberRequired = "phone_number_required" => Rejected,
    /// The message's validity ends before it could leave.
    Expired = "expired" => Expired,
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
