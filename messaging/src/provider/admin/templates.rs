//! Lists, creates, submits and deletes templates at the provider.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Listed;
use crate::provider::ProviderError;
use crate::template::{Approval, LocalizedContent, TemplateCategory};

/// The templates of one account.
#[async_trait]
pub trait TemplateAdmin: Send + Sync {
    /// When the provider begins its review.
    fn review_begins(&self) -> ReviewBegins;

    /// Every template with its approval: one list, all pages.
    async fn list_templates(&self) -> Result<Listed<TemplateObservation>, ProviderError>;

    /// Creates a revision and returns the provider's handle. Names are not unique at every provider, so look the name
    /// up in [`TemplateAdmin::list_templates`] first.
    async fn create_template(&self, revision: &TemplateRevision) -> Result<TemplateHandle, ProviderError>;

    /// Submits a created revision for review. Only where [`ReviewBegins::OnSubmit`].
    async fn submit_template(&self, handle: &TemplateHandle, revision: &TemplateRevision) -> Result<(), ProviderError>;

    /// Deletes a revision; succeeds even if there is none.
    async fn delete_template(&self, handle: &TemplateHandle) -> Result<(), ProviderError>;
}

/// The provider's id of a template revision, such as the SID of a content at Twilio. Opaque outside the adapters: other
/// code stores it, compares it, shows it to people, and hands it back.
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

/// When a provider begins to review a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewBegins {
    /// When it is created: every template is submitted.
    OnCreate,
    /// When it is submitted, which is a separate call.
    OnSubmit,
}

/// One language of a template, as it is created at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRevision {
    /// Derived from the owner's uid and the content, so that after a crash between creating and recording, the revision
    /// is found again.
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
    /// The category that the provider reports now, which WhatsApp may have changed. `None` where it reports none, or
    /// one that this version does not know.
    pub category: Option<TemplateCategory>,
    pub content: Result<FoundContent, Inexpressible>,
}

/// What a template at the provider says, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContent {
    /// In the category AUTHENTICATION it has no body, and at most the button that copies the code.
    pub text: LocalizedContent,
    /// Sample values by variable key; not every variable has one.
    pub examples: BTreeMap<String, String>,
    /// The provider's type of the content, where [`TemplateAdmin::create_template`] would make another type of the same
    /// text. WhatsApp shows both alike.
    pub unusual_type: Option<String>,
}

/// Why this project cannot express what a template at the provider says: continues "it".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it {0}")]
pub struct Inexpressible(pub String);
