//! Signing agrees with the official SDKs.

use sandbox::twilio::signature::sign;
use serde_json::Value;

use crate::reference;

#[test]
fn signing_reproduces_every_valid_vector_of_a_form() {
    let Some(vectors) = reference::signature_vectors() else { return };
    let is_sha1_form = |vector: &&Value| {
        vector["kind"] == "form"
            && vector["valid"] == true
            && vector["algorithm"].as_str().is_none_or(|a| a == "HMAC_SHA1")
    };
    let mut checked = 0;
    for vector in vectors.iter().filter(is_sha1_form) {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let signature = sign(&text("token"), &text("signed_url"), &form(&vector["params"]));
        assert_eq!(signature, text("signature"), "{}", vector["name"]);
        checked += 1;
    }
    assert!(checked > 10, "only {checked} vectors were checked");
}

/// A vector's parameters: a value, several, or null for an empty one.
fn form(params: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut form = Vec::new();
    for (key, value) in params.as_object().into_iter().flatten() {
        match value {
            Value::Array(values) => form.extend(values.iter().map(|value| (key.clone(), text(value)))),
            Value::Null => form.push((key.clone(), String::new())),
            value => form.push((key.clone(), text(value))),
        }
    }
    form
}
