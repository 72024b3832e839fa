//! Contents (Content API v1), which are Twilio's templates.
//!
//! A submitted content cannot be changed (Twilio docs, error 92009), so there is no update: a change is a new content
//! under a new name.

mod read;

use messaging::provider::ProviderError;
use messaging::provider::admin::{TemplateHandle, TemplateRevision};
use messaging::template::{COPY_CODE_LABEL, LocalizedContent, TemplateButton, TemplateCategory};
pub(crate) use read::read;
use serde_json::{Value, json};

use super::client::Client;
use super::hosts::{Host, Segment};

/// Names are not unique at Twilio and the call has no idempotency key: look the name up first.
pub(crate) async fn create(client: &Client, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
    let created = client.post_json(Host::Content, "/v1/Content", &creation(revision)).await?;
    match created.get("sid").and_then(Value::as_str) {
        Some(sid) => Ok(TemplateHandle::new(sid)),
        None => Err(client.unreadable_write("the new content has no sid")),
    }
}

/// Deletes a content at Twilio and at WhatsApp; messages in flight that use it fail. (Twilio docs, manage your
/// templates.)
pub(crate) async fn delete(client: &Client, handle: &TemplateHandle) -> Result<(), ProviderError> {
    client.delete(Host::Content, &format!("/v1/Content/{}", Segment(handle.as_str()))).await
}

fn creation(revision: &TemplateRevision) -> Value {
    let TemplateRevision { name, language, category, content, examples } = revision;
    let (kind, definition) = definition(*category, content);
    json!({
        "friendly_name": name,
        "language": language,
        "variables": examples,
        "types": { kind: definition },
    })
}

/// The content type that fits exactly what the content has.
fn definition(category: TemplateCategory, content: &LocalizedContent) -> (&'static str, Value) {
    let LocalizedContent { body, header, footer, buttons } = content;
    if category == TemplateCategory::Authentication {
        return ("whatsapp/authentication", authentication(buttons));
    }
    if header.is_some() || footer.is_some() {
        return ("whatsapp/card", card(content));
    }
    let quick_replies = buttons.iter().filter(|button| matches!(button, TemplateButton::QuickReply { .. })).count();
    let actions: Vec<Value> = buttons.iter().map(action).collect();
    match quick_replies {
        _ if buttons.is_empty() => ("twilio/text", json!({ "body": body })),
        0 => ("twilio/call-to-action", json!({ "body": body, "actions": actions })),
        all if all == buttons.len() => ("twilio/quick-reply", json!({ "body": body, "actions": actions })),
        // Only a card may mix replies with other buttons.
        _ => ("whatsapp/card", card(content)),
    }
}

fn card(content: &LocalizedContent) -> Value {
    let mut card = json!({ "body": content.body });
    if let Some(header) = &content.header {
        card["header_text"] = json!(header);
    }
    if let Some(footer) = &content.footer {
        card["footer"] = json!(footer);
    }
    if !content.buttons.is_empty() {
        card["actions"] = content.buttons.iter().map(action).collect();
    }
    card
}

/// WhatsApp writes the text of authentication templates itself, in the content's language. We set only the label of the
/// button that copies the code, and turn on the advice not to share it.
fn authentication(buttons: &[TemplateButton]) -> Value {
    let label = buttons.iter().find_map(|button| match button {
        TemplateButton::CopyCode { title, .. } => Some(title.as_str()),
        _ => None,
    });
    json!({
        "add_security_recommendation": true,
        "actions": [{ "type": "COPY_CODE", "copy_code_text": label.unwrap_or(COPY_CODE_LABEL) }],
    })
}

fn action(button: &TemplateButton) -> Value {
    match button {
        TemplateButton::QuickReply { title, id } => json!({ "type": "QUICK_REPLY", "title": title, "id": id }),
        TemplateButton::Url { title, url } => json!({ "type": "URL", "title": title, "url": url }),
        TemplateButton::PhoneNumber { title, phone } => {
            json!({ "type": "PHONE_NUMBER", "title": title, "phone": phone })
        }
        TemplateButton::CopyCode { title, code } => json!({ "type": "COPY_CODE", "title": title, "code": code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(header: Option<&str>, buttons: Vec<TemplateButton>) -> LocalizedContent {
        LocalizedContent { body: "Hi {{1}}".into(), header: header.map(Into::into), footer: None, buttons }
    }
    fn reply() -> TemplateButton {
        TemplateButton::QuickReply { title: "Yes".into(), id: "yes".into() }
    }
    fn url() -> TemplateButton {
        TemplateButton::Url { title: "Track".into(), url: "https://x.example/{{2}}".into() }
    }

    #[test]
    fn the_content_type_follows_from_what_the_content_has() {
        let kind = |header, buttons| definition(TemplateCategory::Utility, &content(header, buttons)).0;
        assert_eq!(kind(None, vec![]), "twilio/text");
        assert_eq!(kind(None, vec![reply()]), "twilio/quick-reply");
        assert_eq!(kind(None, vec![url()]), "twilio/call-to-action");
        assert_eq!(kind(None, vec![reply(), url()]), "whatsapp/card");
        assert_eq!(kind(Some("News"), vec![]), "whatsapp/card");
        assert_eq!(definition(TemplateCategory::Authentication, &content(None, vec![])).0, "whatsapp/authentication");
    }

    #[test]
    fn a_creation_carries_the_name_the_language_the_examples_and_the_whole_content() {
        let revision = TemplateRevision {
            name: "shop-order-1".into(),
            language: "en".into(),
            category: TemplateCategory::Utility,
            content: content(Some("News"), vec![reply(), url()]),
            examples: [("1".to_owned(), "Ava".to_owned())].into(),
        };
        assert_eq!(
            creation(&revision),
            json!({"friendly_name": "shop-order-1", "language": "en", "variables": {"1": "Ava"}, "types": {"whatsapp/card": {
                "body": "Hi {{1}}", "header_text": "News", "actions": [
                    {"type": "QUICK_REPLY", "title": "Yes", "id": "yes"},
                    {"type": "URL", "title": "Track", "url": "https://x.example/{{2}}"}
                ]
            }}})
        );
    }
}
