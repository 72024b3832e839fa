//! API keys: standard ones, and restricted ones with a policy.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock;

#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    pub(crate) sid: String,
    pub(crate) secret: String,
    pub(crate) friendly_name: String,
    /// The permissions of a restricted key. A standard key has none listed, and may do everything except manage the
    /// account.
    pub(crate) policy: Option<Value>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl ApiKey {
    /// Whether a restricted key was granted `permission`.
    pub(crate) fn allows(&self, permission: &str) -> bool {
        self.policy.as_ref().is_some_and(|policy| {
            policy["allow"].as_array().is_some_and(|allow| allow.iter().any(|granted| granted == permission))
        })
    }

    /// The 2010 API's representation.
    pub(crate) fn render(&self) -> Value {
        json!({
            "sid": self.sid,
            "friendly_name": self.friendly_name,
            "date_created": clock::rfc2822(self.created),
            "date_updated": clock::rfc2822(self.updated),
        })
    }

    pub(crate) fn with(&self, name: &str, value: Value) -> Value {
        let mut rendered = self.render();
        rendered[name] = value;
        rendered
    }

    pub(crate) fn policy(&self) -> Value {
        self.policy.clone().unwrap_or(Value::Null)
    }
}
