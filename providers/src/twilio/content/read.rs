//! Reads a content back into this project's terms: the reverse of [`super::definition`].
//!
//! A content may have been made by anybody, in Twilio's console too. What a manifest cannot express is refused by name
//! and never left out, because what is read decides whether a content is taken for a template's own.

use std::collections::BTreeMap;

use messaging::provider::admin::{FoundContent, Inexpressible};
use messaging::template::{COPY_CODE_LABEL, LocalizedContent, TemplateButton, TemplateCategory};
use serde_json::{Map, Value};

/// Types that can be sent in answer to a customer only, and never be templates. (Twilio docs, content types overview.)
const IN_SESSION_ONLY: [&str; 3] = ["twilio/list-picker", "twilio/location", "twilio/pay"];

/// `submitted_as` is the type that Twilio submitted to WhatsApp, which decides where a content has several.
pub(crate) fn read(row: &Value, submitted_as: Option<&str>) -> Result<FoundContent, Inexpressible> {
    let (kind, fields) = chosen(row, submitted_as)?;
    let text = text(kind, &Fields { of: kind, fields })?;
    let category = match kind {
        "whatsapp/authentication" => TemplateCategory::Authentication,
        _ => TemplateCategory::Utility,
    };
    let is_usual = super::definition(category, &text).0 == kind;
    Ok(FoundContent { text, examples: examples(row), unusual_type: (!is_usual).then(|| kind.to_owned()) })
}

/// The content's type. Null counts as absent, because clients send it for absent types.
fn chosen<'a>(row: &'a Value, submitted_as: Option<&str>) -> Result<(&'a str, &'a Map<String, Value>), Inexpressible> {
    let types = row.get("types").and_then(Value::as_object).into_iter().flatten();
    let types: Vec<(&str, &Map<String, Value>)> =
        types.filter_map(|(kind, fields)| Some((kind.as_str(), fields.as_object()?))).collect();
    match types.as_slice() {
        [] => Err(cannot("has no content")),
        [only] => Ok(*only),
        several => several.iter().find(|(kind, _)| Some(*kind) == submitted_as).copied().ok_or_else(|| {
            let names = several.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
            cannot(format!("has several content types ({names}), and Twilio does not say which one WhatsApp has"))
        }),
    }
}

fn text(kind: &str, fields: &Fields<'_>) -> Result<LocalizedContent, Inexpressible> {
    let plain = |body| LocalizedContent { body, header: None, footer: None, buttons: vec![] };
    match kind {
        "twilio/text" => {
            fields.are_only(&["body"])?;
            Ok(plain(fields.required("body")?))
        }
        "twilio/quick-reply" | "twilio/call-to-action" => {
            fields.are_only(&["body", "actions"])?;
            Ok(LocalizedContent { buttons: fields.buttons()?, ..plain(fields.required("body")?) })
        }
        "whatsapp/card" => {
            fields.are_only(&["body", "header_text", "footer", "actions"])?;
            Ok(LocalizedContent {
                body: fields.required("body")?,
                header: fields.text("header_text"),
                footer: fields.text("footer"),
                buttons: fields.buttons()?,
            })
        }
        // For WhatsApp its title is the body and its subtitle the footer.
        "twilio/card" => {
            fields.are_only(&["title", "subtitle", "actions"])?;
            Ok(LocalizedContent {
                footer: fields.text("subtitle"),
                buttons: fields.buttons()?,
                ..plain(fields.required("title")?)
            })
        }
        "whatsapp/authentication" => {
            authentication(fields).map(|button| LocalizedContent { buttons: vec![button], ..plain(String::new()) })
        }
        _ if IN_SESSION_ONLY.contains(&kind) => {
            Err(cannot(format!("is of the type {kind}, which only answers a customer and is never a template")))
        }
        _ => Err(cannot(format!("is of the type {kind}, which a MessageTemplate cannot have"))),
    }
}

