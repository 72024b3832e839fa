//! Templates as objects that adopt them.
//!
//! Every template is named by its id, so that applying the objects looks for none and submits none. Several languages
//! of what is evidently one template become one object: their names differ in the language at most, and their category,
//! variables and buttons do not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crds::{
    Button, CopyCodeButton, DeletionPolicy, Localization, MessageTemplate, MessageTemplateSpec, PhoneNumberButton,
    QuickReplyButton, ReadyWhen, SenderRef, UrlButton, Variable,
};
use kube::CustomResourceExt as _;
use kube::core::cel::{CompiledSchema, Validator, compile_schema};
use messaging::provider::admin::{FoundContent, TemplateObservation};
use messaging::template::placeholder::used_keys;
use messaging::template::values::check_value;
use messaging::template::{Approval, TemplateButton, TemplateCategory};
use serde_json::{Value, json};

use super::names::{Names, common};
use super::{Export, LeftOut, Manifests, object};
use crate::template;

/// How many languages and variables an object may have, by its schema.
const MOST_LANGUAGES: usize = 32;
const MOST_VARIABLES: usize = 64;
/// The longest example, by the schema.
const LONGEST_EXAMPLE: usize = 256;
/// The example of a variable for which the provider has none. Examples are only read when a text is submitted.
const NO_EXAMPLE: &str = "example";
/// The languages that other languages fall back to, where an object has them.
const FALLBACKS: [&str; 3] = ["en", "en_US", "en_GB"];

/// `sender` is the object that the templates are submitted through.
pub(super) fn templates(options: &Export, listed: &[TemplateObservation], sender: &str) -> Manifests {
    let (mut all, mut names) = (Manifests::default(), Names::default());
    let mut rows = Vec::new();
    for template in listed {
        match row(template) {
            Ok(row) => rows.push(row),
            Err(why) => all.left_out.push(LeftOut::new(what(template), why)),
        }
    }
    for Group { name, rows } in groups(rows) {
        let spec = spec(&rows, sender);
        let base = if name.is_empty() { "template" } else { name.as_str() };
        match check(base, &spec) {
            Ok(()) => all.objects.push(object(options, "MessageTemplate", &names.take(base), written(&spec))),
            Err(why) => {
                let each = rows.values().map(|row| LeftOut::new(what(row.listed), why.clone()));
                all.left_out.extend(each);
            }
        }
    }
    all
}

fn what(template: &TemplateObservation) -> String {
    format!("the template {:?} ({}, {})", template.name, template.language, template.handle)
}

/// A template that an object may adopt.
struct Row<'a> {
    listed: &'a TemplateObservation,
    content: &'a FoundContent,
    category: TemplateCategory,
}

/// # Errors
/// With the reason why no object says what this template says.
fn row(listed: &TemplateObservation) -> Result<Row<'_>, String> {
    let content = listed.content.as_ref().map_err(ToString::to_string)?;
    match &listed.approval {
        Approval::Approved | Approval::Pending | Approval::Paused { .. } => {}
        Approval::Unsubmitted => {
            return Err("it was never submitted for review, and applying it would submit it".into());
        }
        Approval::Rejected { reason } => return Err(format!("WhatsApp rejected it: {reason}")),
        Approval::Disabled { reason } => return Err(format!("WhatsApp disabled it: {reason}")),
        Approval::Unknown { word } => return Err(format!("this version does not know its state, {word:?}")),
    }
    let category = listed.category.ok_or("the provider reports no category that this version knows")?;
    if (category == TemplateCategory::Authentication) != content.text.body.is_empty() {
        return Err(format!("its text and its category, {category}, do not go together in a MessageTemplate"));
    }
    Ok(Row { listed, content, category })
}

/// The languages of one object.
struct Group<'a> {
    name: String,
    rows: BTreeMap<&'a str, Row<'a>>,
}

/// What languages of one template have in common: their name, category, variables and kinds of buttons.
type Shape<'a> = (String, TemplateCategory, BTreeSet<&'a str>, Vec<&'static str>);

