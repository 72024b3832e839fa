//! API keys: only their SHA-256 digests are configured, so only digests are compared.

use sha2::{Digest, Sha256};

use crate::config::{ApiKeyHolder, Configs};

/// Whose key this is.
///
/// The digest is looked up in an index rather than compared with each. How long that takes tells at most something of
/// the digest of what the caller sent, which the caller knows; it tells nothing of a key.
pub(super) fn holder(configs: &Configs, key: &str) -> Option<ApiKeyHolder> {
    configs.api_key_holder(&digest(key))
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
