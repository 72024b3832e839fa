//! The API keys of a tenant's applications, from the tenant's Secrets. Only digests leave this module.

use std::collections::BTreeSet;

use hex::ToHex;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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

/// What is wrong with a Secret that looks like an API key and has no type.
const UNTYPED: &str = "if it is meant as an API key of the WhatsApp data plane, it gives nobody access: expected the type \
    whatsapp-operator.dev/api-key; a Secret's type can't be changed, so create it again";

/// Whether a Secret holds one value, under the key of API keys. Read from what the API server recorded of its fields,
/// so that no other Secret's contents are read.
pub fn looks_like_one(secret: &ObjectMeta) -> bool {
    let fields = secret.managed_fields.iter().flatten().filter_map(|entry| entry.fields_v1.as_ref());
    let data = fields.filter_map(|fields| fields.0.get("f:data")?.as_object());
    let keys: BTreeSet<&str> = data.flat_map(|data| data.keys()).filter_map(|key| key.strip_prefix("f:")).collect();
    keys == BTreeSet::from([API_KEY_KEY])
}

/// What is wrong with the type of a Secret that [`looks_like_one`].
pub fn mistyped(secret: &Secret) -> Option<(ObjectReference, &'static str)> {
    matches!(secret.type_.as_deref(), None | Some("Opaque")).then(|| (secret.object_ref(&()), UNTYPED))
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
    fn a_secret_that_looks_like_an_api_key_and_has_another_type_is_told() {
        let written = |fields: serde_json::Value| -> ObjectMeta {
            let entry = serde_json::json!({ "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields });
            serde_json::from_value(serde_json::json!({ "managedFields": [entry] })).unwrap()
        };
        let data = |keys: &[&str]| {
            let keys: serde_json::Map<_, _> =
                keys.iter().map(|key| ((*key).to_owned(), serde_json::json!({}))).collect();
            written(serde_json::json!({ "f:data": keys, "f:type": {} }))
        };
        assert!(looks_like_one(&data(&[".", "f:key"])));
        assert!(!looks_like_one(&data(&[".", "f:key", "f:cert"])) && !looks_like_one(&data(&[".", "f:token"])));
        assert!(!looks_like_one(&ObjectMeta::default()));

        let of = |type_: &str| Secret { type_: Some(type_.to_owned()), ..secret("app", "key", "wak_0123456789abcdef") };
        assert!(mistyped(&of("Opaque")).is_some_and(|(_, why)| why.contains("expected the type")));
        assert!(mistyped(&of("whatsapp-operator.dev/api-key")).is_none());
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
