//! The code that WhatsApp sends to a number, from the Secret where a person put it.

use crds::WhatsAppSender;
use hmac::{Hmac, KeyInit as _, Mac as _};
use kube::ResourceExt as _;
use messaging::secret::Secret;
use sha2::Sha256;

use super::plan::Code;
use crate::reconcile::error::Failure;
use crate::sender::dereference::ReadSecrets;
use crate::sender::provider::Registration;

/// WhatsApp's codes are 6 digits, which people also write with a hyphen or a space in between. (Meta docs, verifying a
/// phone number.)
const DIGITS: usize = 6;
/// How much of a digest is kept.
const DIGEST_BYTES: usize = 8;

/// Reads the Secret. `keys` are those of the account's webhooks.
pub(super) async fn read(
    sender: &WhatsAppSender,
    wanted: &Registration,
    keys: &[Secret],
    secrets: &dyn ReadSecrets,
) -> Result<(Code, Option<Secret>), Failure> {
    let Some(named) = &wanted.code else { return Ok((Code::NotNamed, None)) };
    let contents = secrets.read(&sender.namespace().unwrap_or_default(), &named.name).await?;
    let value = contents.as_ref().and_then(|contents| contents.get(&named.key));
    let Some(value) = value.filter(|value| !value.expose().is_empty()) else { return Ok((Code::Missing, None)) };
    let Some(code) = understood(value.expose()) else { return Ok((Code::Malformed, None)) };
    let uid = sender.uid().unwrap_or_default();
    let digests = keys.iter().map(|key| digest(key, &uid, &code)).collect();
    Ok((Code::Given(digests), Some(code)))
}

fn understood(text: &str) -> Option<Secret> {
    let code: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let is_code = code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| Secret::new(code))
}

/// Tells a code from others. It is in the status, and a code has few digits, so whoever does not know the account's key
/// must not be able to find it by trying them all.
fn digest(key: &Secret, uid: &str, code: &Secret) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
        unreachable!("a key of any length will do")
    };
    mac.update(uid.as_bytes());
    mac.update(b"/");
    mac.update(code.expose().as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..DIGEST_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_a_code_however_they_are_grouped() {
        for text in ["123456", "123-456", "123 456", " 123-456"] {
            assert_eq!(understood(text).map(|code| code.expose().to_owned()).as_deref(), Some("123456"), "{text}");
        }
        for text in ["12345", "1234567", "12345a", "code: 123456", "١٢٣٤٥٦"] {
            assert_eq!(understood(text), None, "{text}");
        }
    }

    #[test]
    fn a_digest_depends_on_the_code_the_object_and_the_accounts_key() {
        let of = |key: &str, uid: &str, code: &str| digest(&Secret::new(key), uid, &Secret::new(code));
        let one = of("key", "uid", "123456");
        assert_eq!(one, of("key", "uid", "123456"));
        assert_eq!(one.len(), 16);
        for other in [of("key2", "uid", "123456"), of("key", "uid2", "123456"), of("key", "uid", "123457")] {
            assert_ne!(one, other);
        }
    }
}
