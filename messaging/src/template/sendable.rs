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
    /// By language, such as `en_US`. Shared, because the operator holds what is published beside what would be.
    #[serde(with = "shared")]
    pub localizations: BTreeMap<String, Arc<LocalizationConfig>>,
}

/// A map whose values are shared in memory, and written out each time.
mod shared {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<String, Arc<V>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, value)| (key, &**value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Arc<V>>, D::Error> {
        let map = BTreeMap::<String, V>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, value)| (key, Arc::new(value))).collect())
    }
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
