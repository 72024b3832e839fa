//! Twilio's own vectors, from the file that `TWILIO_SIGNATURE_VECTORS` names, and some of ours. Twilio's are not part
//! of this repository; without the variable their test proves nothing, and says so on stderr.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use messaging::provider::webhook::Endpoint as _;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::twilio::webhook::urls::Route;
use crate::twilio::webhook::{TwilioEndpoint, translate};

const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";

fn check(key: SigningKey, url: &str, content_type: &str, body: &[u8], signature: &str) -> Result<(), WebhookRejected> {
    let headers: BTreeMap<String, String> = [(HEADER, signature), ("content-type", content_type)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    verify(&[key], &WebhookRequest { route: "inbound", method: "POST", url, headers: &headers, body })
}

/// Twilio's signature, computed the simple way.
fn sign(token: &[u8], url: &str, body: &[u8]) -> String {
    let mut fields: Vec<_> =
        form_urlencoded::parse(body).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    fields.sort();
    fields.dedup();
    let data = fields.into_iter().fold(url.to_owned(), |data, (key, value)| data + &key + &value);
    let mut mac = Hmac::<Sha1>::new_from_slice(token).expect("any length");
    mac.update(data.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn sha1(token: &[u8]) -> SigningKey {
    SigningKey::new(Algorithm::HmacSha1, token)
}

const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const URL: &str = "https://hooks.example.com/webhooks/shop/support/twilio/inbound";
const BODY: &[u8] = b"To=whatsapp%3A%2B14155238886&From=whatsapp%3A%2B447700900123&Body=caf%C3%A9+%F0%9F%98%80&NumMedia=0&MessageSid=SM1&FromCity=&Zeta=1&From2=2";

/// Made once with `openssl dgst -sha1 -hmac`, so that a mistake shared by `sign` and `verify` would show.
#[test]
fn a_signature_made_by_another_program_is_accepted() {
    let url = "https://hooks.example.com/in?x=1";
    assert_eq!(
        check(sha1(b"token-of-this-test"), url, FORM, b"b=2&a=1&a=0&a=1", "4jOfF6C4jRl4m9bi69zXubizex0="),
        Ok(())
    );
    let shared = SigningKey::new(Algorithm::HmacSha256, b"token-of-this-test");
    assert_eq!(check(shared, url, FORM, b"b=2&a=1&a=0&a=1", "BGQJZzFgExZeiCAzgHYrijCeaQbkKximUHoED1RWQBQ="), Ok(()));
}

#[test]
fn every_vector_of_twilios_sdks_gets_its_verdict() {
    let Some(file) = std::env::var_os("TWILIO_SIGNATURE_VECTORS").map(PathBuf::from) else {
        // The harness captures what print macros write, and shows nothing of a test that passes.
        let skipped = "SKIPPED every_vector_of_twilios_sdks_gets_its_verdict: TWILIO_SIGNATURE_VECTORS names no file";
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{skipped}").expect("stderr is open");
        return;
    };
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let document: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let vectors = document["vectors"].as_array().expect("a list of vectors");
    assert!(!vectors.is_empty());
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap_or_default();
        let algorithm = if text("algorithm") == "HMAC_SHA256" { Algorithm::HmacSha256 } else { Algorithm::HmacSha1 };
        let key = SigningKey::new(algorithm, text("token").as_bytes());
        let (content_type, body) = if text("kind") == "json" {
            ("application/json", text("body").to_owned())
        } else {
            (FORM, encode(&vector["params"]))
        };
        let verdict = check(key, text("request_url"), content_type, body.as_bytes(), text("signature"));
        assert_eq!(verdict.is_ok(), vector["valid"].as_bool().expect("a verdict"), "{}", text("name"));
    }
    println!("{} vectors", vectors.len());
}

fn encode(params: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (key, value) in params.as_object().expect("fields") {
        for value in value.as_array().unwrap_or(&vec![value.clone()]) {
            form.append_pair(key, value.as_str().unwrap_or_default());
        }
    }
    form.finish()
}

#[test]
fn any_of_several_keys_may_sign_and_without_a_key_nothing_is_accepted() {
    let signature = sign(TOKEN, URL, BODY);
    let headers: BTreeMap<String, String> = [(HEADER.to_owned(), signature)].into();
    let request = WebhookRequest { route: "inbound", method: "POST", url: URL, headers: &headers, body: BODY };
    assert_eq!(verify(&[sha1(b"new token"), sha1(TOKEN)], &request), Ok(()));
    assert_eq!(verify(&[sha1(b"new token")], &request), Err(WebhookRejected::WrongSignature));
    assert_eq!(verify(&[], &request), Err(WebhookRejected::NoKey));
    let unsigned = WebhookRequest { headers: &BTreeMap::new(), ..request };
    assert_eq!(verify(&[sha1(TOKEN)], &unsigned), Err(WebhookRejected::Unsigned { header: "X-Twilio-Signature" }));
}

#[test]
fn the_algorithm_is_the_keys_own_whatever_the_request_says() {
    let headers: BTreeMap<String, String> = [
        (HEADER.to_owned(), sign(TOKEN, URL, BODY)),
        ("x-twilio-webhooks-signature-settings".to_owned(), "key=1,algorithm=HMAC_SHA1".to_owned()),
    ]
    .into();
    let request = WebhookRequest { route: "inbound", method: "POST", url: URL, headers: &headers, body: BODY };
    let key = SigningKey::new(Algorithm::HmacSha256, TOKEN);
    assert_eq!(verify(&[key], &request), Err(WebhookRejected::WrongSignature));
}

#[test]
fn what_is_received_is_what_would_be_verified_and_translated() {
    let json = br#"{"sid": "SM1"}"#;
    let hashed = format!("{URL}?bodySHA256={}", hex::encode(Sha256::digest(json)));
    for (url, body, signed) in [(URL, BODY, BODY), (URL, b"MessageSid=%FF", b"MessageSid=%FF"), (&hashed, json, b"")] {
        // The simple signer takes only UTF-8.
        let signature = if body.ends_with(b"%FF") {
            let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN).expect("any length");
            mac.update(url.as_bytes());
            mac.update(b"MessageSid\xff");
            STANDARD.encode(mac.finalize().into_bytes())
        } else {
            sign(TOKEN, url, signed)
        };
        let headers: BTreeMap<String, String> = [(HEADER.to_owned(), signature)].into();
        for (route, parsed) in [("inbound", Route::Inbound), ("status", Route::Status { attempt: None })] {
            let request = WebhookRequest { route, method: "POST", url, headers: &headers, body };
            let receive = |keys: Vec<SigningKey>| TwilioEndpoint { keys }.receive(&request);
            let received = receive(vec![sha1(b"other"), sha1(TOKEN)]).expect("signed");
            assert_eq!(received.key, 1);
            let [part] = received.parts.as_slice() else { panic!("{received:?}") };
            assert_eq!((part.body, part.events.as_slice()), (body, &[translate::translate(parsed, body)][..]));
            assert_eq!(receive(vec![sha1(b"other")]), Err(WebhookRejected::WrongSignature));
        }
    }
}

#[test]
fn a_body_that_is_neither_signed_nor_hashed_is_rejected() {
    let url_only = sign(TOKEN, URL, b"");
    assert_eq!(check(sha1(TOKEN), URL, FORM, b"", &url_only), Ok(()));
    for (content_type, body) in [("application/json", &b"{}"[..]), (FORM, b"Body=x"), ("", b"x"), ("text/xml", b"<a/>")]
    {
        assert_eq!(check(sha1(TOKEN), URL, content_type, body, &url_only), Err(WebhookRejected::WrongSignature));
    }
}

#[test]
fn a_hashed_body_must_have_its_hash_and_the_url_its_signature() {
    let body = br#"{"a": 1}"#;
    let url = format!("{URL}?bodySHA256={}", hex::encode(Sha256::digest(body)));
    let signature = sign(TOKEN, &url, b"");
    assert_eq!(check(sha1(TOKEN), &url, "application/json", body, &signature), Ok(()));
    assert_eq!(check(sha1(TOKEN), &url, "application/json", b"{}", &signature), Err(WebhookRejected::WrongSignature));
    let other = format!("{URL}?bodySHA256={}", hex::encode(Sha256::digest(b"{}")));
    assert_eq!(check(sha1(TOKEN), &other, "application/json", b"{}", &signature), Err(WebhookRejected::WrongSignature));
}

proptest! {
    #[test]
    fn a_right_signature_passes_and_any_change_breaks_it(
        fields in proptest::collection::vec(("[A-Za-z0-9 é]{1,8}", ".{0,12}"), 0..12),
        at in any::<proptest::sample::Index>(),
        flip in 0u8..8,
    ) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish().into_bytes();
        let signature = sign(TOKEN, URL, &body);
        prop_assert_eq!(check(sha1(TOKEN), URL, FORM, &body, &signature), Ok(()));

        let mut wrong = STANDARD.decode(&signature).expect("base64");
        let position = at.index(wrong.len());
        wrong[position] ^= 1 << flip;
        prop_assert_eq!(
            check(sha1(TOKEN), URL, FORM, &body, &STANDARD.encode(&wrong)),
            Err(WebhookRejected::WrongSignature)
        );
    }
}
