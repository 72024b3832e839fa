//! Finds the sender that a webhook of the log belongs to today. It may not have been configured when the webhook came.

use messaging::address::Address;
use messaging::provider::{InboundMessage, WebhookEvent};

use crate::config::{Sender, Tenant};

/// The sender of the same account whose number a customer wrote to; else the sender under which the webhook was
/// recorded.
pub(super) fn addressee<'a>(tenant: &'a Tenant, recorded: Sender<'a>, events: &[WebhookEvent]) -> Sender<'a> {
    let written_to = events.iter().find_map(|event| match event {
        WebhookEvent::Inbound(InboundMessage { to: Some(Address::Phone(number)), .. }) => Some(number),
        _ => None,
    });
    let is_meant = |sender: &Sender<'_>| {
        Some(&sender.config.phone_number) == written_to
            && sender.config.provider.account_key() == recorded.config.provider.account_key()
    };
    if is_meant(&recorded) { recorded } else { tenant.senders().find(is_meant).unwrap_or(recorded) }
}
