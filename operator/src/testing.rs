//! A provider account in memory, for unit tests. What was configured can be read back, and the next call can be made
//! to fail.

pub(crate) mod api;
pub(crate) mod clock;
pub(crate) mod crash;
pub(crate) mod registrations;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::config::ProviderAccount;
use messaging::failure::{Failure, FailureClass};
use messaging::id::PoolId;
use messaging::provider::admin::{
    AlertAdmin, AlertObservation, FoundContent, FoundPool, Inexpressible, Joined, KeyAdmin, KeyObservation, Listed,
    ListedSender, MintedKey, PoolAdmin, PoolMember, PoolObservation, RegistrationAdmin, ReviewBegins, SenderAdmin,
    SenderObservation, Stage, StreamAdmin, TemplateAdmin, TemplateHandle, TemplateObservation, TemplateRevision,
    TokenAdmin, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin, ProviderError};
use messaging::secret::Secret;
use messaging::template::Approval;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::crash::Fuse;

use crate::Settings;
use crate::clock::SystemClock;
use crate::controllers::Dependencies;
use crate::metrics::Metrics;

/// One client of the account. Clients share the account's state.
#[derive(Debug, Clone)]
pub(crate) struct FakeAdmin {
    review_begins: ReviewBegins,
    can_mint_keys: bool,
    /// The user name and password that it calls with. They count once the account has a token.
    caller: Option<(String, Secret)>,
    state: Arc<Mutex<State>>,
    /// Burns with every write.
    pub(crate) fuse: Fuse,
    waits: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl Default for FakeAdmin {
    fn default() -> Self {
        Self {
            review_begins: ReviewBegins::OnSubmit,
            can_mint_keys: true,
            caller: None,
            state: Arc::default(),
            fuse: Fuse::default(),
            waits: Arc::default(),
            goes_on: Arc::default(),
        }
    }
}

/// The tokens of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) primary: Secret,
    pub(crate) secondary: Option<Secret>,
}

#[derive(Debug, Default)]
struct State {
    alerts: Vec<AlertObservation>,
    senders: BTreeMap<PhoneNumber, SenderObservation>,
    /// What reads show of them, where they lag.
    seen_senders: Option<BTreeMap<PhoneNumber, SenderObservation>>,
    registrations: registrations::Registrations,
    services: BTreeMap<String, PoolObservation>,
    /// What reads show of them, where they lag.
    seen_services: Option<BTreeMap<String, PoolObservation>>,
    /// How many senders a service takes.
    most_members: Option<usize>,
    templates: Vec<TemplateObservation>,
    keys: Vec<(KeyObservation, Secret)>,
    /// Absent: every caller may do everything.
    tokens: Option<Tokens>,
    /// How many keys and tokens were made.
    made: usize,
    calls: BTreeMap<&'static str, usize>,
    next_failure: Option<ProviderError>,
    /// How many of the next calls of an operation fail.
    failures: BTreeMap<&'static str, usize>,
    /// The next call of this operation takes effect, and its answer is lost.
    lost: Option<&'static str>,
    /// The next call of this operation takes effect, and its answer waits.
    held_up: Option<&'static str>,
    refused: BTreeSet<&'static str>,
    streams: streams::Streams,
    /// How many requests a list, or the look-up of a pool, takes besides the first.
    more_requests: u32,
}

pub(crate) fn provider_error(http_status: Option<u16>, retry_after: Option<Duration>) -> ProviderError {
    ProviderError {
        failure: Failure::new(FailureClass::Retry, "the fake provider was set to fail"),
        http_status,
        retry_after,
    }
}

/// What a provider says of a revision that we created there.
pub(crate) fn content_of(revision: &TemplateRevision) -> FoundContent {
    FoundContent { text: revision.content.clone(), examples: revision.examples.clone(), unusual_type: None }
}

impl State {
    fn requests(&self) -> u32 {
        1 + self.more_requests
    }

    fn shown_services(&self) -> &BTreeMap<String, PoolObservation> {
        self.seen_services.as_ref().unwrap_or(&self.services)
    }

    fn listed<T>(&self, rows: Vec<T>) -> Listed<T> {
        Listed { rows, requests: self.requests() }
    }
}

impl FakeAdmin {
    pub(crate) fn reviewing(review_begins: ReviewBegins) -> Self {
        Self { review_begins, ..Self::default() }
    }

