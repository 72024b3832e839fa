//! `X-Hub-Signature-256`: proves that a webhook comes from Meta, for this app. It covers the exact bytes of the body,
//! but not the URL.

use hmac::{Hmac, KeyInit as _, Mac as _};
use messaging::provider::webhook::{WebhookRejected, WebhookRequest};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// An app's secret, prepared for use.
pub(super) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    fn signs(&self, body: &[u8], signature: &[u8; 32]) -> bool {
        self.0.clone().chain_update(body).finalize().into_bytes().ct_eq(signature).into()
    }
}

/// The index of the key that signed the request.
pub(super) fn signer(keys: &[SigningKey], request: &WebhookRequest<'_>) -> Result<usize, WebhookRejected> {
    if keys.is_empty() {
        return Err(WebhookRejected::NoKey);
    }
    let header = request.headers.get("x-hub-signature-256");
    let header = header.ok_or(WebhookRejected::Unsigned { header: "X-Hub-Signature-256" })?;
    let mut signature = [0; 32];
    header
        .strip_prefix("sha256=")
        .and_then(|digits| hex::decode_to_slice(digits, &mut signature).ok())
        .and_then(|()| keys.iter().position(|key| key.signs(request.body, &signature)))
        .ok_or(WebhookRejected::WrongSignature)
}
