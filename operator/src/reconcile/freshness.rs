//! Keeps a reconcile from acting on an object that is older than our own last write to it.
//!
//! The watch always lags a little. Without this, a reconcile could start from the status before our last write, and
//! repeat a provider call whose result that write recorded.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The version of our last write to each object, by uid.
#[derive(Debug, Default)]
pub struct Freshness(Mutex<HashMap<String, u128>>);

impl Freshness {
    /// Notes the version that a write of ours returned.
    pub fn wrote(&self, uid: &str, resource_version: Option<&str>) {
        let Some(version) = resource_version.and_then(number) else { return };
        let mut written = self.0.lock();
        let newest = written.entry(uid.to_owned()).or_default();
        *newest = version.max(*newest);
    }

    /// The newest version of an object that this process has seen or written.
    pub fn newest(&self, uid: &str, resource_version: Option<&str>) -> Option<String> {
        let seen = resource_version?;
        let written = self.0.lock().get(uid).copied();
        match (written, number(seen)) {
            (Some(written), Some(number)) if written > number => Some(written.to_string()),
            _ => Some(seen.to_owned()),
        }
    }

    /// Whether an object as the watch shows it is at least as new as our last write to it.
    pub fn is_fresh(&self, uid: &str, resource_version: Option<&str>) -> bool {
        let written = self.0.lock();
        match (written.get(uid), resource_version.and_then(number)) {
            (Some(written), Some(seen)) => seen >= *written,
            // Nothing to compare.
            _ => true,
        }
    }

    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

/// Versions of one kind are growing numbers. Kubernetes promises it since 1.35, and it always held with etcd.
pub fn number(resource_version: &str) -> Option<u128> {
    resource_version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_older_than_our_own_write_is_not_acted_on() {
        let freshness = Freshness::default();
        freshness.wrote("a", Some("100"));
        freshness.wrote("a", Some("99"));
        assert!(!freshness.is_fresh("a", Some("99")));
        assert!(freshness.is_fresh("a", Some("100")) && freshness.is_fresh("b", Some("1")));
        let newest = |uid, seen| freshness.newest(uid, Some(seen)).unwrap();
        assert_eq!([newest("a", "99"), newest("a", "101"), newest("b", "1")], ["100", "101", "1"]);
        freshness.forget("a");
        assert!(freshness.is_fresh("a", Some("99")));
    }
}
