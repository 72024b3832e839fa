//! ServiceAccount tokens: the API server checks them (TokenReview), and its verdicts are cached for a short while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use messaging::clock::Clock;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::AuthError;
use super::api_key::digest;
use super::bounded::Bounded;
use crate::requests::seldom::Seldom;

/// How long a token counts as valid after a check: the longest that a deleted ServiceAccount keeps access.
const CACHE_VALID: SignedDuration = SignedDuration::from_secs(60);
/// How long a token counts as invalid, so that a misconfigured client does not reach the API server with each request.
const CACHE_INVALID: SignedDuration = SignedDuration::from_secs(5);
/// How long a token stays valid while the API server is away, and never beyond its own expiry.
const CACHE_WITHOUT_API_SERVER: SignedDuration = SignedDuration::from_hours(1);
const CAPACITY: usize = 8192;
/// Calls to the API server at once; further requests wait for their turn.
const REVIEWS_AT_ONCE: usize = 16;
/// Lines about tokens that cannot be checked.
static UNCHECKED: Seldom = Seldom::new();
const REVIEW_WITHIN: Duration = Duration::from_secs(5);

/// The ServiceAccount that a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
    pub user: Arc<User>,
}

/// A user as the API server authenticated it: all that an authorizer may decide by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl From<UserInfo> for User {
    fn from(info: UserInfo) -> Self {
        let UserInfo { username, uid, groups, extra } = info;
        let (groups, extra) = (groups.unwrap_or_default(), extra.unwrap_or_default());
        Self { name: username.unwrap_or_default(), uid, groups, extra }
    }
}

/// The API server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not check a token: {0}")]
pub struct ReviewFailed(pub String);

/// Checks a token with the API server. A trait, so that a test can be the API server.
#[async_trait]
pub trait TokenReviewer: Send + Sync {
    async fn review(&self, token: &str, audience: &str) -> Result<TokenReviewStatus, ReviewFailed>;
}

#[async_trait]
impl TokenReviewer for Client {
    async fn review(&self, token: &str, audience: &str) -> Result<TokenReviewStatus, ReviewFailed> {
        let reviews: Api<TokenReview> = Api::all(self.clone());
        let question = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![audience.to_owned()]) },
            ..TokenReview::default()
        };
        let answer = tokio::time::timeout(REVIEW_WITHIN, reviews.create(&PostParams::default(), &question)).await;
        match answer {
            Ok(Ok(review)) => Ok(review.status.unwrap_or_default()),
            Ok(Err(error)) => Err(ReviewFailed(error.to_string())),
            Err(_) => Err(ReviewFailed(format!("no answer within {} s", REVIEW_WITHIN.as_secs()))),
        }
    }
}

/// Checks ServiceAccount tokens.
pub struct ServiceAccounts {
    reviewer: Arc<dyn TokenReviewer>,
    audience: String,
    clock: Arc<dyn Clock>,
    reviews: Semaphore,
    fresh: Mutex<Bounded<Result<ServiceAccount, String>>>,
    /// Tokens that were valid lately, for when the API server is away.
    vouched: Mutex<Bounded<ServiceAccount>>,
}

impl ServiceAccounts {
    pub fn new(reviewer: Arc<dyn TokenReviewer>, audience: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            reviewer,
            audience: audience.into(),
            clock,
            reviews: Semaphore::new(REVIEWS_AT_ONCE),
            fresh: Mutex::new(Bounded::new(CAPACITY)),
            vouched: Mutex::new(Bounded::new(CAPACITY)),
        }
    }

    /// The ServiceAccount of a token.
    pub async fn identify(&self, token: &str) -> Result<ServiceAccount, AuthError> {
        let key = digest(token);
        if let Some(verdict) = self.cached(&key) {
            return verdict;
        }
        let _turn = self.reviews.acquire().await.map_err(|_| AuthError::Unavailable)?;
        // Another request may have checked the same token while this one waited.
        if let Some(verdict) = self.cached(&key) {
            return verdict;
        }
        let answer = self.reviewer.review(token, &self.audience).await;
        let now = self.clock.now();
        match answer {
            Ok(status) => {
                let verdict = verdict(status, &self.audience);
                let cached_for = if verdict.is_ok() { CACHE_VALID } else { CACHE_INVALID };
                self.fresh.lock().insert(key, verdict.clone(), now + cached_for, now);
                match &verdict {
                    Ok(account) => {
                        let until = expiry(token).unwrap_or(now).min(now + CACHE_WITHOUT_API_SERVER);
                        self.vouched.lock().insert(key, account.clone(), until, now);
                    }
                    Err(_) => self.vouched.lock().remove(&key),
                }
                verdict.map_err(|reason| AuthError::Unknown(Some(reason)))
            }
            Err(failed) => {
                // Failure policy: fail static. While the API server is away nobody can delete a ServiceAccount either,
                // so a token that it called valid before is accepted until the token expires; any other is refused.
                let vouched = self.vouched.lock().get(&key, now).cloned();
                if let Some(left_out) = UNCHECKED.turn() {
                    let let_in = vouched.is_some();
                    tracing::warn!(error = %failed, let_in, left_out, "a ServiceAccount token cannot be checked");
                }
                vouched.ok_or(AuthError::Unavailable)
            }
        }
    }

    fn cached(&self, key: &[u8; 32]) -> Option<Result<ServiceAccount, AuthError>> {
        let fresh = self.fresh.lock();
        let verdict = fresh.get(key, self.clock.now())?;
        Some(verdict.clone().map_err(|reason| AuthError::Unknown(Some(reason))))
    }
}

/// What the API server's answer means. Unless it says `authenticated`, nothing else in it counts.
fn verdict(status: TokenReviewStatus, audience: &str) -> Result<ServiceAccount, String> {
    if status.authenticated != Some(true) {
        return Err(status.error.filter(|e| !e.is_empty()).unwrap_or_else(|| "it is not authentic".into()));
    }
    // An API server without support for audiences returns none; such a token is for the API server, not for us.
    if !status.audiences.unwrap_or_default().iter().any(|a| a == audience) {
        return Err(format!("it is not for the audience {audience:?}"));
    }
    let user = User::from(status.user.unwrap_or_default());
    let (namespace, name) = user
        .name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
        .ok_or("it does not belong to a ServiceAccount")?;
    Ok(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned(), user: Arc::new(user) })
}

/// Whether a bearer token has the form of a JWT, so that a mistyped API key is not sent to the API server.
pub fn looks_like_one(token: &str) -> bool {
    let parts: Vec<_> = token.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty())
}

/// When a token expires, by its own claim. Used only for tokens that the API server called valid.
fn expiry(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}