/// The button of an authentication template, whose text is WhatsApp's own.
fn authentication(fields: &Fields<'_>) -> Result<TemplateButton, Inexpressible> {
    fields.are_only(&["actions", "add_security_recommendation"])?;
    // Absent means true. (Twilio docs, whatsapp/authentication.)
    if fields.fields.get("add_security_recommendation") == Some(&Value::Bool(false)) {
        return Err(cannot("does not advise to keep the code secret, which a MessageTemplate always does"));
    }
    let actions = fields.actions();
    let [Value::Object(action)] = actions else {
        return Err(cannot(format!("has {} buttons, and an authentication template has one", actions.len())));
    };
    let action = Fields { of: "actions[0]", fields: action };
    action.are_only(&["type", "copy_code_text"])?;
    let title = action.text("copy_code_text").unwrap_or_else(|| COPY_CODE_LABEL.to_owned());
    Ok(TemplateButton::CopyCode { title, code: "{{1}}".to_owned() })
}

/// The fields of a content type, or of a button.
struct Fields<'a> {
    of: &'a str,
    fields: &'a Map<String, Value>,
}

impl Fields<'_> {
    /// Refuses whatever else is set.
    fn are_only(&self, known: &[&str]) -> Result<(), Inexpressible> {
        let is_set = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        };
        let other = self.fields.iter().find(|(name, value)| is_set(value) && !known.contains(&name.as_str()));
        match other {
            Some((name, _)) => Err(cannot(format!("has {name} in {}, which a MessageTemplate cannot have", self.of))),
            None => Ok(()),
        }
    }

    /// `None` for an empty text.
    fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn required(&self, name: &str) -> Result<String, Inexpressible> {
        self.text(name).ok_or_else(|| cannot(format!("has no {name} in {}", self.of)))
    }

    fn actions(&self) -> &[Value] {
        self.fields.get("actions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn buttons(&self) -> Result<Vec<TemplateButton>, Inexpressible> {
        let default = if self.of == "twilio/quick-reply" { "QUICK_REPLY" } else { "" };
        let buttons = self.actions().iter().enumerate();
        buttons.map(|(index, action)| button(&format!("actions[{index}]"), action, default)).collect()
    }
}

/// `default` is the kind of a button without a type.
fn button(of: &str, action: &Value, default: &str) -> Result<TemplateButton, Inexpressible> {
    let fields = action.as_object().ok_or_else(|| cannot(format!("has {of}, which is no object")))?;
    let action = Fields { of, fields };
    let kind = action.text("type").unwrap_or_else(|| default.to_owned());
    let of_kind = |name: &str| {
        action.are_only(&["type", "title", name])?;
        Ok((action.required("title")?, action.required(name)?))
    };
    match kind.as_str() {
        "QUICK_REPLY" => of_kind("id").map(|(title, id)| TemplateButton::QuickReply { title, id }),
        "URL" => of_kind("url").map(|(title, url)| TemplateButton::Url { title, url }),
        // A page of the documentation writes PHONE, the specification PHONE_NUMBER.
        "PHONE_NUMBER" | "PHONE" => of_kind("phone").map(|(title, phone)| TemplateButton::PhoneNumber { title, phone }),
        "COPY_CODE" => of_kind("code").map(|(title, code)| TemplateButton::CopyCode { title, code }),
        "" => Err(cannot(format!("has no type in {of}"))),
        other => Err(cannot(format!("has a button of the type {other}, which a MessageTemplate cannot have"))),
    }
}

