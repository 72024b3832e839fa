//! The content types: what each must carry, whether it needs approval, and its text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::errors::ApiError;

/// When a type of content may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// As free-form content inside the window, and as an approved template at any time.
    TemplateOrFree,
    /// As an approved template only, even inside the window.
    TemplateOnly,
    /// Inside the window only; it cannot be a template.
    FreeOnly,
}

struct Kind {
    name: &'static str,
    required: &'static [&'static str],
    session: Session,
}

const fn kind(name: &'static str, required: &'static [&'static str], session: Session) -> Kind {
    Kind { name, required, session }
}

const KINDS: [Kind; 14] = [
    kind("twilio/text", &["body"], Session::TemplateOrFree),
    kind("twilio/media", &["media"], Session::TemplateOrFree),
    kind("twilio/location", &["latitude", "longitude"], Session::FreeOnly),
    kind("twilio/list-picker", &["body", "button", "items"], Session::FreeOnly),
    kind("twilio/call-to-action", &["body", "actions"], Session::TemplateOnly),
    kind("twilio/quick-reply", &["body", "actions"], Session::TemplateOrFree),
    kind("twilio/card", &[], Session::TemplateOrFree),
    kind("twilio/catalog", &["body"], Session::TemplateOrFree),
    kind("twilio/carousel", &["body", "cards"], Session::TemplateOnly),
    kind("twilio/flows", &["body", "button_text", "pages", "type"], Session::TemplateOrFree),
    kind("twilio/schedule", &["id", "title", "timeSlots"], Session::TemplateOrFree),
    kind("whatsapp/card", &["body"], Session::TemplateOrFree),
    kind("whatsapp/authentication", &["actions"], Session::TemplateOnly),
    kind("whatsapp/flows", &["body", "button_text", "flow_id"], Session::TemplateOrFree),
];

/// Checks a content's `types`: each must be known and complete. Null counts as absent, because the SDKs send it for
/// absent types.
pub(crate) fn check(types: Option<&Value>) -> Result<Map<String, Value>, ApiError> {
    let missing = || ApiError::invalid(92001, "'types' parameter required: an object with at least one content type");
    let mut types = types.and_then(Value::as_object).ok_or_else(missing)?.clone();
    types.retain(|_, content| !content.is_null());
    if types.is_empty() {
        return Err(missing());
    }
    for (name, content) in &types {
        let kind = find(name).ok_or_else(|| ApiError::invalid(92008, format!("Unsupported content type '{name}'")))?;
        let content =
            content.as_object().ok_or_else(|| ApiError::invalid(92001, format!("types.{name} must be an object")))?;
        if let Some(key) = kind.required.iter().find(|key| content.get(**key).is_none_or(Value::is_null)) {
            return Err(ApiError::invalid(92001, format!("types.{name}.{key} is required")));
        }
    }
    Ok(types)
}

/// The strictest rule among a content's types.
pub(crate) fn session(types: &Map<String, Value>) -> Session {
    let sessions = || types.keys().filter_map(|name| find(name)).map(|kind| kind.session);
    if sessions().any(|session| session == Session::TemplateOnly) {
        Session::TemplateOnly
    } else if sessions().any(|session| session == Session::TemplateOrFree) {
        Session::TemplateOrFree
    } else {
        Session::FreeOnly
    }
}

fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The text that a message with this content shows in its `body`.
pub(crate) fn text(types: &Map<String, Value>) -> &str {
    let text = |key: &str| types.values().find_map(|content| content[key].as_str());
    text("body").or_else(|| text("title")).unwrap_or_default()
}

/// The names of the variables in `{{…}}`, in order of appearance, anywhere in a JSON value.
pub(crate) fn placeholders(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_placeholders(value, &mut found);
    found
}

fn collect_placeholders(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            for rest in text.split("{{").skip(1) {
                let Some((name, _)) = rest.split_once("}}") else { continue };
                if !found.iter().any(|known| known == name.trim()) {
                    found.push(name.trim().to_owned());
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_placeholders(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect_placeholders(field, found)),
        _ => {}
    }
}

/// Replaces `{{…}}` by values; a variable without a value stays.
pub(crate) fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let value = after.split_once("}}").and_then(|(name, after)| Some((values.get(name.trim())?, after)));
        match value {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_found_anywhere_and_once() {
        let types = json!({"twilio/card": {"title": "Hi {{1}}", "actions": [{"url": "https://e.com/{{2}}?{{1}}"}]}});
        assert_eq!(placeholders(&types), ["1", "2"]);
    }

    #[test]
    fn filling_keeps_variables_without_a_value() {
        let values = BTreeMap::from([("1".to_owned(), "Ava {{2}}".to_owned())]);
        assert_eq!(fill("Hi {{1}}, {{3}} {{", &values), "Hi Ava {{2}}, {{3}} {{");
    }

    #[test]
    fn null_types_are_absent_types() {
        let types = json!({"twilio/text": {"body": "Hi"}, "twilio/media": null});
        assert_eq!(check(Some(&types)).unwrap().len(), 1);
        assert_eq!(check(Some(&json!({"twilio/text": {"body": null}}))).unwrap_err().code, 92001);
        assert_eq!(check(Some(&json!({"twilio/hologram": {}}))).unwrap_err().code, 92008);
    }
}
