//! One provider account. Every call is counted, timed and kept within the account's budget, and all callers share its
//! lists.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use messaging::address::PhoneNumber;
use messaging::failure::{Failure, FailureClass};
use messaging::id::PoolId;
use messaging::provider::admin::{
    AlertAdmin, AlertObservation, FoundPool, Joined, KeyAdmin, KeyObservation, Listed, ListedSender, MintedKey,
    PoolAdmin, PoolObservation, Registered, Registration, RegistrationAdmin, ReviewBegins, SenderAdmin,
    SenderObservation, Stream, StreamAdmin, Subscription, TemplateAdmin, TemplateHandle, TemplateObservation,
    TemplateRevision, TokenAdmin, Verified, WebhookTargets, senders,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin, ProviderError};
use messaging::secret::Secret;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::budget::Budget;
use super::shared::SharedList;
use crate::leader::tenure::Tenure;
use crate::metrics::{CallOutcome, Metrics};

/// How long a call may wait for its turn. A call that would wait longer is not made.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many keys of webhooks are known to be accepted. A rotation has two.
const MOST_KEYS: usize = 8;

/// One account at a provider. It implements [`AccountAdmin`]; read its lists through
/// [`Account::templates`], [`Account::sender`] and [`Account::every_pool`].
pub struct Account {
    key: String,
    admin: Arc<dyn AccountAdmin>,
    metrics: Arc<Metrics>,
    tenure: Tenure,
    budget: Mutex<Budget>,
    templates: SharedList<TemplateObservation>,
    pools: SharedList<PoolObservation>,
    senders: SharedList<ListedSender>,
    alerts: SharedList<AlertObservation>,
    /// That the credentials were accepted, and each key of webhooks, by its digest.
    accepted: SharedList<()>,
    accepted_keys: Mutex<HashMap<[u8; 32], Arc<SharedList<()>>>>,
    /// When the provider last refused a call for want of a right.
    refused: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Account {
    /// `key` is [`messaging::config::ProviderAccount::account_key`].
    pub fn new(key: String, admin: Arc<dyn AccountAdmin>, metrics: Arc<Metrics>) -> Self {
        Self {
            key,
            admin,
            metrics,
            tenure: Tenure::default(),
            budget: Mutex::default(),
            templates: SharedList::default(),
            pools: SharedList::default(),
            senders: SharedList::default(),
            alerts: SharedList::default(),
            accepted: SharedList::default(),
            accepted_keys: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// The same, where nothing is changed after this process's tenure.
    #[must_use]
    pub fn during(self, tenure: Tenure) -> Self {
        Self { tenure, ..self }
    }

    #[cfg(test)]
    pub(crate) async fn forget_senders(&self) {
        self.senders.forget().await;
    }

    #[cfg(test)]
    pub(crate) fn set_unlimited(&self, is_unlimited: bool) {
        self.budget().is_unlimited = is_unlimited;
    }

    /// The key under which template handles and routes are stored.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Every template of the account, as it was at most `max_age` ago, and not before we created or submitted one whose
    /// name `concerns` the caller.
    pub async fn templates(
        &self,
        max_age: Duration,
        concerns: impl Fn(&str) -> bool + Send,
    ) -> Result<Arc<Vec<TemplateObservation>>, ProviderError> {
        let list = async {
            let mut listed = self.list_templates().await?;
            // An account has thousands of templates, and nobody here reads their sample values.
            listed.rows.iter_mut().filter_map(|row| row.content.as_mut().ok()).for_each(|found| found.examples.clear());
            Ok(listed.rows)
        };
        self.templates.get(max_age, |name, _| concerns(name), list).await
    }

    /// The sender with this number, as it was at most `max_age` ago, and not before we changed it; `None` when the
    /// account has no such sender.
    pub async fn sender(
        &self,
        number: &PhoneNumber,
        max_age: Duration,
    ) -> Result<Option<SenderObservation>, ProviderError> {
        let list = async { self.list_senders().await.map(|listed| listed.rows) };
        let concerns = |handle: &str, rows: &[ListedSender]| {
            let own = rows.iter().find(|row| row.number == *number);
            // One that could not be read may be any.
            own.is_some_and(|own| own.seen.as_ref().map_or(true, |seen| seen.handle == handle))
        };
        let all = self.senders.get(max_age, concerns, list).await?;
        senders::find(&all, number)
    }

    /// Every pool of the account, as it was at most `max_age` ago, and not before we changed which holds the sender
    /// with this handle; none where the provider has no pools.
    pub async fn every_pool(
        &self,
        max_age: Duration,
        sender: &str,
    ) -> Result<Arc<Vec<PoolObservation>>, ProviderError> {
        let list = async { self.list_pools().await.map(|listed| listed.rows) };
        self.pools.get(max_age, |handle, _| handle == sender, list).await
    }

    /// Checks the credentials, unless they were accepted at most `max_age` ago and nothing was refused since: an
    /// account may have hundreds of senders.
    pub async fn are_accepted(&self, max_age: Duration) -> Result<(), ProviderError> {
        let check = async { self.check_credentials().await.map(|()| Vec::new()) };
        self.accepted.get(self.since_refused().min(max_age), |_, _| true, check).await.map(drop)
    }

    /// Checks the key that signs webhooks, likewise.
    pub async fn is_accepted(&self, key: &Secret, max_age: Duration) -> Result<(), ProviderError> {
        let known = self.accepted_key(key);
        let check = async { self.check_webhook_key(key).await.map(|()| Vec::new()) };
        known.get(self.since_refused().min(max_age), |_, _| true, check).await.map(drop)
    }

    /// How long ago the provider refused a call for want of a right.
    fn since_refused(&self) -> Duration {
        self.refused.lock().map_or(Duration::MAX, |refused| refused.elapsed())
    }

    fn accepted_key(&self, key: &Secret) -> Arc<SharedList<()>> {
        let digest: [u8; 32] = Sha256::digest(key.expose()).into();
        let mut known = self.accepted_keys.lock();
        if known.len() >= MOST_KEYS && !known.contains_key(&digest) {
            known.clear();
        }
        Arc::clone(known.entry(digest).or_default())
    }

    /// The account's newest alerts since this time, as they were at most `max_age` ago; none where the provider tells
    /// none.
    pub async fn recent_alerts(
        &self,
        max_age: Duration,
        since: Timestamp,
    ) -> Result<Arc<Vec<AlertObservation>>, ProviderError> {
        let list = async {
            let Some(alerts) = self.admin.alerts() else { return Ok(Vec::new()) };
            self.list("list_alerts", alerts.list_alerts(since)).await.map(|listed| listed.rows)
        };
        self.alerts.get(max_age, |_, _| true, list).await
    }

    /// A call for a whole list, each of whose pages the budget counts.
    async fn list<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<Listed<T>, ProviderError>> + Send,
    ) -> Result<Listed<T>, ProviderError> {
        let listed = self.call(operation, call).await?;
        self.charge_after_the_first(listed.requests);
        Ok(listed)
    }

    /// Of the requests that one call took, those after the first are charged when its answer is here, and delay the
    /// calls that follow.
    fn charge_after_the_first(&self, requests: u32) {
        self.budget().charge(Instant::now(), requests.saturating_sub(1));
    }

    /// A call that changes something. None begins after this process's tenure, because another one may be at work then.
    async fn write<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<T, ProviderError> {
        let call = async {
            // The call may have waited for its turn.
            if !self.tenure.may_write(Instant::now()) {
                return Err(not_made("this process no longer leads"));
            }
            call.await
        };
        self.call(operation, call).await
    }

    async fn call<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<T, ProviderError> {
        let turn = self.budget().take(Instant::now(), PATIENCE);
        match turn {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(wait) => {
                self.metrics.provider_call(operation, CallOutcome::OverBudget, Duration::ZERO);
                let reason = "too many calls to this provider account at once; waiting for a turn";
                return Err(ProviderError {
                    failure: Failure::new(FailureClass::Retry, reason),
                    http_status: None,
                    retry_after: Some(wait),
                });
            }
        }
        let begin = Instant::now();
        let answer = call.await;
        self.metrics.provider_call(operation, outcome(&answer), begin.elapsed());
        if let Err(ProviderError { http_status: Some(429), retry_after, .. }) = &answer {
            self.budget().close(Instant::now(), retry_after.unwrap_or(Duration::from_secs(1)));
        }
        if answer.as_ref().is_err_and(ProviderError::is_unauthorized) {
            *self.refused.lock() = Some(Instant::now());
        }
        answer
    }

    fn budget(&self) -> parking_lot::MutexGuard<'_, Budget> {
        self.budget.lock()
    }
}

/// The error of a call that was surely not made, and may be made later.
fn not_made(reason: &str) -> ProviderError {
    ProviderError { failure: Failure::new(FailureClass::Retry, reason), http_status: None, retry_after: None }
}

fn without(what: &str) -> ProviderError {
    let failure = Failure::new(FailureClass::Request, format!("this provider has no calls for {what}"));
    ProviderError { failure, http_status: None, retry_after: None }
}

fn without_pools() -> ProviderError {
    without("pools")
}

fn without_registrations() -> ProviderError {
    without("registrations")
}

fn without_keys() -> ProviderError {
    without("keys")
}

fn without_tokens() -> ProviderError {
    without("tokens")
}

fn without_streams() -> ProviderError {
    without("streams of events")
}

fn outcome<T>(answer: &Result<T, ProviderError>) -> CallOutcome {
    match answer {
        Ok(_) => CallOutcome::Ok,
        Err(error) => match error.http_status {
            Some(401 | 403) => CallOutcome::Unauthorized,
            Some(429) => CallOutcome::RateLimited,
            Some(400..500) => CallOutcome::Refused,
            _ => CallOutcome::Unavailable,
        },
    }
}

#[async_trait]
impl AccountAdmin for Account {
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        self.call("check_credentials", self.admin.check_credentials()).await
    }

