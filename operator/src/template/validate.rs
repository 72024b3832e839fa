//! Validates a spec, and turns it into the revisions to submit. Needs no client.
//!
//! The schema has already refused most faults. The linter finds those that a schema can't express, before a review that
//! takes hours does.

use std::collections::BTreeMap;

use crds::annotation::DELETE_ADOPTED;
use crds::condition::reason;
use crds::{Button, Localization, MessageTemplate, MessageTemplateSpec, ReadyWhen, TemplateCategory, Variable};
use kube::ResourceExt;
use messaging::finding::Finding;
use messaging::provider::admin::{TemplateHandle, TemplateRevision};
use messaging::template::lint::{self, Draft};
use messaging::template::placeholder::used_keys;
use messaging::template::{LocalizedContent, TemplateButton};

use super::naming::Names;
use crate::reconcile::error::{Advice, Explain};

/// A template whose every revision may be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validated {
    pub(super) names: Names,
    pub(super) category: TemplateCategory,
    /// Keys of the variables, in the order of the manifest.
    pub(super) variables: Vec<String>,
    pub(super) ready_when: ReadyWhen,
    /// The text of each language, as written and as submitted.
    pub(super) languages: BTreeMap<String, (Localization, TemplateRevision)>,
    /// The templates to adopt, by language.
    pub(super) adopt: BTreeMap<String, Vec<Named>>,
    /// What was adopted may be deleted like what was created.
    pub(super) deletes_adopted: bool,
}

/// A template at the provider that the spec names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The field that names it.
    pub(super) path: String,
    pub(super) handle: TemplateHandle,
}

/// Everything that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Finding::to_string).collect::<Vec<_>>().join("; "))]
pub(super) struct Invalid(pub(super) Vec<Finding>);

impl Explain for Invalid {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        reason::INVALID_SPEC
    }
    fn condition(&self) -> Option<&'static str> {
        Some(crds::condition::SYNCED)
    }
}

/// # Errors
/// With every finding, by its field's path.
pub(super) fn validate(template: &MessageTemplate) -> Result<Validated, Invalid> {
    let spec = &template.spec;
    let contents = contents(spec)?;
    let mut findings = lint::lint(&draft(spec, &contents));
    let adopt = named(spec, &mut findings);
    if !findings.is_empty() {
        return Err(Invalid(findings));
    }
    let names = names(template);
    let languages = spec.localizations.iter().zip(contents).map(|(localization, content)| {
        let revision = revision(&names, spec, &localization.language, content);
        let text = Localization { adopt: Vec::new(), ..localization.clone() };
        (localization.language.clone(), (text, revision))
    });
    Ok(Validated {
        category: spec.category,
        variables: spec.variables.iter().map(|variable| variable.key.clone()).collect(),
        ready_when: spec.ready_when,
        languages: languages.collect(),
        adopt,
        deletes_adopted: deletes_adopted(template),
        names,
    })
}

/// Whether an annotation hands over what was adopted. Needs no valid spec.
pub(super) fn deletes_adopted(template: &MessageTemplate) -> bool {
    template.annotations().get(DELETE_ADOPTED).is_some_and(|value| value == "true")
}

/// The templates to adopt. One can have one language only.
fn named(spec: &MessageTemplateSpec, findings: &mut Vec<Finding>) -> BTreeMap<String, Vec<Named>> {
    let mut all: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (index, localization) in spec.localizations.iter().enumerate() {
        for (at, handle) in localization.adopt.iter().enumerate() {
            let path = format!("spec.localizations[{index}].adopt[{at}]");
            if let Some(first) = seen.insert(handle, path.clone()) {
                let message = format!("{handle} is already in {first}; name each template once, in its language");
                findings.push(Finding::new(path, message));
                continue;
            }
            let named = Named { path, handle: TemplateHandle::new(handle) };
            all.entry(localization.language.clone()).or_default().push(named);
        }
    }
    all
}

/// The names of an object's revisions. Needs no valid spec.
pub(super) fn names(template: &MessageTemplate) -> Names {
    Names::new(&template.namespace().unwrap_or_default(), &template.name_any(), &template.uid().unwrap_or_default())
}

fn contents(spec: &MessageTemplateSpec) -> Result<Vec<LocalizedContent>, Invalid> {
    let mut contents = Vec::new();
    let mut findings = Vec::new();
    for (index, localization) in spec.localizations.iter().enumerate() {
        match content(localization) {
            Ok(content) => contents.push(content),
            Err(button) => findings.push(Finding::new(
                format!("spec.localizations[{index}].buttons[{button}]"),
                "must be exactly one of quickReply, url, phoneNumber and copyCode",
            )),
        }
    }
    if findings.is_empty() { Ok(contents) } else { Err(Invalid(findings)) }
}

/// # Errors
/// With the index of a button that has no kind, or more than one.
pub(super) fn content(localization: &Localization) -> Result<LocalizedContent, usize> {
    let Localization { language: _, body, header, footer, buttons, adopt: _ } = localization;
    let buttons: Result<_, _> = buttons.iter().enumerate().map(|(at, b)| button(b).ok_or(at)).collect();
    Ok(LocalizedContent { body: body.clone(), header: header.clone(), footer: footer.clone(), buttons: buttons? })
}

fn button(button: &Button) -> Option<TemplateButton> {
    let Button { quick_reply, url, phone_number, copy_code } = button.clone();
    let kinds = [
        quick_reply.map(|reply| TemplateButton::QuickReply { title: reply.title, id: reply.id }),
        url.map(|url| TemplateButton::Url { title: url.title, url: url.url }),
        phone_number.map(|number| TemplateButton::PhoneNumber { title: number.title, phone: number.phone }),
        copy_code.map(|code| TemplateButton::CopyCode { title: code.title, code: code.code }),
    ];
    let mut kinds = kinds.into_iter().flatten();
    kinds.next().filter(|_| kinds.next().is_none())
}

fn draft(spec: &MessageTemplateSpec, contents: &[LocalizedContent]) -> Draft {
    let variable = |Variable { key, description: _, example }: &Variable| lint::Variable {
        key: key.clone(),
        example: example.clone(),
    };
    let languages = spec.localizations.iter().map(|localization| localization.language.clone());
    Draft {
        variables: spec.variables.iter().map(variable).collect(),
        localizations: languages.zip(contents.iter().cloned()).collect(),
        fallback_language: spec.fallback_language.clone(),
    }
}

fn revision(names: &Names, spec: &MessageTemplateSpec, language: &str, content: LocalizedContent) -> TemplateRevision {
    // Only the examples that this language uses, so that a change of the others does not need a new review.
    let used = used_keys(&content);
    let examples: BTreeMap<_, _> = spec
        .variables
        .iter()
        .filter(|variable| used.contains(variable.key.as_str()))
        .map(|variable| (variable.key.clone(), variable.example.clone()))
        .collect();
    let category = spec.category.into();
    TemplateRevision {
        name: names.revision(category, language, &content, &examples),
        language: language.to_owned(),
        category,
        content,
        examples,
    }
}
