//! A provider account in memory, for unit tests. What was configured can be read back, and the next call can be made
//! to fail.

pub(crate) mod api;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::failure::{Failure, FailureClass};
use messaging::id::PoolId;
use messaging::provider::admin::{
    FoundContent, FoundPool, Inexpressible, KeyAdmin, KeyObservation, Listed, ListedSender, MintedKey, PoolAdmin,
    PoolMember, PoolObservation, ReviewBegins, SenderAdmin, SenderObservation, TemplateAdmin, TemplateHandle,
    TemplateObservation, TemplateRevision, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin, ProviderError};
use messaging::secret::Secret;
use messaging::template::Approval;
use parking_lot::{Mutex, MutexGuard};

use crate::Settings;
use crate::clock::SystemClock;
use crate::controllers::Dependencies;
use crate::metrics::Metrics;

#[derive(Debug)]
pub(crate) struct FakeAdmin {
    review_begins: ReviewBegins,
    can_mint_keys: bool,
    state: Mutex<State>,
}

impl Default for FakeAdmin {
    fn default() -> Self {
        Self { review_begins: ReviewBegins::OnSubmit, can_mint_keys: true, state: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct State {
    senders: BTreeMap<PhoneNumber, SenderObservation>,
    services: BTreeMap<String, PoolObservation>,
    templates: Vec<TemplateObservation>,
    keys: Vec<KeyObservation>,
    calls: BTreeMap<&'static str, usize>,
    next_failure: Option<ProviderError>,
    refused: Option<&'static str>,
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn fail_next(&self, http_status: u16, retry_after: Option<Duration>) {
        self.state().next_failure = Some(provider_error(Some(http_status), retry_after));
    }

    /// Has every call of this operation refused as unauthorized.
    pub(crate) fn refuse(&self, operation: &'static str) {
        self.state().refused = Some(operation);
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

    /// The handles of its templates.
    pub(crate) fn handles(&self) -> Vec<String> {
        self.state().templates.iter().map(|template| template.handle.to_string()).collect()
    }

    #[expect(clippy::result_large_err, reason = "the fake returns what the trait's methods do")]
    fn begin(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state();
        *state.calls.entry(operation).or_default() += 1;
        if state.refused == Some(operation) {
            let failure = Failure::new(FailureClass::Request, "the fake provider was set to refuse it");
            return Err(ProviderError { failure, http_status: Some(401), retry_after: None });
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

    async fn check_webhook_key(&self, _: &Secret) -> Result<(), ProviderError> {
        self.begin("check_webhook_key").map(drop)
    }

    fn pools(&self) -> Option<&dyn PoolAdmin> {
        Some(self)
    }

    fn keys(&self) -> Option<&dyn KeyAdmin> {
        self.can_mint_keys.then_some(self as _)
    }
}

#[async_trait]
impl KeyAdmin for FakeAdmin {
    async fn mint_key(&self, name: &str) -> Result<MintedKey, ProviderError> {
        let mut state = self.begin("mint_key")?;
        let id = format!("SK{}", state.keys.len());
        state.keys.push(KeyObservation { id: id.clone(), name: name.to_owned() });
        Ok(MintedKey { id, secret: Secret::new("minted") })
    }

    async fn list_keys(&self) -> Result<Listed<KeyObservation>, ProviderError> {
        let state = self.begin("list_keys")?;
        Ok(state.listed(state.keys.clone()))
    }

    async fn verify_key(&self, _key: &MintedKey) -> Result<(), ProviderError> {
        self.begin("verify_key").map(drop)
    }

    async fn revoke_key(&self, id: &str) -> Result<(), ProviderError> {
        self.begin("revoke_key")?.keys.retain(|key| key.id != id);
        Ok(())
    }
}

#[async_trait]
impl PoolAdmin for FakeAdmin {
    async fn find_pool(&self, id: &PoolId) -> Result<FoundPool, ProviderError> {
        let state = self.begin("find_messaging_service")?;
        Ok(FoundPool { pool: state.services.get(id.as_str()).cloned(), requests: state.requests() })
    }

    async fn list_pools(&self) -> Result<Listed<PoolObservation>, ProviderError> {
        let state = self.begin("list_messaging_services")?;
        Ok(state.listed(state.services.values().cloned().collect()))
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
        Ok(state.listed(state.senders.iter().map(listed).collect()))
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
        Ok(())
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
        connect: Arc::new(move |_| Arc::clone(&admin) as _),
    }
}