    async fn check_webhook_key(&self, key: &Secret) -> Result<(), ProviderError> {
        self.call("check_webhook_key", self.admin.check_webhook_key(key)).await
    }

    fn pools(&self) -> Option<&dyn PoolAdmin> {
        self.admin.pools().map(|_| self as _)
    }

    fn keys(&self) -> Option<&dyn KeyAdmin> {
        self.admin.keys().map(|_| self as _)
    }

    fn alerts(&self) -> Option<&dyn AlertAdmin> {
        self.admin.alerts()
    }

    fn tokens(&self) -> Option<&dyn TokenAdmin> {
        self.admin.tokens().map(|_| self as _)
    }

    fn streams(&self) -> Option<&dyn StreamAdmin> {
        self.admin.streams().map(|_| self as _)
    }

    fn registrations(&self) -> Option<&dyn RegistrationAdmin> {
        self.admin.registrations().map(|_| self as _)
    }
}

#[async_trait]
impl SenderAdmin for Account {
    async fn list_senders(&self) -> Result<Listed<ListedSender>, ProviderError> {
        self.list("list_senders", self.admin.list_senders()).await
    }

    fn webhook_targets(&self, home: &WebhookHome<'_>) -> WebhookTargets {
        self.admin.webhook_targets(home)
    }

    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        pool: Option<&PoolObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError> {
        let configured = self.write("configure_webhooks", self.admin.configure_webhooks(sender, pool, targets)).await;
        // Also after an error: the change may have been made although its answer was lost.
        self.senders.changed(&sender.handle).await;
        if pool.is_some() {
            self.pools.forget().await;
        }
        configured
    }
}