    pub(crate) fn without_keys() -> Self {
        Self { can_mint_keys: false, ..Self::default() }
    }

    /// The same account, for a caller with these credentials.
    pub(crate) fn signed_in_as(&self, access: &ProviderAccount) -> Self {
        let caller = access.caller();
        Self { caller: Some((caller[2].to_owned(), Secret::new(caller[3]))), ..self.clone() }
    }

    pub(crate) fn fail_operation(&self, operation: &'static str, calls: usize) {
        self.state().failures.insert(operation, calls);
    }

    pub(crate) fn lose_answer(&self, operation: &'static str) {
        self.state().lost = Some(operation);
    }

    /// The next call of the operation waits for [`FakeAdmin::go_on`] with its answer.
    pub(crate) fn hold_up(&self, operation: &'static str) {
        self.state().held_up = Some(operation);
    }

    /// Returns when a call waits.
    pub(crate) async fn is_held_up(&self) {
        self.waits.notified().await;
    }

    pub(crate) fn go_on(&self) {
        self.goes_on.notify_one();
    }

    /// What follows a write's effect.
    async fn end<T: Send>(&self, operation: &'static str, answer: T) -> Result<T, ProviderError> {
        self.fuse.burn().await;
        let (is_lost, waits) = {
            let mut state = self.state();
            (state.lost.take_if(|lost| *lost == operation), state.held_up.take_if(|held| *held == operation))
        };
        if waits.is_some() {
            self.waits.notify_one();
            self.goes_on.notified().await;
        }
        if is_lost.is_some() {
            let failure = Failure::new(FailureClass::Ambiguous, "the answer was lost");
            return Err(ProviderError { failure, http_status: None, retry_after: None });
        }
        Ok(answer)
    }

    /// From now on, credentials count.
    pub(crate) fn set_token(&self, token: &str) {
        self.state().tokens = Some(Tokens { primary: Secret::new(token), secondary: None });
    }

    pub(crate) fn tokens(&self) -> Tokens {
        self.state().tokens.clone().expect("the account has a token")
    }

    /// The keys that exist, by id.
    pub(crate) fn key_ids(&self) -> Vec<String> {
        self.state().keys.iter().map(|(key, _)| key.id.clone()).collect()
    }

    pub(crate) fn secret_of(&self, id: &str) -> Secret {
        let state = self.state();
        state.keys.iter().find(|(key, _)| key.id == id).map(|(_, secret)| secret.clone()).expect("the key exists")
    }

    /// Somebody else revokes a key.
    pub(crate) fn remove_key(&self, id: &str) {
        self.state().keys.retain(|(key, _)| key.id != id);
    }

    /// Whether the account lets somebody call with these credentials.
    pub(crate) fn accepts(&self, access: &ProviderAccount) -> bool {
        let client = self.signed_in_as(access);
        let state = client.state();
        client.may_call(&state, "check_credentials")
    }

