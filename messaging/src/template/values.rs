//! Whether the values of a send fit the template.

use std::collections::BTreeMap;

use super::TemplateConfig;
use super::placeholder::used_keys;
use super::render::substitute;
use super::resolve::ResolvedTemplate;
use crate::refusal::{Refusal, RefusalCode};
use crate::text::is_blank;

/// The most characters of a body with the values in place (Twilio error 63021).
pub const MAX_RENDERED: usize = 1024;

/// Refuses values that WhatsApp would not accept or the template does not have.
pub fn check(
    template: &TemplateConfig,
    resolved: &ResolvedTemplate<'_>,
    values: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let declared = || match template.variables.join(", ") {
        keys if keys.is_empty() => "no values".to_owned(),
        keys => format!("a value for each of {keys}"),
    };
    let listed = |keys: Vec<&String>| keys.into_iter().map(|k| format!("{k:?}")).collect::<Vec<_>>().join(", ");

    let missing: Vec<_> = template.variables.iter().filter(|key| !values.contains_key(*key)).collect();
    if !missing.is_empty() {
        let detail = format!("template.values: the template's variables {} have no value", listed(missing));
        return Err(Refusal::new(RefusalCode::TemplateValuesMissing, "/template/values", detail, declared()));
    }
    let unknown: Vec<_> = values.keys().filter(|key| !template.variables.contains(key)).collect();
    if let Some(first) = unknown.first() {
        let pointer = format!("/template/values/{}", escaped(first));
        let detail = format!("template.values: the template has no variables {}", listed(unknown));
        return Err(Refusal::new(RefusalCode::TemplateValuesUnknown, pointer, detail, declared()));
    }
    for (key, value) in values {
        if let Err(expected) = check_value(value) {
            let pointer = format!("/template/values/{}", escaped(key));
            let detail = format!("template.values.{key}: WhatsApp does not accept {value:?}");
            return Err(Refusal::new(RefusalCode::TemplateValueInvalid, pointer, detail, expected));
        }
    }
    let length = substitute(&resolved.content.body, values).chars().count();
    if length > MAX_RENDERED {
        let detail = format!("template.values: with these values the body has {length} characters");
        let expected = format!("at most {MAX_RENDERED}");
        return Err(Refusal::new(RefusalCode::TemplateTooLong, "/template/values", detail, expected));
    }
    Ok(())
}

/// Whether WhatsApp accepts a value in a placeholder (Twilio error 63013); if not, what it would accept.
pub fn check_value(value: &str) -> Result<(), &'static str> {
    const MANY_SPACES: &str = "     ";
    if is_blank(value) {
        Err("a value that is not empty")
    } else if value.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        Err("a value without line breaks, tabs and control characters")
    } else if value.contains(MANY_SPACES) {
        Err("a value without more than 4 spaces in a row")
    } else {
        Ok(())
    }
}

/// The values that this language uses: a count that differs from the text's is an error (63028).
pub fn used(resolved: &ResolvedTemplate<'_>, values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let used = used_keys(resolved.content);
    values.iter().filter(|(key, _)| used.contains(key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A key as a token of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_break_a_placeholder_are_refused() {
        for good in ["Ava", "a    b", "Ünïcode 🙂", "{{2}}"] {
            assert_eq!(check_value(good), Ok(()), "{good:?}");
        }
        for bad in ["", "  ", "\u{200b}\u{2060}", "a\nb", "a\tb", "a\r", "a     b", "a\u{2028}b", "\0"] {
            assert!(check_value(bad).is_err(), "{bad:?}");
        }
    }
}