/// Handed out only where the provider has pools.
#[async_trait]
impl PoolAdmin for Account {
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError> {
        let Some(pools) = self.admin.pools() else { return Ok(FoundPool { pool: None, requests: 0 }) };
        let found = self.call("find_messaging_service", pools.find_pool(id)).await?;
        self.charge_after_the_first(found.requests);
        Ok(found)
    }

    async fn add_member(&self, pool: &PoolId, sender: &str) -> Result<Joined, ProviderError> {
        let pools = self.admin.pools().ok_or_else(without_pools)?;
        let added = self.write("add_to_messaging_service", pools.add_member(pool, sender)).await;
        // Also after an error: it may be there although the answer was lost.
        self.pools.changed(sender).await;
        added
    }

    async fn remove_member(&self, pool: &PoolId, sender: &str) -> Result<(), ProviderError> {
        let pools = self.admin.pools().ok_or_else(without_pools)?;
        let removed = self.write("remove_from_messaging_service", pools.remove_member(pool, sender)).await;
        self.pools.changed(sender).await;
        removed
    }

    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError> {
        let Some(pools) = self.admin.pools() else { return Ok(Listed { rows: vec![], requests: 0 }) };
        self.list("list_messaging_services", pools.list_pools()).await
    }
}

/// Handed out only where numbers are registered by calls.
#[async_trait]
impl RegistrationAdmin for Account {
    fn permission(&self) -> &'static str {
        self.admin.registrations().map(RegistrationAdmin::permission).unwrap_or_default()
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, ProviderError> {
        let registrations = self.admin.registrations().ok_or_else(without_registrations)?;
        let registered = self.write("register_sender", registrations.register(registration)).await;
        // Also after an error: it may be there although the answer was lost.
        self.senders.forget().await;
        registered
    }

