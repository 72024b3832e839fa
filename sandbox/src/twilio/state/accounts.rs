//! Accounts: their auth tokens and API keys.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::keys::ApiKey;
use crate::clock;

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) sid: String,
    pub(crate) friendly_name: String,
    /// The parent, or the account itself.
    pub(crate) owner_sid: String,
    pub(crate) status: String,
    /// The primary token, the only one that signs webhooks.
    pub(crate) auth_token: String,
    pub(crate) secondary_token: Option<String>,
    pub(crate) keys: Vec<ApiKey>,
    pub(crate) opt_out_handling: bool,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Account {
    pub(crate) fn new(sid: String, auth_token: String, friendly_name: String, now: Timestamp) -> Self {
        Self {
            owner_sid: sid.clone(),
            sid,
            friendly_name,
            status: "active".to_owned(),
            auth_token,
            secondary_token: None,
            keys: Vec::new(),
            opt_out_handling: true,
            created: now,
            updated: now,
        }
    }

    /// The 2010 API's representation.
    pub(crate) fn render(&self) -> Value {
        let uri = |resource: &str| format!("/2010-04-01/Accounts/{}{resource}.json", self.sid);
        json!({
            "auth_token": self.auth_token,
            "date_created": clock::rfc2822(self.created),
            "date_updated": clock::rfc2822(self.updated),
            "friendly_name": self.friendly_name,
            "owner_account_sid": self.owner_sid,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {
                "incoming_phone_numbers": uri("/IncomingPhoneNumbers"),
                "keys": uri("/Keys"),
                "messages": uri("/Messages"),
                "signing_keys": uri("/SigningKeys"),
                "usage": uri("/Usage"),
            },
            "type": "Full",
            "uri": uri(""),
        })
    }
}
