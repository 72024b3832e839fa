//! The hints as they were last seen, and when each template was hinted at.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use messaging::hints::{About, Hint, Hints, OBJECT};
use messaging::id::{SenderName, TemplateName, TenantId};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::reconcile::error::KubernetesFailure;

/// After this long, every list that a template is looked at in is newer than its hint.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// What the operator knows of hints.
#[derive(Debug, Default)]
pub struct Board {
    seen: Mutex<Hints>,
    /// Test events whose ids the provider refused.
    refused: Mutex<BTreeSet<String>>,
    hinted: Mutex<HashMap<(TenantId, TemplateName), Instant>>,
    exists: AtomicBool,
}

impl Board {
    /// Takes the object's hints over, and returns those that are new.
    pub fn take(&self, hints: Hints) -> Vec<Hint> {
        let mut seen = self.seen.lock();
        let new = hints.iter().filter(|hint| !seen.iter().any(|known| known == *hint)).cloned().collect();
        let mut refused = self.refused.lock();
        refused.retain(|test| hints.iter().any(|hint| matches!(&hint.about, About::Test(id) if id == test)));
        *seen = hints;
        new
    }

    /// The ids of the test events that arrived for a sender, the newest first.
    pub fn tests(&self, tenant: &TenantId, sender: &SenderName) -> Vec<String> {
        let (seen, refused) = (self.seen.lock(), self.refused.lock());
        let of = seen.iter().filter(|hint| hint.tenant == *tenant && hint.sender == *sender);
        let ids = of.filter_map(|hint| match &hint.about {
            About::Test(id) if !refused.contains(id) => Some(id.clone()),
            About::Test(_) | About::Template(_) => None,
        });
        let mut newest_first: Vec<String> = ids.collect();
        newest_first.reverse();
        newest_first
    }

    /// The provider refused the id of a test event, which is not tried again.
    pub fn refuse(&self, test: &str) {
        self.refused.lock().insert(test.to_owned());
    }

    /// A template was hinted at.
    pub fn hint(&self, tenant: &TenantId, template: &TemplateName, at: Instant) {
        let mut hinted = self.hinted.lock();
        hinted.retain(|_, before| at.saturating_duration_since(*before) < FORGOTTEN_AFTER);
        hinted.insert((tenant.clone(), template.clone()), at);
    }

    /// How old a list may be in which a template is looked at: it began after the last hint. `None` without one.
    pub fn since_hint(&self, tenant: &TenantId, template: &TemplateName) -> Option<Duration> {
        let at = self.hinted.lock().get(&(tenant.clone(), template.clone())).copied()?;
        Some(at.elapsed())
    }

    /// Whether the object exists, as the watch shows it.
    pub fn set_exists(&self, exists: bool) {
        self.exists.store(exists, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn has_object(&self) -> bool {
        self.exists.load(Ordering::Relaxed)
    }

    /// A sender is gone. Its hints age out by themselves, and a new one of the same name must not confirm with them.
    pub fn forget(&self, tenant: &TenantId, sender: &str) {
        let tests: Vec<String> = {
            let seen = self.seen.lock();
            let of = seen.iter().filter(|hint| hint.tenant == *tenant && hint.sender.as_str() == sender);
            of.filter_map(|hint| if let About::Test(id) = &hint.about { Some(id.clone()) } else { None }).collect()
        };
        self.refused.lock().extend(tests);
    }
}

/// Makes sure that there is an object for the data plane to write into.
#[async_trait]
pub trait EnsureObject: Send + Sync {
    async fn ensure(&self) -> Result<(), KubernetesFailure>;
}

/// The object in the operator's namespace.
pub struct ClusterObject {
    pub api: Api<ConfigMap>,
    pub board: Arc<Board>,
}

#[async_trait]
impl EnsureObject for ClusterObject {
    async fn ensure(&self) -> Result<(), KubernetesFailure> {
        if self.board.exists.load(Ordering::Relaxed) {
            return Ok(());
        }
        let labels = [("app.kubernetes.io/managed-by".to_owned(), "whatsapp-operator".to_owned())].into();
        let metadata = ObjectMeta { name: Some(OBJECT.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
        match self.api.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => {
                let what = format!("the ConfigMap {OBJECT} can't be created");
                return Err(KubernetesFailure::new(what)(error));
            }
        }
        self.board.set_exists(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::testing::api::FakeApi;

    const PATH: &str = "/api/v1/namespaces/system/configmaps/whatsapp-hints";

    fn process(api: &Arc<FakeApi>) -> ClusterObject {
        ClusterObject { api: Api::namespaced(api.client(), "system"), board: Arc::default() }
    }

    #[tokio::test]
    async fn the_object_is_made_once_by_however_many_processes_and_again_when_it_is_gone() {
        let api = Arc::<FakeApi>::default();
        let (first, second) = (process(&api), process(&api));
        for _ in 0..3 {
            first.ensure().await.unwrap();
        }
        assert_eq!((api.get(PATH).is_some(), api.writes()), (true, 1));
        for _ in 0..3 {
            second.ensure().await.unwrap();
        }
        assert_eq!(api.writes(), 2, "one that finds it there does not ask again");
        api.remove(PATH);
        // As the watch shows it.
        first.board.set_exists(false);
        first.ensure().await.unwrap();
        assert!(api.get(PATH).is_some());
    }

    #[tokio::test]
    async fn an_object_that_may_not_be_made_is_named_and_asked_for_again() {
        let api = Arc::<FakeApi>::default();
        api.refuse(PATH.trim_end_matches("/whatsapp-hints"), StatusCode::FORBIDDEN);
        let object = process(&api);
        for _ in 0..2 {
            let refused = object.ensure().await.unwrap_err();
            assert_eq!(refused.what, "the ConfigMap whatsapp-hints can't be created");
        }
    }
}
