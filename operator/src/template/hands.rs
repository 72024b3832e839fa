//! The real [`Hands`]: they change the status at the API server and the revisions at the providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::{MessageTemplate, MessageTemplateStatus, TemplateLocationStatus};
use jiff::Timestamp;
use messaging::clock::Clock;
use messaging::failure::{self, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::{ReviewBegins, TemplateAdmin as _, TemplateHandle, TemplateRevision};
use parking_lot::Mutex;
use serde_json::json;

use super::apply::Hands;
use crate::accounts::Account;
use crate::reconcile::error::Failure;
use crate::reconcile::intent::Recorder;

/// The hands of one reconcile.
pub(super) struct RealHands<'a> {
    pub(super) clock: &'a dyn Clock,
    pub(super) intents: &'a dyn RecordIntents,
    pub(super) template: &'a MessageTemplate,
    /// What this reconcile has recorded.
    pub(super) recorded: Mutex<Option<Vec<TemplateLocationStatus>>>,
    pub(super) accounts: &'a BTreeMap<String, Arc<Account>>,
}

fn without_credentials(account: &str) -> ProviderError {
    ProviderError {
        failure: failure::Failure::new(FailureClass::Retry, format!("no sender has credentials for {account}")),
        http_status: None,
        retry_after: None,
    }
}

/// Records in a template's status what is about to be created.
#[async_trait]
pub trait RecordIntents: Send + Sync {
    /// Fails if the template was changed since it was read, or its `locations` are not these, which also stops a leader
    /// that was replaced.
    async fn record(
        &self,
        template: &MessageTemplate,
        locations: &[TemplateLocationStatus],
        status: &MessageTemplateStatus,
    ) -> Result<(), Failure>;
}

#[async_trait]
impl RecordIntents for Recorder {
    async fn record(
        &self,
        template: &MessageTemplate,
        locations: &[TemplateLocationStatus],
        status: &MessageTemplateStatus,
    ) -> Result<(), Failure> {
        let fields = json!({ "locations": status.locations, "revisions": status.revisions });
        let what = "the intent to create revisions can't be recorded";
        self.write(template, |newest| newest.locations == locations, &fields, what).await
    }
}

impl Hands for RealHands<'_> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn record_intents(&self, status: &MessageTemplateStatus) -> Result<(), Failure> {
        let as_read = || self.template.status.clone().unwrap_or_default().locations;
        let before = self.recorded.lock().clone().unwrap_or_else(as_read);
        self.intents.record(self.template, &before, status).await?;
        // As it is read back, with times in whole seconds.
        *self.recorded.lock() = serde_json::from_value(json!(status.locations)).ok();
        Ok(())
    }

    fn review_begins(&self, account: &str) -> ReviewBegins {
        self.accounts.get(account).map_or(ReviewBegins::OnSubmit, |account| account.review_begins())
    }

    async fn create(&self, account: &str, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError> {
        self.accounts.get(account).ok_or_else(|| without_credentials(account))?.create_template(revision).await
    }

    async fn submit(
        &self,
        account: &str,
        handle: &TemplateHandle,
        revision: &TemplateRevision,
    ) -> Result<(), ProviderError> {
        self.accounts.get(account).ok_or_else(|| without_credentials(account))?.submit_template(handle, revision).await
    }

    async fn delete(&self, account: &str, handle: &TemplateHandle) -> Result<(), ProviderError> {
        self.accounts.get(account).ok_or_else(|| without_credentials(account))?.delete_template(handle).await
    }
}