fn examples(row: &Value) -> BTreeMap<String, String> {
    let variables = row.get("variables").and_then(Value::as_object).into_iter().flatten();
    variables.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn cannot(why: impl Into<String>) -> Inexpressible {
    Inexpressible(why.into())
}

#[cfg(test)]
mod tests {
    use messaging::provider::admin::TemplateRevision;
    use serde_json::json;

    use super::*;
    use crate::twilio::content::creation;

    fn of(types: &Value) -> Result<FoundContent, String> {
        read(&json!({ "types": types }), None).map_err(|error| error.to_string())
    }

    #[test]
    fn what_we_create_is_read_back_as_it_was_declared() {
        let reply = TemplateButton::QuickReply { title: "Yes".into(), id: "yes".into() };
        let url = TemplateButton::Url { title: "Track".into(), url: "https://x.example/{{2}}".into() };
        let phone = TemplateButton::PhoneNumber { title: "Call".into(), phone: "+447700900123".into() };
        let code = TemplateButton::CopyCode { title: "Copy code".into(), code: "{{1}}".into() };
        let text = |header: Option<&str>, footer: Option<&str>, buttons: &[&TemplateButton]| LocalizedContent {
            body: "Hi {{1}}, bye".into(),
            header: header.map(Into::into),
            footer: footer.map(Into::into),
            buttons: buttons.iter().map(|&button| button.clone()).collect(),
        };
        let (utility, authentication) = (TemplateCategory::Utility, TemplateCategory::Authentication);
        for (category, content) in [
            (utility, text(None, None, &[])),
            (utility, text(None, None, &[&reply])),
            (utility, text(None, None, &[&url, &phone, &code])),
            (utility, text(None, None, &[&reply, &url])),
            (utility, text(Some("News"), Some("Bye"), &[&reply, &url])),
            (authentication, LocalizedContent { body: String::new(), ..text(None, None, &[&code]) }),
        ] {
            let revision = TemplateRevision {
                name: "n".into(),
                language: "en".into(),
                category,
                content: content.clone(),
                examples: [("1".to_owned(), "Ava".to_owned())].into(),
            };
            let found = read(&creation(&revision), None).expect("what we create can be expressed");
            assert_eq!(found, FoundContent { text: content, examples: revision.examples, unusual_type: None });
        }
    }

    #[test]
    fn a_card_of_another_type_says_the_same_and_names_its_type() {
        let found = of(&json!({"twilio/card": {
            "title": "Hi", "subtitle": "Bye", "media": [], "body": null, "actions": [{"type": "QUICK_REPLY", "title": "Yes", "id": "y"}]
        }}))
        .expect("a card without media");
        assert_eq!((found.text.body.as_str(), found.text.footer.as_deref()), ("Hi", Some("Bye")));
        assert_eq!(found.unusual_type.as_deref(), Some("twilio/card"));
        let bare = of(&json!({"whatsapp/card": {"body": "Hi"}})).expect("a card with a body alone");
        assert_eq!(bare.unusual_type.as_deref(), Some("whatsapp/card"));
    }

    #[test]
    fn of_several_types_the_submitted_one_counts() {
        let row = json!({"types": {"twilio/text": {"body": "short"}, "twilio/quick-reply": {"body": "long", "actions": []}, "twilio/media": null}});
        let error = read(&row, None).expect_err("nothing says which").to_string();
        assert!(error.contains("several content types") && !error.contains("twilio/media"), "{error}");
        let found = read(&row, Some("twilio/quick-reply")).expect("the submitted type");
        assert_eq!((found.text.body.as_str(), found.unusual_type.as_deref()), ("long", Some("twilio/quick-reply")));
    }

    #[test]
    fn what_a_manifest_cannot_say_is_refused_by_name() {
        let action = |action: Value| json!({"whatsapp/card": {"body": "Hi", "actions": [action]}});
        for (types, why) in [
            (json!({}), "it has no content"),
            (json!({"twilio/text": {"body": ""}}), "it has no body in twilio/text"),
            (json!({"twilio/media": {"body": "Hi", "media": ["https://x.example/1.png"]}}), "type twilio/media"),
            (json!({"twilio/list-picker": {"body": "Hi", "button": "Go", "items": []}}), "never a template"),
            (json!({"twilio/carousel": {"body": "Hi", "cards": []}}), "type twilio/carousel"),
            (json!({"twilio/hologram": {}}), "type twilio/hologram"),
            (
                json!({"whatsapp/card": {"body": "Hi", "media": ["https://x.example/1.png"]}}),
                "has media in whatsapp/card",
            ),
            (action(json!({"type": "VOICE_CALL", "title": "Call"})), "button of the type VOICE_CALL"),
            (
                action(json!({"type": "URL", "title": "Go", "url": "https://x.example", "webview_size": "TALL"})),
                "has webview_size in actions[0]",
            ),
            (action(json!({"type": "QUICK_REPLY", "title": "Yes"})), "has no id in actions[0]"),
            (action(json!("Yes")), "is no object"),
            (
                json!({"whatsapp/authentication": {"add_security_recommendation": false, "actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}}),
                "keep the code secret",
            ),
            (
                json!({"whatsapp/authentication": {"code_expiration_minutes": 5, "actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}}),
                "has code_expiration_minutes",
            ),
            (json!({"whatsapp/authentication": {"actions": []}}), "has 0 buttons"),
        ] {
            let error = of(&types).expect_err(why);
            assert!(error.contains(why), "{error} instead of {why}");
        }
    }
}
