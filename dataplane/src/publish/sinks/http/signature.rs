//! Standard Webhooks signatures, version `v1`: HMAC-SHA256 over `{id}.{timestamp}.{body}`, base64.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use messaging::id::EventId;
use messaging::secret::Secret;
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// What the specification recommends, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a secret cannot sign, without the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: expected `{PREFIX}` and 24 to 64 bytes in base64")]
pub struct InvalidSigningSecret {
    problem: &'static str,
}

/// One key of a sink, ready to sign.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    pub fn parse(secret: &Secret) -> Result<Self, InvalidSigningSecret> {
        let invalid = |problem| InvalidSigningSecret { problem };
        let encoded = secret.expose().trim().strip_prefix(PREFIX).ok_or_else(|| invalid("the prefix is missing"))?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| invalid("it is not base64"))?;
        if !LENGTH.contains(&key.len()) {
            return Err(invalid("it has the wrong length"));
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|_| invalid("it has the wrong length"))
    }

    /// `v1,` and the signature.
    pub fn sign(&self, id: &EventId, at: Timestamp, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{}.", at.as_second()).as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: one signature per key, so that a receiver may hold either key during a rotation.
pub fn signatures(keys: &[SigningKey], id: &EventId, at: Timestamp, body: &[u8]) -> String {
    keys.iter().map(|key| key.sign(id, at, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn key(secret: &str) -> Result<SigningKey, InvalidSigningSecret> {
        SigningKey::parse(&Secret::new(secret))
    }

    fn event() -> (EventId, Timestamp, &'static [u8]) {
        let id = "evt_01890a5d4f7a7c3e8b2d112233445566".parse().unwrap();
        (id, Timestamp::from_second(1_614_265_330).unwrap(), br#"{"test": 2432232314}"#)
    }

    /// The expected values come from another implementation:
    /// `printf '%s' "$id.$timestamp.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64`.
    #[test]
    fn the_signature_is_what_an_independent_implementation_computes() {
        let (id, at, body) = event();
        assert_eq!(key(OLD).unwrap().sign(&id, at, body), "v1,pGX71f99h3Z7SzrNdst9Wg4X58H1oRsMS8r1rB4Tyho=");
    }

    #[test]
    fn each_key_signs_so_that_a_receiver_may_hold_either() {
        let (id, at, body) = event();
        let header = signatures(&[key(NEW).unwrap(), key(OLD).unwrap()], &id, at, body);
        assert_eq!(
            header,
            "v1,/LsmGwaVksBsqGPX26i1J1f8hWNPzkJHZzeazi9Zcao= v1,pGX71f99h3Z7SzrNdst9Wg4X58H1oRsMS8r1rB4Tyho="
        );
    }

    #[test]
    fn a_secret_that_cannot_sign_says_what_would_be_right_and_not_what_it_is() {
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***", "whsec_c2hvcnQ=", "whsec_"] {
            let error = key(bad).err().unwrap().to_string();
            assert!(error.ends_with("expected `whsec_` and 24 to 64 bytes in base64"), "{error}");
            assert!(!error.contains("MfKQ"), "{error}");
        }
    }
}
