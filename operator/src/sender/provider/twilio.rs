//! Compiles a Twilio account from the spec and its Secret.

use crds::TwilioProvider;
use messaging::config::TwilioAccount;
use messaging::secret::Secret;
use url::Url;

use crate::sender::invalid::Invalid;
use crate::sender::secret::Contents;

/// The Secret's keys, in words for the person who creates it.
pub(super) const CREDENTIALS: &str = "the key authToken";

pub(super) fn account(
    twilio: &TwilioProvider,
    secret: &Contents,
    base_url: Option<&Url>,
) -> Result<TwilioAccount, Invalid> {
    let wrong =
        |what: &str| Invalid::Credentials { secret: twilio.credentials_secret_ref.name.clone(), what: what.to_owned() };
    let value = |key: &str| secret.get(key).filter(|value| !value.expose().is_empty());
    let token = value("authToken").ok_or_else(|| {
        wrong("has no authToken: it must hold the account's auth token, which verifies webhooks even when an API key makes the calls")
    })?;
    // A value must not break the header that carries it.
    let printable = |secret: &Secret| secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if !printable(token) {
        return Err(wrong("has an invalid authToken: expected 32 letters and digits"));
    }
    let (username, password) = match (value("apiKeySid"), value("apiKeySecret")) {
        (None, None) => (twilio.account_sid.clone(), token.clone()),
        (Some(sid), Some(_)) if !(sid.expose().starts_with("SK") && printable(sid)) => {
            return Err(wrong("has an invalid apiKeySid: expected SK and 32 hexadecimal digits"));
        }
        (Some(_), Some(key)) if !printable(key) => {
            return Err(wrong("has an invalid apiKeySecret: expected 32 letters and digits"));
        }
        (Some(sid), Some(key)) => (sid.expose().to_owned(), key.clone()),
        (Some(_), None) => {
            return Err(wrong("has an apiKeySid without an apiKeySecret: expected both, or neither"));
        }
        (None, Some(_)) => {
            return Err(wrong("has an apiKeySecret without an apiKeySid: expected both, or neither"));
        }
    };
    Ok(TwilioAccount {
        account_sid: twilio.account_sid.clone(),
        username,
        password,
        webhook_keys: vec![token.clone()],
        messaging_service_sid: twilio.messaging_service_sid.clone(),
        base_url: base_url.cloned(),
    })
}
