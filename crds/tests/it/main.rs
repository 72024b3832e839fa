//! What the schemas promise, without a cluster. The rules accept every manifest in `manifests/good`, and refuse every
//! one in `manifests/bad` with the field and message in its first line. A manifest of two documents is an object and a
//! change of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use kube::core::cel::Validator;
use serde_json::Value;

fn manifests(verdict: &str) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(verdict);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|document| serde_yaml::from_str(document).unwrap()).collect()
}

fn schema_of(object: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap();
    let definition = crds::definition::all().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
    serde_json::to_value(definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref()).unwrap()
}

/// Drops nulls, as the API server does where the schema does not allow them.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        scalar => scalar,
    }
}

/// Every complaint, as `field: message`.
fn complaints(text: &str) -> Vec<String> {
    let documents: Vec<_> = documents(text).into_iter().map(without_nulls).collect();
    let schema = schema_of(&documents[0]);
    let validator = Validator::new();
    let check = |object, old| match validator.validate(&schema, object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| format!("{}: {}", error.field_path, error.message)).collect(),
    };
    match documents.as_slice() {
        [object] => check(object, None),
        [old, new] => {
            assert_eq!(check(old, None), Vec::<String>::new(), "the object must be valid before the change");
            check(new, Some(old))
        }
        more => panic!("a manifest has one or two documents, not {}", more.len()),
    }
}

#[test]
fn every_good_manifest_is_accepted() {
    for (path, text) in manifests("good") {
        assert_eq!(complaints(&text), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn every_bad_manifest_is_refused_with_the_field_and_what_would_be_right() {
    for (path, text) in manifests("bad") {
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
        assert_eq!(complaints(&text), [expected], "{}", path.display());
    }
}

#[test]
fn every_manifest_reads_as_the_type_of_its_kind() {
    for (path, text) in manifests("good").into_iter().chain(manifests("bad")) {
        for object in documents(&text) {
            let read = match object["kind"].as_str().unwrap() {
                "WhatsAppSender" => serde_json::from_value::<crds::WhatsAppSender>(object).map(drop),
                "MessageTemplate" => serde_json::from_value::<crds::MessageTemplate>(object).map(drop),
                _ => serde_json::from_value::<crds::RoutingPolicy>(object).map(drop),
            };
            assert!(read.is_ok(), "{}: {read:?}", path.display());
        }
    }
}

#[test]
fn the_committed_definitions_are_the_generated_ones() {
    for definition in crds::definition::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(crds::definition::file_name(&definition));
        assert!(
            fs::read_to_string(&path).unwrap() == crds::definition::to_yaml(&definition).unwrap(),
            "{} is out of date: run `make generate`",
            path.display()
        );
    }
}

#[test]
fn defaults_in_the_schema_are_those_of_the_types() {
    let minimal = &documents(
        &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/good/sender-minimal.yaml"))
            .unwrap(),
    )[0];
    let defaulted = kube::core::cel::apply_defaults(&schema_of(minimal), minimal);
    let read: crds::WhatsAppSender = serde_json::from_value(minimal.clone()).unwrap();
    assert_eq!(defaulted["spec"], serde_json::to_value(read.spec).unwrap());
}

#[test]
fn who_lists_senders_or_templates_sees_which_are_paused_and_why_one_is_not_ready() {
    for kind in ["WhatsAppSender", "MessageTemplate"] {
        let definition = crds::definition::all().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
        let columns = definition.spec.versions[0].additional_printer_columns.clone().unwrap();
        let shows = |name: &str| columns.iter().find(|column| column.name == name).unwrap();
        let reconciling = shows("Reconciling");
        assert_eq!(reconciling.json_path, ".status.conditions[?(@.type==\"Reconciling\")].reason", "{kind}");
        assert_eq!(reconciling.priority.unwrap_or(0), 0, "{kind}: without -o wide");
        assert_eq!(shows("Message").json_path, ".status.conditions[?(@.type==\"Ready\")].message", "{kind}");
    }
}