/// Of several templates with one shape and language, the approved come first and each has an object of its own.
fn groups(mut rows: Vec<Row<'_>>) -> Vec<Group<'_>> {
    rows.sort_by_key(|row| match row.listed.approval {
        Approval::Approved => 0,
        Approval::Paused { .. } => 1,
        _ => 2,
    });
    let mut groups: BTreeMap<Shape<'_>, Vec<BTreeMap<&str, Row<'_>>>> = BTreeMap::new();
    for row in rows {
        let name = common(&row.listed.name, &row.listed.language);
        let kinds = row.content.text.buttons.iter().map(kind).collect();
        let alike = groups.entry((name, row.category, used_keys(&row.content.text), kinds)).or_default();
        let language = row.listed.language.as_str();
        let has_room =
            |group: &&mut BTreeMap<&str, Row<'_>>| !group.contains_key(language) && group.len() < MOST_LANGUAGES;
        match alike.iter_mut().find(has_room) {
            Some(group) => drop(group.insert(language, row)),
            None => alike.push([(language, row)].into()),
        }
    }
    let of_shape = |((name, ..), groups): (Shape<'_>, Vec<_>)| {
        groups.into_iter().map(move |rows| Group { name: name.clone(), rows }).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(of_shape).collect()
}

fn kind(button: &TemplateButton) -> &'static str {
    match button {
        TemplateButton::QuickReply { .. } => "quickReply",
        TemplateButton::Url { .. } => "url",
        TemplateButton::PhoneNumber { .. } => "phoneNumber",
        TemplateButton::CopyCode { .. } => "copyCode",
    }
}

fn spec(rows: &BTreeMap<&str, Row<'_>>, sender: &str) -> MessageTemplateSpec {
    let languages: Vec<&str> = rows.keys().copied().collect();
    let fallback = FALLBACKS.iter().find(|fallback| languages.contains(fallback)).or(languages.first());
    let category = rows.values().next().map_or(TemplateCategory::Utility, |row| row.category);
    MessageTemplateSpec {
        sender_refs: vec![SenderRef { name: sender.to_owned() }],
        category: category.into(),
        variables: variables(rows),
        localizations: rows.values().map(localization).collect(),
        fallback_language: fallback.copied().unwrap_or_default().to_owned(),
        ready_when: ReadyWhen::Approved,
        // What the object may add later stays as well, until somebody decides otherwise.
        deletion_policy: DeletionPolicy::Retain,
    }
}

fn variables(rows: &BTreeMap<&str, Row<'_>>) -> Vec<Variable> {
    let mut keys: Vec<&str> =
        rows.values().flat_map(|row| used_keys(&row.content.text)).collect::<BTreeSet<_>>().into_iter().collect();
    keys.sort_by_key(|key| (key.parse::<u32>().unwrap_or(u32::MAX), *key));
    let example = |key: &str| {
        let samples = rows.values().filter_map(|row| row.content.examples.get(key));
        let is_fit = |sample: &&String| check_value(sample).is_ok() && sample.chars().count() <= LONGEST_EXAMPLE;
        samples.into_iter().find(is_fit).map_or(NO_EXAMPLE, String::as_str).to_owned()
    };
    keys.into_iter().map(|key| Variable { key: key.to_owned(), description: None, example: example(key) }).collect()
}

fn localization(row: &Row<'_>) -> Localization {
    let text = &row.content.text;
    Localization {
        language: row.listed.language.clone(),
        body: text.body.clone(),
        header: text.header.clone(),
        footer: text.footer.clone(),
        buttons: text.buttons.iter().map(button).collect(),
        adopt: vec![row.listed.handle.to_string()],
    }
}

fn button(button: &TemplateButton) -> Button {
    let none = Button { quick_reply: None, url: None, phone_number: None, copy_code: None };
    match button.clone() {
        TemplateButton::QuickReply { title, id } => {
            Button { quick_reply: Some(QuickReplyButton { title, id }), ..none }
        }
        TemplateButton::Url { title, url } => Button { url: Some(UrlButton { title, url }), ..none },
        TemplateButton::PhoneNumber { title, phone } => {
            Button { phone_number: Some(PhoneNumberButton { title, phone }), ..none }
        }
        TemplateButton::CopyCode { title, code } => Button { copy_code: Some(CopyCodeButton { title, code }), ..none },
    }
}

/// The rules of the schema, compiled once.
static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let definition = MessageTemplate::crd();
    let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
    compile_schema(&json!(schema.and_then(|schema| schema.open_api_v3_schema.as_ref())))
});

/// # Errors
/// With the reason why the operator, or the API server, would refuse an object with this spec.
fn check(name: &str, spec: &MessageTemplateSpec) -> Result<(), String> {
    let refused = |why: String| format!("a MessageTemplate with its text is not valid: {why}");
    if spec.variables.len() > MOST_VARIABLES {
        return Err(refused(format!(
            "spec.variables: has {} entries; expected at most {MOST_VARIABLES}",
            spec.variables.len()
        )));
    }
    let object = MessageTemplate::new(name, spec.clone());
    template::check(&object).map_err(refused)?;
    Validator::new().validate_compiled(&RULES, &json!(object), None).map_err(|errors| {
        let each = errors.iter().map(|error| format!("{}: {}", error.field_path, error.message));
        refused(each.collect::<Vec<_>>().join("; "))
    })
}

/// The spec without what is its default.
fn written(spec: &MessageTemplateSpec) -> Value {
    let mut written = json!(spec);
    if let Some(fields) = written.as_object_mut() {
        fields.remove("readyWhen");
        if spec.variables.is_empty() {
            fields.remove("variables");
        }
    }
    written
}
