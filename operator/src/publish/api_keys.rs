//! The API keys of a tenant's applications, from the tenant's Secrets. Only digests leave this module.

use hex::ToHex;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::{Resource as _, ResourceExt as _};
use messaging::config::ApiKeyConfig;
use messaging::config::kubernetes::API_KEY_KEY;
use sha2::{Digest, Sha256};

/// In bytes. A shorter key could be guessed.
const SHORTEST: usize = 16;

/// What a tenant's Secrets hold.
#[derive(Debug, Default)]
pub struct ApiKeys {
    /// In the order of their Secrets' names.
    pub usable: Vec<ApiKeyConfig>,
    /// The Secrets without a usable key, and why.
    pub unusable: Vec<(ObjectReference, &'static str)>,
}

/// Reads the keys. A Secret without a usable key is left out.
pub fn read(secrets: &[Secret]) -> ApiKeys {
    let mut keys = ApiKeys::default();
    for secret in secrets {
        match digest(secret) {
            Ok(sha256) => keys.usable.push(ApiKeyConfig { name: secret.name_any(), sha256 }),
            Err(why) => keys.unusable.push((secret.object_ref(&()), why)),
        }
    }
    keys.usable.sort_by(|a, b| a.name.cmp(&b.name));
    keys
}

fn digest(secret: &Secret) -> Result<String, &'static str> {
    let key = secret.data.as_ref().and_then(|data| data.get(API_KEY_KEY));
    let key = key.ok_or("it gives nobody access: expected an API key under the key \"key\"")?;
    // A file's last line break is not part of the key.
    let key = key.0.trim_ascii();
    if key.len() < SHORTEST {
        return Err("it gives nobody access: expected an API key of at least 16 characters");
    }
    Ok(Sha256::digest(key).encode_hex())
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
    fn keys_travel_as_digests_in_a_fixed_order_and_those_left_out_are_named() {
        let ApiKeys { usable: keys, unusable } = read(&[
            secret("web", "key", "wak_0123456789abcdef\n"),
            secret("app", "key", "wak_fedcba9876543210"),
            secret("short", "key", "1234"),
            secret("wrong", "token", "wak_0123456789abcdef"),
        ]);
        assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["app", "web"]);
        assert_eq!(keys[1].sha256, Sha256::digest("wak_0123456789abcdef").encode_hex::<String>());
        let told = unusable.iter().map(|(secret, why)| (secret.name.as_deref().unwrap_or_default(), *why));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("short", "it gives nobody access: expected an API key of at least 16 characters"),
                ("wrong", "it gives nobody access: expected an API key under the key \"key\""),
            ]
        );
    }
}
