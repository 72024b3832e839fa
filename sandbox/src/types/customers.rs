//! What customers do and how they behave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a customer behaves. Absent fields stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Behaviour {
    /// Whether the customer reads what is delivered. Default: false.
    pub reads: Option<bool>,
    /// False: messages end `undelivered` with 63024. Default: true.
    pub on_whatsapp: Option<bool>,
    /// Messages end `undelivered` with this code; 0 undoes that.
    pub fails_with: Option<i64>,
    /// Messages end `undelivered` with 63032.
    pub in_experiment: Option<bool>,
    /// False: messages stay `sent`, as for a phone that is switched off. Default: true.
    pub reachable: Option<bool>,
    /// The business-scoped user id, such as `US.13491208655302741918`; webhooks then carry it.
    pub external_user_id: Option<String>,
    /// True: webhooks carry the business-scoped user id only, and no phone number.
    pub phone_number_hidden: Option<bool>,
    pub profile_name: Option<String>,
}

/// A message from a customer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Reply {
    /// The sender's phone number, with or without `whatsapp:`. Absent: the only sender.
    pub to: Option<String>,
    pub body: String,
    pub media: Vec<ReplyMedia>,
    /// A button was pressed: its id, and its label in `button_text`.
    pub button_payload: Option<String>,
    pub button_text: Option<String>,
    pub profile_name: Option<String>,
    /// The SID of the message that is replied to.
    pub replies_to: Option<String>,
    pub latitude: Option<String>,
    pub longitude: Option<String>,
    /// Further form fields.
    pub extra: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReplyMedia {
    pub content_type: String,
    /// Base64.
    pub data: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyAccepted {
    pub message_sid: String,
    /// The webhook that reports it; absent if no URL for it is configured.
    pub webhook: Option<u64>,
}

/// Which messages a customer reads, or which sender a customer blocks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CustomerAct {
    /// For `read`: one message; absent: all that are delivered.
    pub message_sid: Option<String>,
    /// For `block`: the sender's phone number; absent: every sender.
    pub sender: Option<String>,
    /// For `block`: true unblocks.
    pub undo: bool,
}
