//! ServiceAccount tokens: the API server is asked (TokenReview), and its answer is believed for a short while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use messaging::clock::Clock;
use tokio::sync::Semaphore;

use super::AuthError;
use super::api_key::digest;
use super::bounded::Bounded;

/// A token that was good is good for this long: the longest that a deleted ServiceAccount keeps access.
const BELIEVE_YES: SignedDuration = SignedDuration::from_secs(60);
/// A token that was bad is bad for this long, so that a misconfigured client does not reach the API server each time.
const BELIEVE_NO: SignedDuration = SignedDuration::from_secs(5);
/// While the API server is away, a token that it has called good stays so for this long, and never beyond its own expiry.
const BELIEVE_WITHOUT_API_SERVER: SignedDuration = SignedDuration::from_hours(1);
const CAPACITY: usize = 8192;
/// Questions to the API server at once; further callers wait for their turn.
const REVIEWS_AT_ONCE: usize = 16;
const REVIEW_WITHIN: Duration = Duration::from_secs(5);

/// A ServiceAccount, as its token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
}

/// The API server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server cannot be asked about a token: {0}")]
pub struct ReviewFailed(pub String);

/// Asks the API server about a token; a trait, so that a test can be the API server.
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
    /// What was good lately, for when the API server is away.
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

    /// Whose token this is.
    pub async fn identify(&self, token: &str) -> Result<ServiceAccount, AuthError> {
        let key = digest(token);
        if let Some(known) = self.known(&key) {
            return known;
        }
        let _turn = self.reviews.acquire().await.map_err(|_| AuthError::Unavailable)?;
        // Whoever held the turn before may have asked about this very token.
        if let Some(known) = self.known(&key) {
            return known;
        }
        let answer = self.reviewer.review(token, &self.audience).await;
        let now = self.clock.now();
        match answer {
            Ok(status) => {
                let verdict = judge(status, &self.audience);
                let believed = if verdict.is_ok() { BELIEVE_YES } else { BELIEVE_NO };
                lock(&self.fresh).insert(key, verdict.clone(), now + believed, now);
                match &verdict {
                    Ok(account) => {
                        let until = expiry(token).unwrap_or(now).min(now + BELIEVE_WITHOUT_API_SERVER);
                        lock(&self.vouched).insert(key, account.clone(), until, now);
                    }
                    Err(_) => lock(&self.vouched).remove(&key),
                }
                verdict.map_err(|reason| AuthError::Unknown(Some(reason)))
            }
            Err(failed) => {
                // Failure policy: fail static. While the API server is away nobody can delete a ServiceAccount either,
                // so a token that it vouched for is let in until the token's own end; any other is not.
                let vouched = lock(&self.vouched).get(&key, now).cloned();
                tracing::warn!(error = %failed, let_in = vouched.is_some(), "a ServiceAccount token cannot be checked");
                vouched.ok_or(AuthError::Unavailable)
            }
        }
    }

    fn known(&self, key: &[u8; 32]) -> Option<Result<ServiceAccount, AuthError>> {
        let fresh = lock(&self.fresh);
        let verdict = fresh.get(key, self.clock.now())?;
        Some(verdict.clone().map_err(|reason| AuthError::Unknown(Some(reason))))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the API server's answer means. `authenticated` comes first: without it nothing else in the answer counts.
fn judge(status: TokenReviewStatus, audience: &str) -> Result<ServiceAccount, String> {
    if status.authenticated != Some(true) {
        return Err(status.error.filter(|e| !e.is_empty()).unwrap_or_else(|| "it is not authentic".into()));
    }
    // An API server that does not know audiences answers with none; its token is for the API server, not for us.
    if !status.audiences.unwrap_or_default().iter().any(|a| a == audience) {
        return Err(format!("it is not for the audience {audience:?}"));
    }
    let username = status.user.and_then(|user| user.username).unwrap_or_default();
    username
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
        .map(|(namespace, name)| ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
        .ok_or_else(|| "it is not a ServiceAccount's".into())
}

/// Whether a bearer value is a JWT by its form, so that an API key with a typing error never travels to the API server.
pub fn looks_like_one(token: &str) -> bool {
    let parts: Vec<_> = token.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty())
}

/// When a token ends, by its own word; only asked of tokens that the API server has called good.
fn expiry(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}
