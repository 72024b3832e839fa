//! Whether a ServiceAccount may send from a sender: the API server decides (SubjectAccessReview), and its answers are
//! cached for seconds.
//!
//! The right is the verb `create` on the virtual resource `whatsappsenders/messages`, so that a Role grants it for all
//! senders of a namespace or for some by name. An API key has no user that the API server knows. It is not asked about.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use messaging::clock::Clock;
use messaging::id::{SenderName, TenantId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::api_key::digest;
use super::bounded::Bounded;
use super::service_account::User;
use crate::metrics::{AccessResult, Metrics};
use crate::requests::seldom::Seldom;

/// What the right is about. The API server serves no such resource.
pub const GROUP: &str = "whatsapp-operator.dev";
pub const RESOURCE: &str = "whatsappsenders";
pub const SUBRESOURCE: &str = "messages";
pub const VERB: &str = "create";

/// The longest that a right outlives the Role or the binding that gave it.
const CACHE_ALLOWED: SignedDuration = SignedDuration::from_secs(10);
/// The longest that a new right takes to count.
const CACHE_DENIED: SignedDuration = SignedDuration::from_secs(2);
const CAPACITY: usize = 8192;
/// Calls to the API server at once; further requests wait for their turn.
const REVIEWS_AT_ONCE: usize = 16;
const REVIEW_WITHIN: Duration = Duration::from_secs(5);
/// Lines about rights that cannot be checked.
static UNCHECKED: Seldom = Seldom::new();

/// The API server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not check a caller's right: {0}")]
pub struct AccessUnknown(pub String);

/// Asks the API server for a right. A trait, so that a test can be the API server.
#[async_trait]
pub trait AccessReviewer: Send + Sync {
    async fn review_access(
        &self,
        question: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, AccessUnknown>;
}

#[async_trait]
impl AccessReviewer for Client {
    async fn review_access(
        &self,
        question: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, AccessUnknown> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.clone());
        let question = SubjectAccessReview { spec: question, ..SubjectAccessReview::default() };
        let answer = tokio::time::timeout(REVIEW_WITHIN, reviews.create(&PostParams::default(), &question)).await;
        match answer {
            Ok(Ok(review)) => review.status.ok_or_else(|| AccessUnknown("the review has no status".into())),
            Ok(Err(error)) => Err(AccessUnknown(error.to_string())),
            Err(_) => Err(AccessUnknown(format!("no answer within {} s", REVIEW_WITHIN.as_secs()))),
        }
    }
}

/// Knows which ServiceAccounts may send from which senders.
pub struct SenderAccess {
    reviewer: Arc<dyn AccessReviewer>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    reviews: Semaphore,
    fresh: Mutex<Bounded<bool>>,
}

impl SenderAccess {
    pub fn new(reviewer: Arc<dyn AccessReviewer>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            reviewer,
            clock,
            metrics,
            reviews: Semaphore::new(REVIEWS_AT_ONCE),
            fresh: Mutex::new(Bounded::new(CAPACITY)),
        }
    }

    /// Whether the user may send from a sender of the tenant.
    pub async fn allows(&self, user: &User, tenant: &TenantId, sender: &SenderName) -> Result<bool, AccessUnknown> {
        let answer = self.ask(user, tenant, sender).await;
        self.metrics.sender_access(match &answer {
            Ok(true) => AccessResult::Allowed,
            Ok(false) => AccessResult::Denied,
            Err(_) => AccessResult::Unavailable,
        });
        if let Err(error) = &answer
            && let Some(left_out) = UNCHECKED.turn()
        {
            tracing::warn!(%error, left_out, "a caller's right to send from a sender cannot be checked");
        }
        answer
    }

    async fn ask(&self, user: &User, tenant: &TenantId, sender: &SenderName) -> Result<bool, AccessUnknown> {
        let key = key(user, tenant, sender);
        if let Some(allowed) = self.cached(&key) {
            return Ok(allowed);
        }
        let _turn = self.reviews.acquire().await.map_err(|_| AccessUnknown("this replica ends".into()))?;
        // Another request may have asked the same while this one waited.
        if let Some(allowed) = self.cached(&key) {
            return Ok(allowed);
        }
        // Failure policy: fail closed. Without an answer, an old one does not count: a right that was taken away would
        // otherwise last as long as the API server is away.
        let allowed = is_allowed(&self.reviewer.review_access(question(user, tenant, sender)).await?);
        let now = self.clock.now();
        let cached_for = if allowed { CACHE_ALLOWED } else { CACHE_DENIED };
        self.fresh.lock().insert(key, allowed, now + cached_for, now);
        Ok(allowed)
    }

    fn cached(&self, key: &[u8; 32]) -> Option<bool> {
        self.fresh.lock().get(key, self.clock.now()).copied()
    }
}

