//! What one text of a template has that another has not, in words for a person.

use super::{COPY_CODE_LABEL, LocalizedContent, TemplateButton};

/// How many characters of a text are shown, from where it begins to differ.
const SHOWN: usize = 40;

/// What differs between the text that is wanted and the one that was found; empty when WhatsApp shows them alike.
///
/// Texts without a body are those of the category AUTHENTICATION. WhatsApp writes them itself, so only the label of
/// their button counts.
pub fn differences(wanted: &LocalizedContent, found: &LocalizedContent) -> Vec<String> {
    let mut all = Vec::new();
    compare(&mut all, "body", Some(&wanted.body), Some(&found.body));
    if wanted.body.is_empty() && found.body.is_empty() {
        compare(&mut all, "the button's title", Some(copy_label(wanted)), Some(copy_label(found)));
        return all;
    }
    compare(&mut all, "header", wanted.header.as_deref(), found.header.as_deref());
    compare(&mut all, "footer", wanted.footer.as_deref(), found.footer.as_deref());
    if wanted.buttons.len() == found.buttons.len() {
        for (index, (wanted, found)) in wanted.buttons.iter().zip(&found.buttons).enumerate() {
            compare_buttons(&mut all, index, wanted, found);
        }
    } else {
        all.push(format!("it has {} buttons instead of {}", found.buttons.len(), wanted.buttons.len()));
    }
    all
}

fn copy_label(content: &LocalizedContent) -> &str {
    let own = content.buttons.iter().find_map(|button| match button {
        TemplateButton::CopyCode { title, .. } => Some(title.as_str()),
        _ => None,
    });
    own.unwrap_or(COPY_CODE_LABEL)
}

fn compare_buttons(all: &mut Vec<String>, index: usize, wanted: &TemplateButton, found: &TemplateButton) {
    let (wanted, found) = (parts(wanted), parts(found));
    if wanted.kind != found.kind {
        all.push(format!("buttons[{index}] is {} instead of {}", found.kind, wanted.kind));
        return;
    }
    compare(all, &format!("buttons[{index}].title"), Some(wanted.title), Some(found.title));
    compare(all, &format!("buttons[{index}].{}", wanted.field), Some(wanted.value), Some(found.value));
}

/// A button by its fields in the manifest.
struct Parts<'a> {
    kind: &'static str,
    title: &'a str,
    field: &'static str,
    value: &'a str,
}

fn parts(button: &TemplateButton) -> Parts<'_> {
    match button {
        TemplateButton::QuickReply { title, id } => Parts { kind: "quickReply", title, field: "id", value: id },
        TemplateButton::Url { title, url } => Parts { kind: "url", title, field: "url", value: url },
        TemplateButton::PhoneNumber { title, phone } => {
            Parts { kind: "phoneNumber", title, field: "phone", value: phone }
        }
        TemplateButton::CopyCode { title, code } => Parts { kind: "copyCode", title, field: "code", value: code },
    }
}

fn compare(all: &mut Vec<String>, field: &str, wanted: Option<&str>, found: Option<&str>) {
    if wanted == found {
        return;
    }
    let (from, wanted, found) = (common(wanted, found), wanted.unwrap_or_default(), found.unwrap_or_default());
    let shown = |text: &str| match excerpt(text, from) {
        excerpt if excerpt.is_empty() && from == 0 => "nothing".to_owned(),
        excerpt => format!("{excerpt:?}"),
    };
    all.push(format!("{field} has {} instead of {}", shown(found), shown(wanted)));
}

/// How many characters both begin with.
fn common(one: Option<&str>, other: Option<&str>) -> usize {
    let (one, other) = (one.unwrap_or_default().chars(), other.unwrap_or_default().chars());
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// A text from shortly before a character on.
fn excerpt(text: &str, from: usize) -> String {
    let skipped = from.saturating_sub(SHOWN / 4);
    let mut rest = text.chars().skip(skipped);
    let shown: String = rest.by_ref().take(SHOWN).collect();
    let (before, after) = (if skipped > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
    if shown.is_empty() { shown } else { format!("{before}{shown}{after}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> LocalizedContent {
        LocalizedContent { body: body.into(), header: None, footer: None, buttons: vec![] }
    }

    #[test]
    fn what_differs_is_told_by_field_and_from_where_it_differs() {
        let wanted = LocalizedContent {
            header: Some("News".into()),
            buttons: vec![TemplateButton::Url { title: "Track".into(), url: "https://shop.example/{{1}}".into() }],
            ..text("Hello {{1}}, your parcel has left our warehouse today.")
        };
        let found = LocalizedContent {
            footer: Some("Bye".into()),
            buttons: vec![TemplateButton::Url { title: "Follow".into(), url: "https://shop.example/{{1}}".into() }],
            ..text("Hello {{1}}, your parcel has left our warehouse yesterday.")
        };
        assert_eq!(
            differences(&wanted, &found),
            [
                "body has \"…warehouse yesterday.\" instead of \"…warehouse today.\"",
                "header has nothing instead of \"News\"",
                "footer has \"Bye\" instead of nothing",
                "buttons[0].title has \"Follow\" instead of \"Track\"",
            ]
        );
        assert_eq!(differences(&wanted, &wanted), Vec::<String>::new());
    }

    #[test]
    fn buttons_of_another_kind_number_or_order_differ() {
        let reply = |title: &str| TemplateButton::QuickReply { title: title.into(), id: title.into() };
        let with = |buttons: Vec<TemplateButton>| LocalizedContent { buttons, ..text("Hi") };
        let phone = TemplateButton::PhoneNumber { title: "Yes".into(), phone: "+447700900123".into() };
        let of = |wanted, found| differences(&with(wanted), &with(found));
        assert_eq!(of(vec![reply("Yes")], vec![phone]), ["buttons[0] is phoneNumber instead of quickReply"]);
        assert_eq!(of(vec![reply("Yes")], vec![]), ["it has 0 buttons instead of 1"]);
        assert_eq!(of(vec![reply("Yes"), reply("No")], vec![reply("No"), reply("Yes")]).len(), 4);
    }

    #[test]
    fn of_a_text_that_whatsapp_writes_only_the_label_counts() {
        let labelled = |title: &str, code: &str| LocalizedContent {
            buttons: vec![TemplateButton::CopyCode { title: title.into(), code: code.into() }],
            ..text("")
        };
        assert_eq!(
            differences(&labelled("Copy code", "123456"), &labelled("Copy code", "{{1}}")),
            Vec::<String>::new()
        );
        assert_eq!(differences(&text(""), &labelled("Copy code", "{{1}}")), Vec::<String>::new());
        assert_eq!(
            differences(&labelled("Copy", "1"), &labelled("Copy code", "1")),
            ["the button's title has \"Copy code\" instead of \"Copy\""]
        );
        assert_eq!(differences(&text(""), &text("Hi")), ["body has \"Hi\" instead of nothing"]);
    }
}
