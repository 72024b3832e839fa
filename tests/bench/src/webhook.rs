//! Inbound webhooks as bytes on the wire: distinct, correctly signed, of a typical size, and prepared before the
//! clock starts.

use std::collections::BTreeMap;

use anyhow::Result;
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::load::Requests;
use crate::tenant::{ACCOUNT, AUTH_TOKEN, NUMBER, PUBLIC_URL};

/// The data plane's path for them.
pub(crate) const DATA_PLANE_PATH: &str = "/webhooks/shop/support/twilio/inbound";
/// The Express handler's path for them.
pub(crate) const EXPRESS_PATH: &str = "/twilio/inbound";

/// `count` webhooks for one path, numbered from `first`. Ranges that do not overlap have no id in common.
pub(crate) fn requests(path: &str, first: usize, count: usize) -> Result<Requests> {
    let mut requests = Requests::default();
    for n in first..first + count {
        requests.push(&request(path, n)?);
    }
    Ok(requests)
}

fn request(path: &str, n: usize) -> Result<Vec<u8>> {
    let from = format!("+44770{n:07}");
    let sid = format!("SM{n:032x}");
    let fields = BTreeMap::from([
        ("AccountSid", ACCOUNT.to_owned()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("Body", format!("Hello, I would like to know where my order {n} is. {}", "It was due yesterday. ".repeat(24))),
        ("ChannelMetadata", r#"{"type":"whatsapp","data":{"context":{"ProfileName":"Ava"}}}"#.to_owned()),
        ("From", format!("whatsapp:{from}")),
        ("MessageSid", sid.clone()),
        ("MessageType", "text".to_owned()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", "1".to_owned()),
        ("ProfileName", "Ava".to_owned()),
        ("SmsMessageSid", sid.clone()),
        ("SmsSid", sid),
        ("SmsStatus", "received".to_owned()),
        ("To", format!("whatsapp:{NUMBER}")),
        ("WaId", from[1..].to_owned()),
    ]);
    let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes())?;
    mac.update(format!("{PUBLIC_URL}{path}").as_bytes());
    for (key, value) in &fields {
        mac.update(key.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: whatsapp.example.com\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         x-twilio-signature: {signature}\r\ni-twilio-idempotency-token: {n:036}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), body.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_has_the_usual_size_and_an_id_of_its_own() {
        let text = |n| String::from_utf8(request(DATA_PLANE_PATH, n).unwrap()).unwrap();
        let body = text(7).split_once("\r\n\r\n").unwrap().1.len();
        assert!((1060..1080).contains(&body), "{body} bytes");
        assert!(text(7).contains(&format!("content-length: {body}\r\n")), "{}", text(7));
        assert!(
            text(7).contains("SM00000000000000000000000000000007")
                && !text(8).contains("SM00000000000000000000000000000007")
        );
    }

    #[test]
    fn the_signature_is_over_the_path_that_is_called() {
        let signature = |path| {
            let text = String::from_utf8(request(path, 1).unwrap()).unwrap();
            text.lines().find_map(|l| l.strip_prefix("x-twilio-signature: ").map(str::to_owned)).unwrap()
        };
        assert_ne!(signature(DATA_PLANE_PATH), signature(EXPRESS_PATH));
    }
}
