//! Writes a status: only what changed, and nothing when nothing did.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value};

use crate::reconcile::conditions::{Assessments, merge};

/// What the driver adds to what a kind reports.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    pub owned: &'a [&'static str],
    pub assessed: &'a Assessments,
    pub generation: i64,
    /// The annotation that asked for this reconcile.
    pub requested_at: Option<&'a str>,
    /// Absent while unknown; then the previous value stays.
    pub data_plane: Option<Value>,
    pub now: Timestamp,
}

/// The status to report: what the kind found, in its frame.
pub fn compose(before: &Value, found: Value, frame: &Frame<'_>) -> Value {
    let mut status = match found {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let old: Vec<Condition> =
        before.get("conditions").cloned().and_then(|old| serde_json::from_value(old).ok()).unwrap_or_default();
    let conditions = merge(frame.owned, &old, frame.assessed, frame.generation, frame.now);
    status.insert("conditions".into(), serde_json::json!(conditions));
    status.insert("observedGeneration".into(), frame.generation.into());
    keep_or_set(&mut status, before, "lastHandledReconcileAt", frame.requested_at.map(Value::from));
    keep_or_set(&mut status, before, "dataPlane", frame.data_plane.clone());
    Value::Object(status)
}

/// What a kind found, without its frame, which every report writes anew.
pub fn found_in(status: &Value) -> BTreeMap<&str, &Value> {
    const FRAME: [&str; 4] = ["conditions", "observedGeneration", "lastHandledReconcileAt", "dataPlane"];
    let fields = status.as_object().into_iter().flatten();
    fields.map(|(field, value)| (field.as_str(), value)).filter(|(field, _)| !FRAME.contains(field)).collect()
}

fn keep_or_set(status: &mut Map<String, Value>, before: &Value, field: &str, value: Option<Value>) {
    match value.or_else(|| before.get(field).cloned()) {
        Some(value) => status.insert(field.to_owned(), value),
        None => status.remove(field),
    };
}

/// The JSON merge patch that turns `before` into `after`; `None` when they are equal. Lists are replaced whole.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(same) if same == value => {}
            Some(other) => patch.extend(difference(other, value).map(|inner| (key.clone(), inner))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    patch.extend(old.keys().filter(|key| !new.contains_key(*key)).map(|gone| (gone.clone(), Value::Null)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::reconcile::conditions::{Assessment, State};

    #[test]
    fn only_changed_fields_are_patched_and_missing_ones_removed() {
        let before = json!({"state": "ONLINE", "quality": "HIGH", "webhooks": {"inbound": "a", "status": "b"}});
        let after = json!({"state": "ONLINE", "webhooks": {"inbound": "c", "status": "b"}});
        assert_eq!(difference(&before, &after), Some(json!({"webhooks": {"inbound": "c"}, "quality": null})));
        assert_eq!(difference(&after, &after), None);
    }

    #[test]
    fn the_same_findings_leave_the_status_as_it_is() {
        let assessed = [("Ready", Assessment::new(State::True, "Ready", ""))].into();
        let frame = |second| Frame {
            owned: &[],
            assessed: &assessed,
            generation: 2,
            requested_at: Some("now"),
            data_plane: None,
            now: Timestamp::from_second(second).unwrap(),
        };
        let found = json!({"state": "ONLINE"});
        let data_plane = json!({"dataPlane": {"ready": 1, "total": 1}});
        let first = compose(&data_plane, found.clone(), &frame(1));
        assert_eq!(first["dataPlane"]["ready"], 1);
        assert_eq!(first["lastHandledReconcileAt"], "now");
        assert_eq!(compose(&first, found, &frame(2)), first);
    }

    fn merge_patch(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let Value::Object(target) = target else { return };
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    fn any_status() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-c]{1,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_what_was_wanted(before in any_status(), after in any_status()) {
            let mut result = before.clone();
            if let Some(patch) = difference(&before, &after) {
                merge_patch(&mut result, &patch);
            }
            prop_assert_eq!(result, after);
        }
    }
}