    fn may_call(&self, state: &State, operation: &str) -> bool {
        let (Some(Tokens { primary, secondary }), Some((user, password))) = (&state.tokens, &self.caller) else {
            return true;
        };
        if !user.starts_with("SK") {
            return password == primary || Some(password) == secondary.as_ref();
        }
        let manages = ["mint_key", "list_keys", "revoke_key", "create_token", "discard_token", "promote_token"];
        !manages.contains(&operation) && state.keys.iter().any(|(key, secret)| key.id == *user && secret == password)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn fail_next(&self, http_status: u16, retry_after: Option<Duration>) {
        self.state().next_failure = Some(provider_error(Some(http_status), retry_after));
    }

    /// Has every call of this operation refused as unauthorized.
    pub(crate) fn refuse(&self, operation: &'static str) {
        self.state().refused.insert(operation);
    }

    pub(crate) fn refuse_nothing(&self) {
        self.state().refused.clear();
    }

    pub(crate) fn take_more_requests(&self, more: u32) {
        self.state().more_requests = more;
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    pub(crate) fn add_sender(&self, number: &str, handle: &str) {
        let seen = SenderObservation {
            handle: handle.into(),
            online: true,
            status: "ONLINE".into(),
            stage: Stage::Settled,
            quality: None,
            messaging_limit: None,
            offline_reasons: vec![],
            webhooks: WebhookTargets::default(),
        };
        self.state().senders.insert(number.parse().unwrap(), seen);
    }

    /// A pool that decides where the messages of its senders go.
    pub(crate) fn add_pool(&self, id: &str, senders: &[&str]) {
        let pool = PoolObservation {
            id: PoolId::new(id),
            senders: senders.iter().map(|&handle| PoolMember { handle: handle.into(), number: None }).collect(),
            defers_to_sender: false,
            webhooks: WebhookTargets::default(),
        };
        self.state().services.insert(id.into(), pool);
    }

    pub(crate) fn add_template(&self, handle: &str, name: &str, language: &str, approval: Approval) {
        self.state().templates.push(TemplateObservation {
            handle: TemplateHandle::new(handle),
            name: name.into(),
            language: language.into(),
            approval,
            category: None,
            content: Err(Inexpressible("was added without a text".into())),
        });
    }

    /// The pools that hold this sender.
    pub(crate) fn pools_with(&self, sender: &str) -> Vec<String> {
        let state = self.state();
        state.services.iter().filter(|(_, pool)| pool.holds(sender)).map(|(id, _)| id.clone()).collect()
    }

    /// Somebody else changes which senders are in a pool.
    pub(crate) fn set_members(&self, id: &str, senders: &[&str]) {
        let members = senders.iter().map(|&handle| PoolMember { handle: handle.into(), number: None }).collect();
        self.state().services.get_mut(id).expect("the pool exists").senders = members;
    }

    /// Somebody else unsets a sender's own webhooks.
    pub(crate) fn break_webhooks(&self, handle: &str) {
        let mut state = self.state();
        let sender = state.senders.values_mut().find(|sender| sender.handle == handle).expect("the sender exists");
        sender.webhooks = WebhookTargets::default();
    }

    /// Somebody else has a pool leave its senders' messages to their own webhooks.
    pub(crate) fn defer_to_senders(&self, id: &str) {
        self.state().services.get_mut(id).expect("the pool exists").defers_to_sender = true;
    }

    pub(crate) fn webhooks_of_pool(&self, id: &str) -> WebhookTargets {
        self.state().services[id].webhooks.clone()
    }

    /// From now on, or no longer, reads show the pools as they are now.
    pub(crate) fn hold_back_pools(&self, hold_back: bool) {
        let mut state = self.state();
        state.seen_services = hold_back.then(|| state.services.clone());
    }

    /// How many senders a pool takes.
    pub(crate) fn limit_members(&self, most: usize) {
        self.state().most_members = Some(most);
    }

    pub(crate) fn set_quality(&self, handle: &str, quality: &str) {
        let mut state = self.state();
        let sender = state.senders.values_mut().find(|sender| sender.handle == handle).expect("the sender exists");
        sender.quality = Some(quality.to_owned());
    }

    pub(crate) fn add_alert(&self, alert: AlertObservation) {
        self.state().alerts.push(alert);
    }

    /// The handles of its templates.
    pub(crate) fn handles(&self) -> Vec<String> {
        self.state().templates.iter().map(|template| template.handle.to_string()).collect()
    }

    #[expect(clippy::result_large_err, reason = "the fake returns what the trait's methods do")]
    fn begin(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state();
        *state.calls.entry(operation).or_default() += 1;
        if state.refused.contains(operation) {
            let failure = Failure::new(FailureClass::Request, "the fake provider was set to refuse it");
            return Err(ProviderError { failure, http_status: Some(401), retry_after: None });
        }
        if !self.may_call(&state, operation) {
            let failure = Failure::new(FailureClass::Request, "the fake provider does not accept the credentials");
            return Err(ProviderError { failure, http_status: Some(401), retry_after: None });
        }
        if let Some(left) = state.failures.get_mut(operation).filter(|left| **left > 0) {
            *left -= 1;
            return Err(provider_error(Some(503), None));
        }
        match state.next_failure.take() {
            Some(failure) => Err(failure),
            None => Ok(state),
        }
    }
}

#[async_trait]
impl AccountAdmin for FakeAdmin {
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        self.begin("check_credentials").map(drop)
    }

    async fn check_webhook_key(&self, key: &Secret) -> Result<(), ProviderError> {
        let client = match &self.caller {
            Some(_) => Self { caller: Some((String::new(), key.clone())), ..self.clone() },
            None => self.clone(),
        };
        client.begin("check_webhook_key").map(drop)
    }

    fn pools(&self) -> Option<&dyn PoolAdmin> {
        Some(self)
    }

    fn keys(&self) -> Option<&dyn KeyAdmin> {
        self.can_mint_keys.then_some(self as _)
    }

    fn alerts(&self) -> Option<&dyn AlertAdmin> {
        Some(self)
    }

    fn tokens(&self) -> Option<&dyn TokenAdmin> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn StreamAdmin> {
        Some(self)
    }

    fn registrations(&self) -> Option<&dyn RegistrationAdmin> {
        Some(self)
    }
}

#[async_trait]
impl AlertAdmin for FakeAdmin {
    fn source(&self) -> &'static str {
        "the fake's log"
    }

