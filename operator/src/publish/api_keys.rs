//! The API keys of a tenant's applications, from the tenant's Secrets. Only digests leave this module.

use hex::ToHex;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use messaging::config::ApiKeyConfig;
use messaging::config::kubernetes::API_KEY_KEY;
use sha2::{Digest, Sha256};

/// In bytes. A shorter key could be guessed.
const SHORTEST: usize = 16;

/// The keys, in the order of their Secrets' names. A Secret without a usable key is logged and left out.
pub fn digests(secrets: &[Secret]) -> Vec<ApiKeyConfig> {
    let mut keys: Vec<ApiKeyConfig> = secrets.iter().filter_map(digest).collect();
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys
}

fn digest(secret: &Secret) -> Option<ApiKeyConfig> {
    let name = secret.name_any();
    let key = secret.data.as_ref().and_then(|data| data.get(API_KEY_KEY)).map(|key| key.0.trim_ascii());
    match key {
        // A file's last line break is not part of the key.
        Some(key) if key.len() >= SHORTEST => Some(ApiKeyConfig { name, sha256: Sha256::digest(key).encode_hex() }),
        Some(_) => {
            tracing::warn!(secret = name, "ignored: an API key must have at least {SHORTEST} characters");
            None
        }
        None => {
            tracing::warn!(secret = name, "ignored: an API key's secret must have the key {API_KEY_KEY}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(name: &str, key: &str, value: &str) -> Secret {
        let mut secret =
            Secret { data: Some([(key.to_owned(), ByteString(value.into()))].into()), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        secret
    }

    #[test]
    fn keys_travel_as_digests_in_a_fixed_order() {
        let keys = digests(&[
            secret("web", "key", "wak_0123456789abcdef\n"),
            secret("app", "key", "wak_fedcba9876543210"),
            secret("short", "key", "1234"),
            secret("wrong", "token", "wak_0123456789abcdef"),
        ]);
        assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["app", "web"]);
        assert_eq!(keys[1].sha256, Sha256::digest("wak_0123456789abcdef").encode_hex::<String>());
    }
}