    async fn verify(&self, sender: &str, code: &Secret) -> Result<Verified, ProviderError> {
        let registrations = self.admin.registrations().ok_or_else(without_registrations)?;
        let verified = self.write("verify_sender", registrations.verify(sender, code)).await;
        self.senders.forget().await;
        verified
    }
}

/// Handed out only where the provider can mint keys.
#[async_trait]
impl KeyAdmin for Account {
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError> {
        self.write("mint_key", self.admin.keys().ok_or_else(without_keys)?.mint_key(name)).await
    }

    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError> {
        self.list("list_keys", self.admin.keys().ok_or_else(without_keys)?.list_keys()).await
    }

    async fn verify_key(&self, key: &MintedKey) -> Result<(), ProviderError> {
        self.call("verify_key", self.admin.keys().ok_or_else(without_keys)?.verify_key(key)).await
    }

    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError> {
        self.write("revoke_key", self.admin.keys().ok_or_else(without_keys)?.revoke_key(id)).await
    }
}

/// Handed out only where the provider's token can be replaced.
#[async_trait]
impl TokenAdmin for Account {
    async fn create_next_token(&self) -> Result<Secret, ProviderError> {
        self.write("create_token", self.admin.tokens().ok_or_else(without_tokens)?.create_next_token()).await
    }

    async fn discard_next_token(&self) -> Result<(), ProviderError> {
        self.write("discard_token", self.admin.tokens().ok_or_else(without_tokens)?.discard_next_token()).await
    }

    async fn promote_next_token(&self) -> Result<Secret, ProviderError> {
        self.write("promote_token", self.admin.tokens().ok_or_else(without_tokens)?.promote_next_token()).await
    }
}

/// Handed out only where the provider has streams.
#[async_trait]
impl StreamAdmin for Account {
    fn stream_url(&self, home: &WebhookHome<'_>) -> String {
        self.admin.streams().map(|streams| streams.stream_url(home)).unwrap_or_default()
    }

    async fn list_streams(&self) -> Result<Listed<Stream>, ProviderError> {
        self.list("list_streams", self.admin.streams().ok_or_else(without_streams)?.list_streams()).await
    }

    async fn create_stream(&self, name: &str, url: &str) -> Result<Stream, ProviderError> {
        self.write("create_stream", self.admin.streams().ok_or_else(without_streams)?.create_stream(name, url)).await
    }

    async fn test_stream(&self, id: &str) -> Result<(), ProviderError> {
        self.write("test_stream", self.admin.streams().ok_or_else(without_streams)?.test_stream(id)).await
    }

    async fn confirm_stream(&self, id: &str, test: &str) -> Result<(), ProviderError> {
        self.write("confirm_stream", self.admin.streams().ok_or_else(without_streams)?.confirm_stream(id, test)).await
    }

    async fn delete_stream(&self, id: &str) -> Result<(), ProviderError> {
        self.write("delete_stream", self.admin.streams().ok_or_else(without_streams)?.delete_stream(id)).await
    }

    async fn list_subscriptions(&self, stream: &str) -> Result<Listed<Subscription>, ProviderError> {
        let streams = self.admin.streams().ok_or_else(without_streams)?;
        self.list("list_subscriptions", streams.list_subscriptions(stream)).await
    }

    async fn subscribe(&self, stream: &str, name: &str) -> Result<Subscription, ProviderError> {
        self.write("subscribe", self.admin.streams().ok_or_else(without_streams)?.subscribe(stream, name)).await
    }

    async fn unsubscribe(&self, id: &str) -> Result<(), ProviderError> {
        self.write("unsubscribe", self.admin.streams().ok_or_else(without_streams)?.unsubscribe(id)).await
    }
}

#[async_trait]
impl TemplateAdmin for Account {
    fn review_begins(&self) -> ReviewBegins {
        self.admin.review_begins()
    }

    async fn list_templates(&self) -> Result<Listed<TemplateObservation>, ProviderError> {
        self.list("list_templates", self.admin.list_templates()).await
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        let created = self.write("create_template", self.admin.create_template(revision)).await;
        // Also after an error: the template may exist although its answer was lost.
        self.templates.changed(&revision.name).await;
        created
    }

    async fn submit_template(&self, handle: &TemplateHandle, revision: &TemplateRevision) -> Result<(), ProviderError> {
        let submitted = self.write("submit_template", self.admin.submit_template(handle, revision)).await;
        self.templates.changed(&revision.name).await;
        submitted
    }

    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError> {
        let deleted = self.write("delete_template", self.admin.delete_template(handle)).await;
        self.templates.forget().await;
        deleted
    }
}
