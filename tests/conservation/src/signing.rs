//! Webhooks that are signed and sent here rather than by the sandbox, so that the response to each request is known.

use std::collections::BTreeMap;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A request to a replica's webhook listener.
#[derive(Debug, Clone)]
pub struct Signed {
    pub path: String,
    pub signature: String,
    pub body: String,
}

/// A customer's message as Twilio reports it, signed over the URL that Twilio is configured to call.
pub fn inbound(
    public_url: &str,
    path: &str,
    auth_token: &str,
    fields: &BTreeMap<&'static str, String>,
) -> Result<Signed> {
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes())?;
    mac.update(format!("{public_url}{path}").as_bytes());
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = BASE64.encode(mac.finalize().into_bytes());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Ok(Signed { path: path.to_owned(), signature, body })
}

/// The fields of a text message.
pub fn text_fields(account: &str, sid: &str, from: &str, to: &str, text: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("AccountSid", account.to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("Body", text.to_owned()),
        ("From", format!("whatsapp:{from}")),
        ("MessageSid", sid.to_owned()),
        ("MessageType", "text".to_owned()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", "1".to_owned()),
        ("ProfileName", "Ava".to_owned()),
        ("SmsMessageSid", sid.to_owned()),
        ("SmsSid", sid.to_owned()),
        ("SmsStatus", "received".to_owned()),
        ("To", format!("whatsapp:{to}")),
        ("WaId", from.trim_start_matches('+').to_owned()),
    ])
}
