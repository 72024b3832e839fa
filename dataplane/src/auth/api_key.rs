//! API keys: only their SHA-256 digests are configured, so only digests are compared.

use sha2::{Digest, Sha256};

use crate::config::{ApiKeyHolder, Configs};

/// The holder of a key.
///
/// The digest is looked up in an index, not compared with each key's. The time that this takes depends at most on the
/// digest of what the caller sent, which the caller knows. It reveals nothing about any key.
pub(super) fn holder(configs: &Configs, key: &str) -> Option<ApiKeyHolder> {
    configs.api_key_holder(&digest(key))
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
