//! Which language of a template is sent, under which handle.

use super::Approval;
use super::{AccountTemplate, LocalizationConfig, LocalizedContent, TemplateCategory, TemplateConfig};
use crate::refusal::{Refusal, RefusalCode};

/// One language of a template, approved at one provider account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedTemplate<'a> {
    /// The provider's name for it.
    pub handle: &'a str,
    pub language: &'a str,
    pub category: TemplateCategory,
    pub content: &'a LocalizedContent,
}

/// Finds the language to send: the first that is approved at the account among the requested one, others of the same
/// base language, and the template's fallback language. So a request for `de_AT` gets `de` rather than nothing, and
/// while `de` waits for approval it gets the fallback language. When none can be sent, the refusal is about the first
/// of them.
pub fn resolve<'a>(
    template: &'a TemplateConfig,
    requested: Option<&str>,
    account_key: &str,
) -> Result<ResolvedTemplate<'a>, Refusal> {
    let mut first_refusal = None;
    for (language, localization) in candidates(template, requested) {
        match sendable(language, localization, account_key) {
            Ok(account) => {
                return Ok(ResolvedTemplate {
                    handle: &account.handle,
                    language,
                    category: template.category,
                    content: &localization.content,
                });
            }
            Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
        }
    }
    Err(first_refusal.unwrap_or_else(|| {
        let wanted = requested.unwrap_or(&template.fallback_language);
        let known: Vec<_> = template.localizations.keys().map(String::as_str).collect();
        Refusal::new(
            RefusalCode::TemplateUnknownLanguage,
            "/template/language",
            format!("template.language: the template has no language {wanted:?}"),
            format!("one of its languages: {}", known.join(", ")),
        )
    }))
}

/// The acceptable languages, best first.
fn candidates<'a>(
    template: &'a TemplateConfig,
    requested: Option<&str>,
) -> impl Iterator<Item = (&'a str, &'a LocalizationConfig)> {
    let fallback = template.fallback_language.as_str();
    let mut languages: Vec<&'a str> = Vec::new();
    if let Some(requested) = requested {
        let requested = requested.replace('-', "_");
        let among = |same: &dyn Fn(&str) -> bool| {
            template.localizations.keys().map(String::as_str).filter(|l| same(l)).collect::<Vec<_>>()
        };
        languages.extend(among(&|l| is_same_language(&requested, l)));
        let same_base = |l: &str| base(l).eq_ignore_ascii_case(base(&requested));
        languages.extend(Some(fallback).filter(|l| same_base(l) && base(&requested) == requested));
        // The bare base language sorts before its regions, and the map is ordered, so the result is always the same.
        languages.extend(among(&same_base));
    }
    languages.push(fallback);
    languages.into_iter().filter_map(|l| template.localizations.get_key_value(l)).map(|(l, c)| (l.as_str(), &**c))
}

/// Spelling does not matter: `en-us` is `en_US`.
pub fn is_same_language(asked: &str, language: &str) -> bool {
    asked.replace('-', "_").eq_ignore_ascii_case(language)
}

/// `de` of `de_AT`.
fn base(language: &str) -> &str {
    language.split('_').next().unwrap_or(language)
}

