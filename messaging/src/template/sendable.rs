//! A template as sending needs it: what the operator compiles into a tenant's config.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Approval, LocalizedContent, TemplateCategory};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateConfig {
    pub category: TemplateCategory,
    /// Keys of the variables that a send must give values for.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Used when a send names no language.
    pub fallback_language: String,
    /// By language, such as `en_US`.
    pub localizations: BTreeMap<String, LocalizationConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalizationConfig {
    pub content: LocalizedContent,
    /// What may be sent at each provider account, by
    /// [`ProviderAccount::account_key`](crate::config::ProviderAccount::account_key).
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountTemplate>,
}

/// A template at one provider account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountTemplate {
    /// The provider's handle of the revision to send: the last approved one, else the newest.
    pub handle: String,
    pub approval: Approval,
}
