//! Compiles a Twilio account from the spec and its Secret.

use std::time::Duration;

use crds::{Email, TwilioProvider, VerificationMethod, Website};
use messaging::config::{ProviderAccount, TwilioAccount};
use messaging::provider::admin::{BusinessProfile, CodeBy, Labelled};
use messaging::secret::Secret;
use url::Url;

use super::{Next, Offered, Registration, TokenKeys};
use crate::sender::invalid::Invalid;
use crate::sender::secret::Contents;

/// The Secret's keys, in words for the person who creates it.
pub(super) const CREDENTIALS: &str = "the key authToken";

/// The account's auth token. It signs webhooks, also where an API key makes the calls.
const TOKEN: &str = "authToken";
/// The token that will replace it. Twilio accepts it in calls from its creation on, and signs with it once it is
/// promoted.
const SECONDARY_TOKEN: &str = "secondaryAuthToken";
pub(super) const TOKEN_KEYS: TokenKeys = TokenKeys { current: TOKEN, next: SECONDARY_TOKEN };
/// Twilio's Sandbox takes one message in 3 seconds. (Twilio's page on the Sandbox.)
pub(super) const SANDBOX_INTERVAL: Duration = Duration::from_secs(3);
const KEY_SID: &str = "apiKeySid";
const KEY_SECRET: &str = "apiKeySecret";

pub(super) fn offered(twilio: &TwilioProvider, secret: &Contents, base_url: Option<&Url>) -> Result<Offered, Invalid> {
    let wrong = |what: String| Invalid::Credentials { secret: twilio.credentials_secret_ref.name.clone(), what };
    let value = |key: &str| secret.get(key).filter(|value| !value.expose().is_empty());
    let token = value(TOKEN).ok_or_else(|| {
        wrong(format!("has no {TOKEN}: it must hold the account's auth token, which verifies webhooks even when an API key makes the calls"))
    })?;
    // A value must not break the header that carries it.
    let printable = |secret: &Secret| secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    let secondary = value(SECONDARY_TOKEN);
    for (key, token) in [(TOKEN, Some(token)), (SECONDARY_TOKEN, secondary)] {
        if !token.is_none_or(printable) {
            return Err(wrong(format!("has an invalid {key}: expected 32 letters and digits")));
        }
    }
    let key = match (value(KEY_SID), value(KEY_SECRET)) {
        (None, None) => None,
        (Some(sid), Some(_)) if !(sid.expose().starts_with("SK") && printable(sid)) => {
            return Err(wrong(format!("has an invalid {KEY_SID}: expected SK and 32 hexadecimal digits")));
        }
        (Some(_), Some(key)) if !printable(key) => {
            return Err(wrong(format!("has an invalid {KEY_SECRET}: expected 32 letters and digits")));
        }
        (Some(sid), Some(key)) => Some((sid.expose(), key)),
        (Some(_), None) => {
            return Err(wrong(format!("has an {KEY_SID} without an {KEY_SECRET}: expected both, or neither")));
        }
        (None, Some(_)) => {
            return Err(wrong(format!("has an {KEY_SECRET} without an {KEY_SID}: expected both, or neither")));
        }
    };
    let account = |(username, password): (&str, &Secret), webhook_keys: &[&Secret]| {
        ProviderAccount::Twilio(TwilioAccount {
            account_sid: twilio.account_sid.clone(),
            username: username.to_owned(),
            password: password.clone(),
            webhook_keys: webhook_keys.iter().map(|&key| key.clone()).collect(),
            messaging_service_sid: twilio.messaging_service_sid.clone(),
            base_url: base_url.cloned(),
        })
    };
    let sid = twilio.account_sid.as_str();
    let next = secondary.map(|secondary| Next {
        key: SECONDARY_TOKEN,
        probe: account((sid, secondary), &[]),
        if_accepted: account(key.unwrap_or((sid, secondary)), &[token, secondary]),
    });
    Ok(Offered { account: account(key.unwrap_or((sid, token)), &[token]), next })
}

pub(super) fn registration(spec: &crds::Registration) -> Registration {
    let crds::Registration { profile, waba_id, verification_method, verification_code_secret_ref } = spec;
    let crds::BusinessProfile { name, about, address, description, logo_url, vertical, websites, emails } =
        profile.clone();
    Registration {
        code_by: match verification_method {
            VerificationMethod::Sms => CodeBy::Sms,
            VerificationMethod::Voice => CodeBy::Call,
        },
        business_account: waba_id.clone(),
        profile: BusinessProfile {
            name,
            about,
            address,
            description,
            logo_url,
            vertical,
            websites: websites.into_iter().map(|Website { url, label }| Labelled { value: url, label }).collect(),
            emails: emails.into_iter().map(|Email { address, label }| Labelled { value: address, label }).collect(),
        },
        code: verification_code_secret_ref.clone(),
    }
}
