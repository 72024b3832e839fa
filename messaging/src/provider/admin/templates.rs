//! Templates at the provider: listed, created, submitted for review, deleted.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::provider::ProviderError;
use crate::template::{Approval, LocalizedContent, TemplateCategory};

/// The templates of one account.
#[async_trait]
pub trait TemplateAdmin: Send + Sync {
    /// What makes the provider begin its review.
    fn review_begins(&self) -> ReviewBegins;

    /// Every template with its approval: one list call, all pages.
    async fn list_templates(&self) -> Result<Vec<TemplateObservation>, ProviderError>;

    /// Creates a revision and returns the provider's handle. Names are not unique at every provider, so look the name up in
    /// [`TemplateAdmin::list_templates`] first.
    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError>;

    /// Submits a created revision for review. Only where [`ReviewBegins::OnSubmit`].
    async fn submit_template(&self, handle: &TemplateHandle, revision: &TemplateRevision) -> Result<(), ProviderError>;

    /// Deletes a revision; success also when there is none.
    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError>;
}

/// The provider's id of a template revision, such as the SID of a content at Twilio. The adapter makes it and is the only
/// one to look inside; others store it, compare it, show it to people, and hand it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateHandle(String);

impl TemplateHandle {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a provider begin to review a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewBegins {
    /// Creating it: nothing exists that is not submitted.
    OnCreate,
    /// Submitting it, which is a call of its own.
    OnSubmit,
}

/// One language of a template, as it is created at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRevision {
    /// Deterministic: made from the owner's uid and the content, so that a crash between create and record is healed
    /// by finding it again.
    pub name: String,
    pub language: String,
    pub category: TemplateCategory,
    pub content: LocalizedContent,
    /// Sample values by variable key, for the reviewers.
    pub examples: BTreeMap<String, String>,
}

/// A template as the provider reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateObservation {
    pub handle: TemplateHandle,
    pub name: String,
    pub language: String,
    pub approval: Approval,
    /// The category as the provider sees it now; WhatsApp may change it.
    pub category: Option<String>,
}
