//! Fills a template with its values, for previews, for logs and for WhatsApp's limit on the result.
//!
//! The provider renders what the customer sees; this text never reaches them.

use std::collections::BTreeMap;

use super::placeholder::{Piece, pieces};
use super::{LocalizedContent, TemplateButton};

/// A text with the values in place of its placeholders. A placeholder without a value stays as it is.
pub fn substitute(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) | Piece::Malformed(text) => out.push_str(text),
            Piece::Placeholder(key) => match values.get(key) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("{{");
                    out.push_str(key);
                    out.push_str("}}");
                }
            },
        }
    }
    out
}

/// One language of a template with the values in place.
pub fn render(content: &LocalizedContent, values: &BTreeMap<String, String>) -> LocalizedContent {
    let text = |text: &String| substitute(text, values);
    LocalizedContent {
        body: text(&content.body),
        header: content.header.as_ref().map(text),
        footer: content.footer.as_ref().map(text),
        buttons: content
            .buttons
            .iter()
            .map(|button| match button {
                TemplateButton::Url { title, url } => TemplateButton::Url { title: title.clone(), url: text(url) },
                TemplateButton::CopyCode { title, code } => {
                    TemplateButton::CopyCode { title: title.clone(), code: text(code) }
                }
                TemplateButton::QuickReply { .. } | TemplateButton::PhoneNumber { .. } => button.clone(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_template_reads_as_the_customer_will_read_it() {
        let content = LocalizedContent {
            body: "Hi {{1}}, order {{2}} of {{1}} is on its way: {{3}}".into(),
            header: Some("Order {{2}}".into()),
            footer: Some("Shop".into()),
            buttons: vec![TemplateButton::Url { title: "Track".into(), url: "https://shop.example/o/{{2}}".into() }],
        };
        let values = BTreeMap::from([("1".to_owned(), "Ava".to_owned()), ("2".to_owned(), "{{1}}7".to_owned())]);
        let rendered = render(&content, &values);
        assert_eq!(rendered.body, "Hi Ava, order {{1}}7 of Ava is on its way: {{3}}", "values are not read again");
        assert_eq!(rendered.header.as_deref(), Some("Order {{1}}7"));
        assert_eq!(
            rendered.buttons,
            [TemplateButton::Url { title: "Track".into(), url: "https://shop.example/o/{{1}}7".into() }]
        );
    }
}
