//! The control API's types for Twilio's state.

mod accounts;
mod alerts;
mod messages;
mod senders;
mod templates;
mod verifications;

pub use self::{
    accounts::{CreatedAccount, CreatedSender, NewAccount, NewSender, NewService, NewTryOut},
    alerts::{CreatedAlert, NewAlert},
    messages::{MessageFilter, MessageRecord, StatusChange},
    senders::{OfflineReason, SenderChange},
    templates::{Decision, NewApproval, NewContent, ReviewRule},
    verifications::{NewVerification, VerificationRecord},
};
