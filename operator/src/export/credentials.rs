//! The account's credentials, from the variables that Twilio's own tools read. They are never flags, because other
//! users of the machine see those.

use messaging::config::{ProviderAccount, TwilioAccount};
use messaging::secret::Secret;

use super::Export;

const TOKEN: &str = "TWILIO_AUTH_TOKEN";
const KEY: &str = "TWILIO_API_KEY";
const KEY_SECRET: &str = "TWILIO_API_SECRET";

/// Which variable is missing or wrong. No value is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCredentials {
    #[error(
        "{TOKEN} is not set: set it to the account's auth token, or {KEY} and {KEY_SECRET} to an API key of the account"
    )]
    Missing,
    #[error("{set} is set and {unset} is not: an API key consists of both")]
    Half { set: &'static str, unset: &'static str },
    #[error("{0} has blanks or characters that no credential has")]
    Unprintable(&'static str),
    #[error("{KEY} is not the SID of an API key: expected SK and 32 hexadecimal digits")]
    NoKey,
}

/// What is given is not repeated: it may be a secret in the wrong place.
pub(super) fn account_sid(text: &str) -> Result<String, String> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.strip_prefix("AC").filter(|digits| digits.len() == 32 && digits.bytes().all(is_hex));
    digits.map(|_| text.to_owned()).ok_or_else(|| {
        "is not an account: expected AC and 32 lower-case hexadecimal digits, as Twilio writes them".to_owned()
    })
}

pub(super) fn of(
    options: &Export,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ProviderAccount, NoCredentials> {
    let value = |name: &'static str| -> Result<Option<String>, NoCredentials> {
        let value = environment(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        match value {
            Some(value) if !value.bytes().all(|byte| byte.is_ascii_graphic()) => Err(NoCredentials::Unprintable(name)),
            value => Ok(value),
        }
    };
    let (username, password) = match (value(KEY)?, value(KEY_SECRET)?) {
        (Some(key), Some(_)) if !key.starts_with("SK") => return Err(NoCredentials::NoKey),
        (Some(key), Some(secret)) => (key, secret),
        (Some(_), None) => return Err(NoCredentials::Half { set: KEY, unset: KEY_SECRET }),
        (None, Some(_)) => return Err(NoCredentials::Half { set: KEY_SECRET, unset: KEY }),
        (None, None) => (options.account.clone(), value(TOKEN)?.ok_or(NoCredentials::Missing)?),
    };
    Ok(ProviderAccount::Twilio(TwilioAccount {
        account_sid: options.account.clone(),
        username,
        password: Secret::new(password),
        webhook_keys: Vec::new(),
        messaging_service_sid: None,
        base_url: options.twilio_base_url.clone(),
    }))
}
