//! The log of requests to the imitated APIs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request to an imitated API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Counts up from 1 and is never reused.
    pub id: u64,
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// The decoded fields of a form body, in order.
    pub form: Vec<(String, String)>,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// The account that the credentials belong to; absent if they are wrong.
    pub account: Option<String>,
    /// The user name of the credentials: an account SID or a key SID.
    pub username: Option<String>,
    /// Absent while the request is being answered, and if the connection was cut.
    pub status: Option<u16>,
    /// The faults that were injected, by name.
    pub faults: Vec<String>,
}

impl RequestRecord {
    /// The first value of a form field.
    pub fn form_value(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    pub method: Option<String>,
    /// A regular expression, searched for in the path.
    pub path: Option<String>,
    /// Only those with a greater id.
    pub since: Option<u64>,
    pub account: Option<String>,
}
