//! Accounts with their senders and messaging services, as a seed or the control API creates them.

use serde::{Deserialize, Serialize};

use super::templates::NewContent;

/// An account to create. Fields that are left out are generated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewAccount {
    pub account_sid: Option<String>,
    pub auth_token: Option<String>,
    pub friendly_name: Option<String>,
    pub senders: Vec<NewSender>,
    /// The account's part of Twilio's own Sandbox for WhatsApp.
    pub sandbox: Option<NewTryOut>,
    pub services: Vec<NewService>,
    /// Contents, from the oldest to the newest.
    pub contents: Vec<NewContent>,
    /// Whether the provider itself answers to STOP: it then refuses messages with 21610 until START. Default: true.
    pub opt_out_handling: Option<bool>,
}

/// A WhatsApp sender that is online. Its short form is the phone number alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "NewSenderForm")]
pub struct NewSender {
    pub phone_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_callback_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NewSenderForm {
    Number(String),
    #[serde(rename_all = "camelCase")]
    Full {
        phone_number: String,
        sid: Option<String>,
        callback_url: Option<String>,
        status_callback_url: Option<String>,
    },
}

impl From<NewSenderForm> for NewSender {
    fn from(form: NewSenderForm) -> Self {
        match form {
            NewSenderForm::Number(number) => number.as_str().into(),
            NewSenderForm::Full { phone_number, sid, callback_url, status_callback_url } => {
                Self { phone_number, sid, callback_url, status_callback_url }
            }
        }
    }
}

impl From<&str> for NewSender {
    fn from(number: &str) -> Self {
        Self { phone_number: number.to_owned(), ..Self::default() }
    }
}

/// An account's part of Twilio's own Sandbox: the number that all accounts share, without a Senders resource.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewTryOut {
    /// What a phone sends after the word `join`.
    pub join_code: String,
    pub inbound_url: Option<String>,
    pub status_url: Option<String>,
}

/// A messaging service to create.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewService {
    pub sid: Option<String>,
    pub friendly_name: Option<String>,
    /// The phone numbers of the account's senders that are in it. Absent: all of them.
    pub senders: Option<Vec<String>>,
    pub inbound_request_url: Option<String>,
    pub status_callback: Option<String>,
    /// Whether inbound messages go to each sender's own webhook instead of the service's.
    pub use_inbound_webhook_on_number: bool,
}

/// The account that was created from a [`NewAccount`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedAccount {
    pub account_sid: String,
    pub auth_token: String,
    pub senders: Vec<CreatedSender>,
    /// The SIDs of its messaging services, in the order of the request.
    pub services: Vec<String>,
    /// The SIDs of its contents, in the order of the request.
    #[serde(default)]
    pub contents: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedSender {
    pub sid: String,
    pub phone_number: String,
    pub phone_number_sid: String,
}
