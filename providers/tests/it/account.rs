//! A test account, and an adapter for it.

use std::time::Duration;

use messaging::config::TwilioAccount;
use messaging::id::AttemptId;
use messaging::provider::{OutboundMessage, RenderedContent};
use messaging::secret::Secret;
use providers::HttpSettings;
use providers::twilio::Twilio;
use url::Url;

pub(crate) const PASSWORD: &str = "abcdef0123456789abcdef0123456789";

pub(crate) fn twilio_at(base_url: &str) -> Twilio {
    adapter(base_url, HttpSettings::default())
}

/// An adapter with short time-outs, for peers that never answer.
pub(crate) fn impatient_twilio_at(base_url: &str) -> Twilio {
    let (connect_timeout, timeout) = (Duration::from_millis(500), Duration::from_millis(1500));
    adapter(base_url, HttpSettings { connect_timeout, timeout, ..HttpSettings::default() })
}

fn adapter(base_url: &str, settings: HttpSettings) -> Twilio {
    let http = providers::http_client(settings).expect("a client");
    let account_sid = format!("AC{}", "0".repeat(32));
    Twilio::new(
        &TwilioAccount {
            username: account_sid.clone(),
            account_sid,
            password: Secret::new(PASSWORD),
            webhook_keys: vec![Secret::new(PASSWORD)],
            messaging_service_sid: None,
            base_url: Some(Url::parse(base_url).expect("a URL")),
        },
        &http,
    )
}

pub(crate) fn text() -> OutboundMessage {
    OutboundMessage {
        attempt: AttemptId::new(jiff::Timestamp::UNIX_EPOCH, &[7; 10]),
        from: "+14155238886".parse().expect("a number"),
        via: None,
        to: "+447700900123".parse().expect("an address"),
        content: RenderedContent::Text { body: "hello".into() },
        status_callback: None,
        validity: None,
        reply_to: None,
    }
}
