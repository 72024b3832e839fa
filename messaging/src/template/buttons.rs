//! Checks a template's buttons for what WhatsApp would refuse.

use std::collections::BTreeSet;

use url::Url;

use super::TemplateButton;
use super::findings::Findings;
use super::placeholder::{Piece, pieces};
use crate::address::PhoneNumber;

/// Limits on the buttons of a template and the characters of a button's title.
const MAX_BUTTONS: usize = 10;
const MAX_TITLE: usize = 25;
/// Limits on a template's buttons that open a URL, dial, or copy a code.
const MAX_URLS: usize = 2;
const MAX_PHONES: usize = 1;
const MAX_CODES: usize = 1;
/// Limits on the characters of a URL, of a code, and of a quick reply's payload.
const MAX_URL: usize = 2000;
const MAX_CODE: usize = 20;
const MAX_ID: usize = 200;

/// `path` is the localization's.
pub(super) fn lint(path: &str, buttons: &[TemplateButton], known: &BTreeSet<&str>, findings: &mut Findings) {
    let all = format!("{path}.buttons");
    if buttons.len() > MAX_BUTTONS {
        findings.add(&all, format!("has {} entries; expected at most {MAX_BUTTONS}", buttons.len()));
    }
    let count = |is: fn(&TemplateButton) -> bool| buttons.iter().filter(|b| is(b)).count();
    for (what, found, most) in [
        ("url", count(|b| matches!(b, TemplateButton::Url { .. })), MAX_URLS),
        ("phoneNumber", count(|b| matches!(b, TemplateButton::PhoneNumber { .. })), MAX_PHONES),
        ("copyCode", count(|b| matches!(b, TemplateButton::CopyCode { .. })), MAX_CODES),
    ] {
        if found > most {
            findings.add(&all, format!("has {found} {what} buttons; WhatsApp allows at most {most}"));
        }
    }
    if !quick_replies_are_together(buttons) {
        findings.add(&all, "mixes quick replies with other buttons; put all quick replies first or last");
    }
    let mut titles = BTreeSet::new();
    for (index, button) in buttons.iter().enumerate() {
        let path = format!("{all}[{index}].{}", kind_of(button));
        lint_one(&path, button, known, findings);
        if !titles.insert(title_of(button)) {
            findings.add(format!("{path}.title"), format!("{:?} is the title of another button", title_of(button)));
        }
    }
}

fn title_of(button: &TemplateButton) -> &str {
    match button {
        TemplateButton::QuickReply { title, .. }
        | TemplateButton::Url { title, .. }
        | TemplateButton::PhoneNumber { title, .. }
        | TemplateButton::CopyCode { title, .. } => title,
    }
}

/// Its field in the manifest.
fn kind_of(button: &TemplateButton) -> &'static str {
    match button {
        TemplateButton::QuickReply { .. } => "quickReply",
        TemplateButton::Url { .. } => "url",
        TemplateButton::PhoneNumber { .. } => "phoneNumber",
        TemplateButton::CopyCode { .. } => "copyCode",
    }
}

fn quick_replies_are_together(buttons: &[TemplateButton]) -> bool {
    let is_reply = |button: &TemplateButton| matches!(button, TemplateButton::QuickReply { .. });
    buttons.windows(2).filter(|pair| is_reply(&pair[0]) != is_reply(&pair[1])).count() <= 1
}

fn lint_one(path: &str, button: &TemplateButton, known: &BTreeSet<&str>, findings: &mut Findings) {
    let title = format!("{path}.title");
    findings.check_length(&title, title_of(button), MAX_TITLE);
    findings.check_has_no_placeholder(&title, title_of(button));
    findings.check_is_plain(&title, title_of(button));
    match button {
        TemplateButton::QuickReply { id, .. } => findings.check_length(&format!("{path}.id"), id, MAX_ID),
        TemplateButton::Url { url, .. } => lint_url(&format!("{path}.url"), url, known, findings),
        TemplateButton::PhoneNumber { phone, .. } => {
            if let Err(error) = phone.parse::<PhoneNumber>() {
                findings.add(format!("{path}.phone"), error.to_string());
            }
        }
        TemplateButton::CopyCode { code, .. } => {
            let path = format!("{path}.code");
            findings.check_length(&path, code, MAX_CODE);
            findings.check_placeholders(&path, code, known);
        }
    }
}

fn lint_url(path: &str, url: &str, known: &BTreeSet<&str>, findings: &mut Findings) {
    findings.check_length(path, url, MAX_URL);
    findings.check_placeholders(path, url, known);
    let fixed = match pieces(url).as_slice() {
        [Piece::Text(fixed)] | [Piece::Text(fixed), Piece::Placeholder(_)] => *fixed,
        _ => {
            let message = format!("{url:?} has a placeholder before its end; expected at most one, at the end");
            return findings.add(path, message);
        }
    };
    if !Url::parse(fixed).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        findings
            .add(path, format!("{url:?} is not a web URL; expected one such as https://shop.example/orders/{{{{1}}}}"));
    }
}
