//! One entry point for each parser of untrusted input. The fuzz targets in `fuzz/` and this crate's property tests
//! share them, so both try the same: any bytes, and no panic.

use std::collections::BTreeMap;

use messaging::provider::WebhookEvent;
use messaging::provider::webhook::{Endpoint as _, WebhookRequest};

use crate::twilio;
use crate::twilio::webhook::TwilioEndpoint;
use crate::twilio::webhook::signature::{Algorithm, SigningKey};
use crate::twilio::webhook::translate::translate;
use crate::twilio::webhook::urls::Route;

/// A webhook's body, read as an inbound message, as a status, and as an entry of the log. Each gives one event, with
/// the same key for every delivery.
pub fn webhook(body: &[u8]) {
    let read: [&dyn Fn() -> WebhookEvent; 3] =
        [&|| translate(Route::Inbound, body), &|| translate(Route::Status { attempt: None }, body), &|| {
            twilio::inbound_log::read(body)
        }];
    for read in read {
        assert_eq!(read().dedupe_key(), read().dedupe_key());
    }
}

/// A called URL and a signature header. No bytes verify without the key.
pub fn signature(url: &str, header: &str, body: &[u8]) {
    let headers = BTreeMap::from([("x-twilio-signature".to_owned(), header.to_owned())]);
    let request = WebhookRequest { route: "inbound", method: "POST", url, headers: &headers, body };
    let key = SigningKey::new(Algorithm::HmacSha1, b"an unknown key");
    assert!(TwilioEndpoint { keys: vec![key] }.receive(&request).is_err());
}

/// The body of an error.
pub fn error_body(body: &[u8]) {
    drop(twilio::error_body::parse(body));
}

/// A page of a list. Whatever it links to, the next request stays on the host.
pub fn list_page(body: &[u8]) {
    let hosts = twilio::hosts::Hosts::new(None);
    if let Ok(page) = twilio::pages::parse(&hosts, body, "messages")
        && let Some(next) = page.next
    {
        let next = url::Url::parse(&hosts.url(twilio::hosts::Host::Api, &next));
        assert!(next.is_ok_and(|next| next.host_str() == Some("api.twilio.com")));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that look like a form reach deeper into the parser than random ones.
    fn form() -> impl Strategy<Value = Vec<u8>> {
        let key = prop_oneof![
            "(Message|Sms)(Sid|Status)|From|To|Body|NumMedia|MediaUrl[01]|MediaContentType0|Latitude|Longitude|Button(Text|Payload)|ExternalUserId|EventType|ErrorCode|MessageType",
            "[A-Z%+&=]{0,4}",
        ];
        let value = prop_oneof![
            "SM1|whatsapp:.{0,9}|whatsapp%3A%2B[0-9]{7,15}|read|failed|-?[0-9]{1,3}(\\.[0-9])?|NaN|%[0-9a-f]{2}",
            ".{0,8}"
        ];
        proptest::collection::vec((key, value).prop_map(|(key, value)| format!("{key}={value}")), 0..12)
            .prop_map(|pairs| pairs.join("&").into_bytes())
    }

    /// Bytes that look like an entry of the log.
    fn entry() -> impl Strategy<Value = Vec<u8>> {
        let key = prop_oneof!["sid|from|to|body|num_media|direction|media|date_created", "[a-z]{0,4}"];
        let value = prop_oneof![
            "\"(SM1|inbound|whatsapp:\\+[0-9]{7,15}|[0-9]|[a-z ]{0,8})\"",
            "null|true|-?[0-9]{1,3}|\\[\\]|\\{\\}|\\[\\{\"url\":\"u\"\\}\\]"
        ];
        proptest::collection::vec((key, value).prop_map(|(key, value)| format!("\"{key}\":{value}")), 0..9)
            .prop_map(|members| format!("{{{}}}", members.join(",")).into_bytes())
    }

    proptest! {
        #[test]
        fn any_webhook_is_one_event(bytes in prop_oneof![form(), entry(), any::<Vec<u8>>()]) {
            webhook(&bytes);
        }

        #[test]
        fn no_bytes_verify_without_the_key(url in "(https?://[a-z@:\\[\\].0-9]{0,12}/?)?.{0,20}", header in ".{0,40}", body in any::<Vec<u8>>()) {
            signature(&url, &header, &body);
        }

        #[test]
        fn any_error_body_is_read(bytes in prop_oneof!["\\{\"(code|message|title|detail|errors)\": ?(1|\"x\"|\\[.{0,9}\\])\\}".prop_map(String::into_bytes), any::<Vec<u8>>()]) {
            error_body(&bytes);
        }

        #[test]
        fn any_page_stays_on_its_host(link in ".{0,40}", bytes in any::<Vec<u8>>()) {
            list_page(&bytes);
            list_page(serde_json::json!({"messages": [], "next_page_uri": link}).to_string().as_bytes());
            list_page(serde_json::json!({"messages": [], "meta": {"next_page_url": format!("https://{link}")}}).to_string().as_bytes());
        }
    }
}
