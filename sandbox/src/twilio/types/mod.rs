//! The control API's types for Twilio's state.

mod accounts;
mod messages;
mod senders;
mod templates;

pub use self::{
    accounts::{CreatedAccount, CreatedSender, NewAccount, NewSender, NewService, NewTryOut},
    messages::{MessageFilter, MessageRecord, StatusChange},
    senders::{OfflineReason, SenderChange},
    templates::{Decision, NewApproval, NewContent, ReviewRule},
};
