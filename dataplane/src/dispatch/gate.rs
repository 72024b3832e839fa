//! Checks policy again at the moment of sending, because things may have changed since the message was accepted.

use jiff::Timestamp;
use messaging::config::TenantConfig;
use messaging::contact::ContactState;
use messaging::content::OutboundContent;
use messaging::id::AttemptId;
use messaging::lifecycle::MessageStatus;
use messaging::policy::{self, Permit, SendIntent};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{OutboundMessage, RenderedContent};
use messaging::window::Window;

use crate::config::{Sender, Tenant};
use crate::rules::validity;
use crate::store::message::{Message, Priority, Reason};

/// The status and reason of a message that may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forbidden {
    pub(super) status: MessageStatus,
    pub(super) reason: Reason,
}

/// Whether the message may be sent now, and with which content.
pub(super) fn judge(
    message: &Message,
    content: &OutboundContent,
    contact: &ContactState,
    tenant: &Tenant,
    sender: &Sender<'_>,
    now: Timestamp,
) -> Result<Permit, Forbidden> {
    let template = match content {
        OutboundContent::Template { name, .. } => tenant.config.templates.get(name),
        OutboundContent::Text { .. } | OutboundContent::Media { .. } => None,
    };
    let intent = SendIntent {
        to: &message.to,
        content,
        purpose: message.purpose,
        // Its time has come, or it would not have been claimed.
        not_before: None,
        expires_at: Some(validity::ends_at(message, &sender.config.validity)),
    };
    policy::check(&intent, contact, sender.config, sender.provider.limits(), template, now).map_err(|refusal| {
        Forbidden { status: refusal.status(), reason: Reason::new(Some(refusal.code.as_str()), refusal.to_string()) }
    })
}

/// Whether the message would start a conversation, and thus count against the sender's limit on them. An answer does
/// not, and a code that somebody waits for is worth the try.
pub(super) fn starts_conversation(message: &Message, permit: &Permit, contact: &ContactState, now: Timestamp) -> bool {
    matches!(permit.content, RenderedContent::Template { .. })
        && message.priority != Priority::Authentication
        && !Window::at(contact.last_inbound_at, now).is_open()
}

/// The call to make.
pub(super) fn compose(
    message: &Message,
    permit: Permit,
    attempt: AttemptId,
    tenant: &Tenant,
    sender: &Sender<'_>,
    now: Timestamp,
) -> OutboundMessage {
    let TenantConfig { tenant, public_base_url, .. } = &tenant.config;
    let home = WebhookHome { public_base_url, tenant, sender: sender.name };
    OutboundMessage {
        attempt,
        from: sender.config.phone_number.clone(),
        via: message.route.via.clone(),
        to: message.to.clone(),
        content: permit.content,
        status_callback: sender.provider.status_callback(&home, attempt),
        validity: validity::ends_at(message, &sender.config.validity).duration_since(now).try_into().ok(),
        reply_to: message.reply_to.as_ref().and_then(|reply_to| reply_to.quotes.clone()),
    }
}
