//! Explains why a config can't be read without repeating what it holds: serde's own words quote the value.

/// The path of what is wrong, and what was expected there. `at` is the path, as far as it was read.
pub(super) fn explained(at: &str, error: &serde_json::Error) -> String {
    let words = error.to_string();
    // The path says where.
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let begins = |with: &[&str]| with.iter().any(|with| words.starts_with(with));
    // These name fields of ours, which are no secrets.
    if begins(&["missing field `", "duplicate field `"]) {
        return format!("{at}: {words}");
    }
    let what = if begins(&["unknown field `"]) { "has a field that is not known" } else { "is not valid" };
    // serde's words end in what was expected, which it has from us. Other words may end in the value.
    let ends_in_ours =
        begins(&["invalid type: ", "invalid value: ", "invalid length ", "unknown field `", "unknown variant `"]);
    match words.rsplit_once("expected ").filter(|_| ends_in_ours) {
        Some((_, expected)) => format!("{at}: {what}; expected {expected}"),
        None => format!("{at}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::TenantConfig;
    use crate::config::tests::full;

    /// Every path of a document, from the leaves up.
    fn paths(value: &Value, path: &str, all: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| paths(value, &format!("{path}/{}", key.replace('/', "~1")), all));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, value)| paths(value, &format!("{path}/{at}"), all));
            }
            _ => {}
        }
        all.push(path.to_owned());
    }

    #[test]
    fn a_secret_in_any_wrong_place_is_reported_by_its_path_and_never_by_its_value() {
        let config = full();
        let document: Value = serde_json::from_slice(&config.to_json()).unwrap();
        let mut all = Vec::new();
        paths(&document, "", &mut all);
        let mut refused = 0;
        for path in all {
            for wrong in [json!("it, expected hush"), json!(["hush"]), json!({ "a": "hush" }), json!(4711), json!(null)]
            {
                // The version of the format is told as a number.
                if path == "/format" {
                    continue;
                }
                let mut broken = document.clone();
                *broken.pointer_mut(&path).unwrap() = wrong.clone();
                let Err(error) = TenantConfig::from_json(&config.tenant, broken.to_string().as_bytes()) else {
                    continue;
                };
                refused += 1;
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hush") && !shown.contains("4711"), "{path} = {wrong}: {shown}");
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn what_is_wrong_is_found_by_its_path() {
        let config = full();
        let reported = |path: &str, wrong: Value| {
            let mut document: Value = serde_json::from_slice(&config.to_json()).unwrap();
            *document.pointer_mut(path).unwrap() = wrong;
            TenantConfig::from_json(&config.tenant, document.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            reported("/senders/support/provider/twilio/webhookKeys", json!("hush")),
            "tenant config: senders.support.provider.twilio.webhookKeys: is not valid; expected a sequence"
        );
        assert_eq!(
            reported("/senders/support/limits", json!({ "perSecond": 5 })),
            "tenant config: senders.support.limits.perSecond: has a field that is not known; expected one of \
             `messagesPerSecond`, `intervalMillis`, `burst`, `maxConcurrency`"
        );
        assert_eq!(
            reported("/senders/support", json!({ "phoneNumber": "+14155238886" })),
            "tenant config: senders.support: missing field `provider`"
        );
    }
}
