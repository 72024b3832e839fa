//! `X-Twilio-Signature`: proves that a webhook comes from Twilio, for this account.
//!
//! Twilio signs the URL that it calls, followed by every field of the form, keys sorted, values sorted and without
//! repetitions. For a body that is not a form, it puts the SHA-256 into the URL (`bodySHA256`). (Twilio docs, webhook
//! security; its SDKs for Node, Python, Go and Java.)
//!
//! A signature has neither a time nor a nonce. So a captured request stays valid forever, and events must be
//! deduplicated when they are applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac};
use messaging::provider::webhook::{WebhookRejected, WebhookRequest};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::candidates::any_spelling;
use super::form::{Form, SortedForm};

const HEADER: &str = "x-twilio-signature";
/// In bytes; more than a SHA-256 digest.
const LONGEST_SIGNATURE: usize = 48;

/// How a key signs. It is configured with the key: a request that could name the algorithm would choose the weaker one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// With the account's auth token.
    HmacSha1,
    /// With a shared key, a beta of 2026.
    HmacSha256,
}

/// A key that webhooks may be signed with, prepared for use.
#[derive(Clone)]
pub struct SigningKey(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

impl SigningKey {
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        Self(match algorithm {
            Algorithm::HmacSha1 => Keyed::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::HmacSha256 => Keyed::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        })
    }

    fn signs(&self, url: &[&str], fields: &[u8], signature: &[u8]) -> bool {
        fn tag<M: Mac>(mut mac: M, url: &[&str], fields: &[u8], signature: &[u8]) -> bool {
            for piece in url {
                mac.update(piece.as_bytes());
            }
            mac.update(fields);
            mac.finalize().into_bytes().ct_eq(signature).into()
        }
        match &self.0 {
            Keyed::Sha1(mac) => tag(mac.clone(), url, fields, signature),
            Keyed::Sha256(mac) => tag(mac.clone(), url, fields, signature),
        }
    }
}

/// Checks a webhook against every key and every spelling of the URL that Twilio may have signed.
///
/// Use it on the body as it arrived, before anything has read or rewritten it. A body larger than 256 KiB, or with
/// more than 1,000 fields, is rejected unread.
#[cfg(test)]
pub(crate) fn verify(keys: &[SigningKey], webhook: &WebhookRequest<'_>) -> Result<(), WebhookRejected> {
    signed_form(keys, webhook).map(drop)
}

/// The index of the key that signed the webhook, and the form that the signature covers, so that it need not be read
/// again. There is no form where the body's hash is signed instead.
pub(crate) fn signed_form(
    keys: &[SigningKey],
    webhook: &WebhookRequest<'_>,
) -> Result<(usize, Option<SortedForm>), WebhookRejected> {
    if keys.is_empty() {
        return Err(WebhookRejected::NoKey);
    }
    let signature = webhook.headers.get(HEADER).ok_or(WebhookRejected::Unsigned { header: "X-Twilio-Signature" })?;
    // What does not fit is longer than any signature.
    let mut decoded = [0; LONGEST_SIGNATURE];
    let length = STANDARD.decode_slice(signature, &mut decoded).map_err(|_| WebhookRejected::WrongSignature)?;
    let signature = &decoded[..length];
    let form = match body_hash(webhook) {
        Some(hash) if is_hash_of(hash, webhook.body) => None,
        Some(_) => return Err(WebhookRejected::WrongSignature),
        // A body that is neither a form nor hashed becomes one long key here, so a signature of the URL alone does not
        // match.
        None => Some(Form::parse(webhook.body).map_err(|_| WebhookRejected::WrongSignature)?.sorted()),
    };
    let fields = form.as_ref().map(SortedForm::signed).unwrap_or_default();
    let mut signer = None;
    any_spelling(webhook.url, |url| {
        signer = keys.iter().position(|key| key.signs(url, &fields, signature));
        signer.is_some()
    });
    signer.map(|key| (key, form)).ok_or(WebhookRejected::WrongSignature)
}

/// The hash that the URL claims for the body, unless the body is a form, whose fields are signed themselves.
fn body_hash<'a>(webhook: &WebhookRequest<'a>) -> Option<&'a str> {
    let (_, query) = webhook.url.split_once('?')?;
    let hash = query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="))?;
    let form = "application/x-www-form-urlencoded";
    let is_form = webhook
        .headers
        .get("content-type")
        .and_then(|kind| kind.get(..form.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(form));
    (!is_form).then_some(hash)
}

fn is_hash_of(hash: &str, body: &[u8]) -> bool {
    let digest = Sha256::digest(body);
    let mut expected = [0; 64];
    hex::encode_to_slice(digest, &mut expected).is_ok() && expected[..].ct_eq(hash.as_bytes()).into()
}

#[cfg(test)]
mod tests;