/// All that the answer may depend on. `Debug` quotes each text, so no two questions look alike.
fn key(user: &User, tenant: &TenantId, sender: &SenderName) -> [u8; 32] {
    digest(&format!("{:?}", (user, tenant, sender)))
}

fn question(user: &User, tenant: &TenantId, sender: &SenderName) -> SubjectAccessReviewSpec {
    let User { name, uid, groups, extra } = user.clone();
    SubjectAccessReviewSpec {
        user: Some(name),
        uid,
        groups: Some(groups),
        extra: Some(extra),
        resource_attributes: Some(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            subresource: Some(SUBRESOURCE.to_owned()),
            verb: Some(VERB.to_owned()),
            namespace: Some(tenant.to_string()),
            name: Some(sender.to_string()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

/// An explicit denial counts whatever else the answer says.
fn is_allowed(answer: &SubjectAccessReviewStatus) -> bool {
    answer.allowed && answer.denied != Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            uid: Some("uid-1".into()),
            groups: vec!["system:serviceaccounts".into()],
            extra: [("pod".to_owned(), vec!["app-0".to_owned()])].into(),
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn sender(name: &str) -> SenderName {
        SenderName::new(name).unwrap()
    }

    #[test]
    fn only_an_answer_that_allows_and_does_not_deny_allows() {
        let answer = |allowed, denied| SubjectAccessReviewStatus { allowed, denied, ..Default::default() };
        assert!(!is_allowed(&SubjectAccessReviewStatus::default()));
        assert!(!is_allowed(&answer(false, Some(false))));
        assert!(!is_allowed(&answer(true, Some(true))));
        assert!(is_allowed(&answer(true, Some(false))));
        assert!(is_allowed(&answer(true, None)));
    }

    #[test]
    fn an_answer_counts_only_for_the_same_user_tenant_and_sender() {
        let asked = key(&user("a"), &tenant("shop"), &sender("support"));
        assert_eq!(asked, key(&user("a"), &tenant("shop"), &sender("support")));
        let other_groups = User { groups: vec![], ..user("a") };
        let other_extra = User { extra: [].into(), ..user("a") };
        let other_uid = User { uid: None, ..user("a") };
        for other in [user("b"), other_groups, other_extra, other_uid] {
            assert_ne!(asked, key(&other, &tenant("shop"), &sender("support")), "{other:?}");
        }
        assert_ne!(asked, key(&user("a"), &tenant("bank"), &sender("support")));
        assert_ne!(asked, key(&user("a"), &tenant("shop"), &sender("sales")));
    }

    #[test]
    fn the_question_names_the_user_as_authenticated_and_the_virtual_resource() {
        let asked = question(&user("a"), &tenant("shop"), &sender("support"));
        let User { name, uid, groups, extra } = user("a");
        assert_eq!((asked.user, asked.uid, asked.groups, asked.extra), (Some(name), uid, Some(groups), Some(extra)));
        let about = asked.resource_attributes.unwrap();
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        assert_eq!(
            [&about.verb, &about.group, &about.resource, &about.subresource, &about.namespace, &about.name].map(text),
            ["create", "whatsapp-operator.dev", "whatsappsenders", "messages", "shop", "support"]
        );
    }
}
