//! Alerts of Twilio's Debugger, as a test makes them.

use serde::{Deserialize, Serialize};

/// An alert to add, as of now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewAlert {
    /// The account's SID.
    pub account: String,
    pub error_code: String,
    pub log_level: String,
    pub alert_text: Option<String>,
    pub request_url: Option<String>,
    pub resource_sid: Option<String>,
}

/// The alert that was added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatedAlert {
    pub sid: String,
}

impl Default for NewAlert {
    fn default() -> Self {
        Self {
            account: String::new(),
            error_code: "11200".to_owned(),
            log_level: "error".to_owned(),
            alert_text: None,
            request_url: None,
            resource_sid: None,
        }
    }
}