    fn permission(&self) -> &'static str {
        "the permission to read it"
    }

    async fn list_alerts(&self, since: jiff::Timestamp) -> Result<Listed<AlertObservation>, ProviderError> {
        let state = self.begin("list_alerts")?;
        Ok(state.listed(state.alerts.iter().filter(|alert| alert.at >= since).cloned().collect()))
    }
}

#[async_trait]
impl TokenAdmin for FakeAdmin {
    async fn create_next_token(&self) -> Result<Secret, ProviderError> {
        let token = {
            let mut state = self.begin("create_token")?;
            state.made += 1;
            let token = Secret::new(format!("token{}", state.made));
            if let Some(tokens) = &mut state.tokens {
                if tokens.secondary.is_some() {
                    return Err(provider_error(Some(400), None));
                }
                tokens.secondary = Some(token.clone());
            }
            token
        };
        self.end("create_token", token).await
    }

    async fn discard_next_token(&self) -> Result<(), ProviderError> {
        self.begin("discard_token")?.tokens.as_mut().map(|tokens| tokens.secondary.take());
        self.end("discard_token", ()).await
    }

    async fn promote_next_token(&self) -> Result<Secret, ProviderError> {
        let promoted = {
            let mut state = self.begin("promote_token")?;
            let tokens = state.tokens.as_mut().expect("the account has a token");
            match tokens.secondary.take() {
                Some(secondary) => tokens.primary = secondary,
                None => return Err(provider_error(Some(400), None)),
            }
            tokens.primary.clone()
        };
        self.end("promote_token", promoted).await
    }
}

#[async_trait]
impl KeyAdmin for FakeAdmin {
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError> {
        let minted = {
            let mut state = self.begin("mint_key")?;
            state.made += 1;
            let (id, secret) = (format!("SK{}", state.made), Secret::new(format!("secret{}", state.made)));
            state.keys.push((KeyObservation { id: id.clone(), name: name.to_owned() }, secret.clone()));
            MintedKey { id, secret }
        };
        self.end("mint_key", minted).await
    }

    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError> {
        let state = self.begin("list_keys")?;
        Ok(state.listed(state.keys.iter().map(|(key, _)| key.clone()).collect()))
    }

    async fn verify_key(&self, MintedKey { id, secret }: &MintedKey) -> Result<(), ProviderError> {
        let mut client = self.clone();
        client.caller = Some((id.clone(), secret.clone()));
        client.begin("verify_key").map(drop)
    }

    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError> {
        self.begin("revoke_key")?.keys.retain(|(key, _)| key.id != id);
        self.end("revoke_key", ()).await
    }
}

#[async_trait]
impl PoolAdmin for FakeAdmin {
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError> {
        let state = self.begin("find_messaging_service")?;
        Ok(FoundPool { pool: state.shown_services().get(id.as_str()).cloned(), requests: state.requests() })
    }

    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError> {
        let state = self.begin("list_messaging_services")?;
        Ok(state.listed(state.shown_services().values().cloned().collect()))
    }

    async fn add_member(&self, pool: &PoolId, sender: &str) -> Result<Joined, ProviderError> {
        let joined = {
            let mut state = self.begin("add_to_messaging_service")?;
            let places = state.most_members.unwrap_or(usize::MAX);
            let within = state.services.iter().find(|(_, pool)| pool.holds(sender)).map(|(id, _)| id.clone());
            let Some(into) = state.services.get_mut(pool.as_str()) else { return Err(provider_error(Some(404), None)) };
            match within {
                Some(id) if id == pool.as_str() => Joined::WasIn,
                Some(_) => Joined::IsElsewhere,
                None if into.senders.len() >= places => Joined::IsFull,
                None => {
                    into.senders.push(PoolMember { handle: sender.to_owned(), number: None });
                    Joined::Added
                }
            }
        };
        self.end("add_to_messaging_service", joined).await
    }

