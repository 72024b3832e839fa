//! Status callbacks: where they go and what they carry.

use http::Method;

use super::webhooks::{self, Outgoing};
use crate::{
    address,
    twilio::{
        desk::Desk,
        state::messages::{Message, Status, error_message},
    },
    types::WebhookKind,
    world::webhooks::About,
};

/// Sends a message's current status to its callback URL, if it has one.
pub(crate) fn report(desk: &mut Desk<'_>, sid: &str) {
    let Some(message) = desk.state.messages.get(sid) else { return };
    let sender = message.from.as_deref().and_then(|from| desk.state.sender_at(&message.account, from));
    let url = message
        .status_callback
        .clone()
        .or_else(|| desk.state.services.get(message.service.as_deref()?)?.status_callback.clone())
        .or_else(|| sender?.webhook_text("status_callback_url"));
    let Some(url) = url else { return };
    let form = form(message, sender.map(|sender| sender.sid.as_str()));
    let about = About {
        kind: WebhookKind::Status,
        account: message.account.clone(),
        message_sid: message.sid.clone(),
        message_status: message.status.as_str().to_owned(),
        to: message.to.clone(),
    };
    webhooks::send(desk, Outgoing { about, method: Method::POST, url, form, fallback: None });
}

/// The form fields, in the order of observed callbacks.
fn form(message: &Message, channel_install_sid: Option<&str>) -> Vec<(String, String)> {
    let status = message.status.as_str();
    let mut form: Vec<(&str, String)> = Vec::with_capacity(16);
    if let (Some(sid), true) = (channel_install_sid, address::is_whatsapp(&message.to)) {
        form.push(("ChannelPrefix", "whatsapp".to_owned()));
        form.push(("ChannelInstallSid", sid.to_owned()));
        form.push(("ChannelToAddress", address::masked(&message.to)));
        form.push(("StructuredMessage", message.content.is_some().to_string()));
    }
    form.push(("SmsSid", message.sid.clone()));
    form.push(("SmsStatus", status.to_owned()));
    form.push(("MessageStatus", status.to_owned()));
    form.push(("To", message.to.clone()));
    if let Some(service) = &message.service {
        form.push(("MessagingServiceSid", service.clone()));
    }
    form.push(("MessageSid", message.sid.clone()));
    form.push(("AccountSid", message.account.clone()));
    if let Some(from) = &message.from {
        form.push(("From", from.clone()));
    }
    form.push(("ApiVersion", "2010-04-01".to_owned()));
    if let Some(code) = message.error_code {
        form.push(("ErrorCode", code.to_string()));
        form.push(("ErrorMessage", error_message(code).to_owned()));
        if channel_install_sid.is_some() {
            form.push(("ChannelStatusMessage", format!("Channel error: {}", error_message(code))));
        }
    }
    if message.status == Status::Read {
        form.push(("EventType", "READ".to_owned()));
    }
    form.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
