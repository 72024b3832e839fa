//! A template as sending needs it: what the operator compiles into a tenant's config.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// By language, such as `en_US`. Shared, because the operator holds what is published beside what would be. In
    /// boxes, because a map has room for eleven values, and most templates have one language and one account.
    #[serde(with = "shared")]
    pub localizations: Arc<BTreeMap<String, Box<LocalizationConfig>>>,
}

/// A value that is shared in memory, and written out each time.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, T: Serialize>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalizationConfig {
    pub content: LocalizedContent,
    /// What may be sent at each provider account, by
    /// [`ProviderAccount::account_key`](crate::config::ProviderAccount::account_key).
    #[serde(default)]
    pub accounts: BTreeMap<String, Box<AccountTemplate>>,
}

/// A template at one provider account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountTemplate {
    /// The provider's handle of the revision to send: the last approved one, else the newest.
    pub handle: String,
    pub approval: Approval,
}
