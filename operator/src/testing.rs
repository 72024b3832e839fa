//! A provider account in memory, for unit tests. What was configured can be read back, and the next call can be made
//! to fail.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::failure::{Failure, FailureClass};
use messaging::id::PoolId;
use messaging::provider::admin::{
    KeyAdmin, PoolAdmin, PoolObservation, ReviewBegins, SenderAdmin, SenderObservation, TemplateAdmin,
    TemplateObservation, TemplateRevision, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{AccountAdmin, ProviderError};
use messaging::template::Approval;
use parking_lot::{Mutex, MutexGuard};

#[derive(Debug, Default)]
pub(crate) struct FakeAdmin(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    senders: BTreeMap<String, SenderObservation>,
    services: BTreeMap<String, PoolObservation>,
    templates: Vec<TemplateObservation>,
    calls: BTreeMap<&'static str, usize>,
    next_failure: Option<ProviderError>,
}

pub(crate) fn provider_error(http_status: Option<u16>, retry_after: Option<Duration>) -> ProviderError {
    ProviderError {
        failure: Failure::new(FailureClass::Retry, "the fake provider was set to fail"),
        http_status,
        retry_after,
    }
}

impl FakeAdmin {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    pub(crate) fn fail_next(&self, http_status: u16, retry_after: Option<Duration>) {
        self.state().next_failure = Some(provider_error(Some(http_status), retry_after));
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    pub(crate) fn add_template(&self, handle: &str, name: &str, language: &str, approval: Approval) {
        self.state().templates.push(TemplateObservation {
            handle: handle.into(),
            name: name.into(),
            language: language.into(),
            approval,
            category: None,
        });
    }

    #[expect(clippy::result_large_err, reason = "the fake returns what the trait's methods do")]
    fn begin(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state();
        *state.calls.entry(operation).or_default() += 1;
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

    fn pools(&self) -> Option<&dyn PoolAdmin> {
        Some(self)
    }

    fn keys(&self) -> Option<&dyn KeyAdmin> {
        None
    }
}

#[async_trait]
impl PoolAdmin for FakeAdmin {
    async fn find_pool(&self, id: &PoolId) -> Result<Option<PoolObservation>, ProviderError> {
        Ok(self.begin("find_messaging_service")?.services.get(id.as_str()).cloned())
    }
}

#[async_trait]
impl SenderAdmin for FakeAdmin {
    async fn find_sender(&self, number: &PhoneNumber) -> Result<Option<SenderObservation>, ProviderError> {
        Ok(self.begin("find_sender")?.senders.get(number.as_str()).cloned())
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
        match service.filter(|service| service.decides_webhooks_of(sender)) {
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
        ReviewBegins::OnSubmit
    }

    async fn list_templates(&self) -> Result<Vec<TemplateObservation>, ProviderError> {
        Ok(self.begin("list_templates")?.templates.clone())
    }

    async fn create_template(&self, revision: &TemplateRevision) -> Result<String, ProviderError> {
        let mut state = self.begin("create_template")?;
        let handle = format!("HX{}", state.templates.len());
        state.templates.push(TemplateObservation {
            handle: handle.clone(),
            name: revision.name.clone(),
            language: revision.language.clone(),
            approval: Approval::Unsubmitted,
            category: None,
        });
        Ok(handle)
    }

    async fn submit_template(&self, handle: &str, _revision: &TemplateRevision) -> Result<(), ProviderError> {
        let mut state = self.begin("submit_template")?;
        if let Some(template) = state.templates.iter_mut().find(|template| template.handle == handle) {
            template.approval = Approval::Pending;
        }
        Ok(())
    }

    async fn delete_template(&self, handle: &str) -> Result<(), ProviderError> {
        self.begin("delete_template")?.templates.retain(|template| template.handle != handle);
        Ok(())
    }
}
