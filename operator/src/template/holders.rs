//! Which objects have or name each template at a provider: an index of all objects, which the watch keeps current.
//!
//! Every reconcile of an object that adopted something asks who else has it. Without the index, each would look at
//! every object.

use std::collections::{BTreeSet, HashMap};

use crds::MessageTemplate;
use kube::ResourceExt;
use messaging::provider::admin::TemplateHandle;
use parking_lot::Mutex;

use super::claims::recorded_or_named;

/// Namespace and name.
type Key = (String, String);

/// The index.
#[derive(Debug, Default)]
pub struct Holders(Mutex<Index>);

/// Most templates have one object and most objects few templates, so lists take a fraction of what sets would.
#[derive(Debug, Default)]
struct Index {
    by_handle: HashMap<String, Vec<Key>>,
    by_object: HashMap<Key, Vec<String>>,
}

impl Holders {
    /// An object changed, or is gone.
    pub(crate) fn note(&self, object: &MessageTemplate, exists: bool) {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        let has: BTreeSet<String> =
            if exists { recorded_or_named(object).map(str::to_owned).collect() } else { BTreeSet::new() };
        let mut index = self.0.lock();
        let had = index.by_object.remove(&key).unwrap_or_default();
        for handle in had.iter().filter(|handle| !has.contains(*handle)) {
            if let Some(keys) = index.by_handle.get_mut(handle) {
                keys.retain(|known| *known != key);
                if keys.is_empty() {
                    index.by_handle.remove(handle);
                }
            }
        }
        for handle in has.iter().filter(|handle| !had.contains(handle)) {
            index.by_handle.entry(handle.clone()).or_default().push(key.clone());
        }
        if !has.is_empty() {
            index.by_object.insert(key, has.into_iter().collect());
        }
    }

    /// The namespaces and names of the objects that have or name a template.
    pub(crate) fn of(&self, handle: &TemplateHandle) -> BTreeSet<Key> {
        self.0.lock().by_handle.get(handle.as_str()).into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(handles: &[&str]) -> MessageTemplate {
        let yaml = r#"
apiVersion: whatsapp-operator.dev/v1alpha1
kind: MessageTemplate
metadata: { name: greeting, namespace: toys }
spec:
  senderRefs: [{ name: counter }]
  category: UTILITY
  localizations: [{ language: en_US, body: "Hello." }]
  fallbackLanguage: en_US
"#;
        let mut object: MessageTemplate = serde_yaml::from_str(yaml).unwrap();
        object.spec.localizations[0].adopt = handles.iter().map(|&handle| handle.to_owned()).collect();
        object
    }

    #[test]
    fn an_object_is_found_by_what_it_has_now_and_nothing_is_kept_of_one_that_is_gone() {
        let holders = Holders::default();
        let found = |handle: &str| !holders.of(&TemplateHandle::new(handle)).is_empty();
        holders.note(&naming(&["HX1", "HX2"]), true);
        assert!(found("HX1") && found("HX2"));
        holders.note(&naming(&["HX2", "HX3"]), true);
        assert!(!found("HX1") && found("HX2") && found("HX3"));
        holders.note(&naming(&["HX2", "HX3"]), false);
        let index = holders.0.lock();
        assert!(index.by_handle.is_empty() && index.by_object.is_empty(), "{index:?}");
    }
}
