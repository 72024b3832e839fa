//! A provider account in memory, for unit tests. What was configured can be read back, and the next call can be made
//! to fail.

mod alerts;
pub(crate) mod api;
pub(crate) mod clock;
pub(crate) mod crash;
mod credentials;
mod pools;
pub(crate) mod registrations;
pub(crate) mod senders;
mod streams;
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::config::ProviderAccount;
use messaging::failure::{Failure, FailureClass};
use messaging::provider::admin::{
    AlertAdmin, AlertObservation, KeyAdmin, KeyObservation, Listed, PoolAdmin, PoolObservation, RegistrationAdmin,
    ReviewBegins, SenderObservation, StreamAdmin, TemplateObservation, TokenAdmin,
};
use messaging::provider::{AccountAdmin, ProviderError};
use messaging::secret::Secret;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use self::crash::Fuse;
pub(crate) use self::credentials::Tokens;
pub(crate) use self::templates::content_of;

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