fn sendable<'a>(
    language: &str,
    localization: &'a LocalizationConfig,
    account_key: &str,
) -> Result<&'a AccountTemplate, Refusal> {
    let refuse = |code, detail: String, expected: &str| {
        Err(Refusal::new(code, "/template/name", format!("template: language {language} {detail}"), expected))
    };
    let approved = "a template that WhatsApp has approved";
    let Some(account) = localization.accounts.get(account_key) else {
        return refuse(
            RefusalCode::TemplateUnknownAtAccount,
            format!("is not at the provider account {account_key} of this sender"),
            "a template whose spec.senderRefs name this sender or another of its account",
        );
    };
    match &account.approval {
        Approval::Approved => Ok(account),
        Approval::Unsubmitted => refuse(
            RefusalCode::TemplateNotApproved,
            "has not been submitted for approval yet".into(),
            "a template that WhatsApp has approved; try again once kubectl get whatsapp shows it as approved",
        ),
        Approval::Pending => refuse(
            RefusalCode::TemplateNotApproved,
            "is still being reviewed by WhatsApp".into(),
            "a template that WhatsApp has approved; try again once kubectl get whatsapp shows it as approved",
        ),
        Approval::Rejected { reason } => {
            refuse(RefusalCode::TemplateNotApproved, format!("was rejected by WhatsApp: {reason}"), approved)
        }
        Approval::Paused { reason } => refuse(
            RefusalCode::TemplatePaused,
            format!("is paused by WhatsApp: {reason}"),
            "a template that is not paused; WhatsApp ends a pause by itself or disables the template",
        ),
        Approval::Disabled { reason } => {
            refuse(RefusalCode::TemplateDisabled, format!("was disabled by WhatsApp: {reason}"), approved)
        }
        Approval::Unknown { word } => refuse(
            RefusalCode::TemplateNotApproved,
            format!("has the approval status {word:?}, which this version does not know"),
            approved,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn template(languages: &[(&str, Approval)]) -> TemplateConfig {
        let localization = |(language, approval): &(&str, Approval)| {
            let handle = format!("HX-{language}");
            let content = LocalizedContent { body: "hello".into(), header: None, footer: None, buttons: vec![] };
            let account = AccountTemplate { handle, approval: approval.clone() };
            let accounts = BTreeMap::from([("AC1".to_owned(), account.into())]);
            ((*language).to_owned(), LocalizationConfig { content, accounts }.into())
        };
        TemplateConfig {
            category: TemplateCategory::Utility,
            variables: vec![],
            fallback_language: "en_US".into(),
            localizations: languages.iter().map(localization).collect::<BTreeMap<_, _>>().into(),
        }
    }

    #[test]
    fn the_language_is_the_exact_one_then_the_same_base_then_the_fallback() {
        let ok = Approval::Approved;
        let template = template(&[
            ("en_US", ok.clone()),
            ("en_GB", ok.clone()),
            ("de", ok.clone()),
            ("de_CH", ok.clone()),
            ("pt_BR", ok),
        ]);
        for (requested, expected) in [
            (None, "en_US"),
            (Some("en_GB"), "en_GB"),
            (Some("en"), "en_US"),
            (Some("de_CH"), "de_CH"),
            (Some("de_AT"), "de"),
            (Some("pt_PT"), "pt_BR"),
            (Some("pt-br"), "pt_BR"),
            (Some("fr"), "en_US"),
            (Some(""), "en_US"),
        ] {
            let resolved = resolve(&template, requested, "AC1").expect("approved");
            assert_eq!(resolved.language, expected, "{requested:?}");
            assert_eq!(resolved.handle, format!("HX-{expected}"));
        }
    }

    #[test]
    fn a_language_that_waits_for_approval_is_replaced_by_one_that_does_not() {
        let mixed =
            template(&[("de", Approval::Pending), ("de_AT", Approval::Approved), ("en_US", Approval::Approved)]);
        assert_eq!(resolve(&mixed, Some("de"), "AC1").expect("approved").language, "de_AT");
        let waiting = template(&[("de", Approval::Pending), ("en_US", Approval::Approved)]);
        assert_eq!(resolve(&waiting, Some("de"), "AC1").expect("approved").language, "en_US");
    }

    #[test]
    fn a_template_that_cannot_be_sent_says_why() {
        let reason = || "INVALID_FORMAT. No.".to_owned();
        for (approval, code, words) in [
            (Approval::Pending, RefusalCode::TemplateNotApproved, "is still being reviewed"),
            (Approval::Unsubmitted, RefusalCode::TemplateNotApproved, "not been submitted"),
            (
                Approval::Rejected { reason: reason() },
                RefusalCode::TemplateNotApproved,
                "rejected by WhatsApp: INVALID",
            ),
            (Approval::Paused { reason: reason() }, RefusalCode::TemplatePaused, "paused by WhatsApp"),
            (Approval::Disabled { reason: reason() }, RefusalCode::TemplateDisabled, "disabled by WhatsApp"),
            (Approval::Unknown { word: "new".into() }, RefusalCode::TemplateNotApproved, "\"new\""),
        ] {
            let refusal = resolve(&template(&[("en_US", approval)]), None, "AC1").expect_err("not approved");
            assert_eq!(refusal.code, code);
            assert!(refusal.detail.contains(words), "{}", refusal.detail);
        }
        let elsewhere = resolve(&template(&[("en_US", Approval::Approved)]), None, "AC2").expect_err("elsewhere");
        assert_eq!(elsewhere.code, RefusalCode::TemplateUnknownAtAccount);
        let none = resolve(&template(&[("de", Approval::Approved)]), Some("fr"), "AC1").expect_err("no such language");
        assert_eq!(none.code, RefusalCode::TemplateUnknownLanguage);
        assert_eq!(
            none.to_string(),
            "template.language: the template has no language \"fr\"; expected one of its languages: de"
        );
    }
}