    async fn remove_member(&self, pool: &PoolId, sender: &str) -> Result<(), ProviderError> {
        if let Some(pool) = self.begin("remove_from_messaging_service")?.services.get_mut(pool.as_str()) {
            pool.senders.retain(|member| member.handle != sender);
        }
        self.end("remove_from_messaging_service", ()).await
    }
}

#[async_trait]
impl SenderAdmin for FakeAdmin {
    async fn list_senders(&self) -> Result<Listed<ListedSender>, ProviderError> {
        let state = self.begin("list_senders")?;
        let listed = |(number, seen): (&PhoneNumber, &SenderObservation)| ListedSender {
            number: number.clone(),
            seen: Ok(seen.clone()),
        };
        Ok(state.listed(state.seen_senders.as_ref().unwrap_or(&state.senders).iter().map(listed).collect()))
    }

    fn webhook_targets(&self, home: &WebhookHome<'_>) -> WebhookTargets {
        let WebhookHome { public_base_url, tenant, sender } = home;
        let url = |rest: &str| Some(format!("{public_base_url}webhooks/{tenant}/{sender}/{rest}#rc=5"));
        WebhookTargets { inbound: url("inbound"), status: url("status") }
    }

    async fn configure_webhooks(
        &self,
        sender: &SenderObservation,
        service: Option<&PoolObservation>,
        targets: &WebhookTargets,
    ) -> Result<(), ProviderError> {
        {
            let mut state = self.begin("configure_webhooks")?;
            match service.filter(|service| service.decides_webhooks_of(&sender.handle)) {
                Some(service) => {
                    if let Some(service) = state.services.get_mut(service.id.as_str()) {
                        service.webhooks = targets.clone();
                    }
                }
                None => {
                    if let Some(sender) = state.senders.values_mut().find(|known| known.handle == sender.handle) {
                        sender.webhooks = targets.clone();
                    }
                }
            }
        }
        self.end("configure_webhooks", ()).await
    }
}

#[async_trait]
impl TemplateAdmin for FakeAdmin {
    fn review_begins(&self) -> ReviewBegins {
        self.review_begins
    }

    async fn list_templates(&self) -> Result<Listed<TemplateObservation>, ProviderError> {
        let state = self.begin("list_templates")?;
        Ok(state.listed(state.templates.clone()))
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        let mut state = self.begin("create_template")?;
        let handle = TemplateHandle::new(format!("HX{}", state.templates.len()));
        state.templates.push(TemplateObservation {
            handle: handle.clone(),
            name: revision.name.clone(),
            language: revision.language.clone(),
            approval: match self.review_begins {
                ReviewBegins::OnCreate => Approval::Pending,
                ReviewBegins::OnSubmit => Approval::Unsubmitted,
            },
            category: None,
            content: Ok(content_of(revision)),
        });
        Ok(handle)
    }

    async fn submit_template(
        &self,
        handle: &TemplateHandle,
        _revision: &TemplateRevision,
    ) -> Result<(), ProviderError> {
        let mut state = self.begin("submit_template")?;
        if let Some(template) = state.templates.iter_mut().find(|template| template.handle == *handle) {
            template.approval = Approval::Pending;
        }
        Ok(())
    }

    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError> {
        self.begin("delete_template")?.templates.retain(|template| template.handle != *handle);
        Ok(())
    }
}

/// What the controllers need, with an API server that never answers and a provider in memory.
pub(crate) fn dependencies() -> Dependencies {
    let unavailable = tower::service_fn(async |_: http::Request<kube::client::Body>| {
        let answer = http::Response::builder().status(http::StatusCode::SERVICE_UNAVAILABLE);
        answer.body(kube::client::Body::empty())
    });
    dependencies_with(kube::Client::new(unavailable, "default"), Arc::default())
}

pub(crate) fn dependencies_with(client: kube::Client, admin: Arc<FakeAdmin>) -> Dependencies {
    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }
    let arguments = ["operator", "--public-base-url", "https://wa.example.com", "--config-namespace", "system"];
    Dependencies {
        client,
        settings: Arc::new(<Cli as clap::Parser>::parse_from(arguments).settings),
        clock: Arc::new(SystemClock),
        metrics: Arc::new(Metrics::new().unwrap()),
        connect: Arc::new(move |access| Arc::new(admin.signed_in_as(access)) as _),
    }
}
