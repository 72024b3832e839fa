//! The words of the control API. The server, the client and seed files share them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An account to create. Whatever is left out is made up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewAccount {
    pub account_sid: Option<String>,
    pub auth_token: Option<String>,
    pub friendly_name: Option<String>,
    pub senders: Vec<NewSender>,
    pub services: Vec<NewService>,
    /// Whether the provider itself answers to STOP: it then refuses messages with 21610 until START. Default: true.
    pub opt_out_handling: Option<bool>,
}

/// A WhatsApp sender that is online. A bare phone number will do.
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
}

/// What was made for a [`NewAccount`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedAccount {
    pub account_sid: String,
    pub auth_token: String,
    pub senders: Vec<CreatedSender>,
    /// The SIDs of its messaging services, in the order of the request.
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedSender {
    pub sid: String,
    pub phone_number: String,
    pub phone_number_sid: String,
}

/// Rules for both directions: `requests` that come in, `webhooks` that go out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FaultRules {
    pub requests: Vec<RequestFault>,
    pub webhooks: Vec<WebhookFault>,
}

/// What goes wrong with requests to the provider. All matching latencies add up; of the rest, the first rule that
/// matches decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestFault {
    /// What the request log calls it.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub method: Option<String>,
    /// A regular expression, searched for in the path (without the query).
    #[serde(default)]
    pub path: Option<String>,
    /// A regular expression, searched for in the body.
    #[serde(default)]
    pub body: Option<String>,
    /// The account whose credentials were used.
    #[serde(default)]
    pub account: Option<String>,
    /// So many matching occasions pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    /// So many are hit after that; absent: all.
    #[serde(default)]
    pub count: Option<u64>,
    /// 0.0 to 1.0; absent: always. An occasion that chance spares does not use up `skip` or `count`.
    #[serde(default)]
    pub probability: Option<f64>,
    pub effect: RequestEffect,
}

impl RequestFault {
    /// A rule for every request; narrow it by setting its fields.
    pub fn new(effect: RequestEffect) -> Self {
        Self {
            name: String::new(),
            method: None,
            path: None,
            body: None,
            account: None,
            skip: 0,
            count: None,
            probability: None,
            effect,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum RequestEffect {
    /// Wait before the request is looked at.
    Latency { ms: u64 },
    /// Process the request, then wait before answering.
    AnswerDelay { ms: u64 },
    /// Answer an error instead of processing the request.
    Status {
        status: u16,
        /// Seconds for a `Retry-After` header; absent: no such header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// The provider's error code; absent: the usual one for this status.
        #[serde(default)]
        code: Option<i64>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        shape: ErrorShape,
    },
    /// Process the request, then answer this error: the worst kind of 5xx.
    StatusAfter { status: u16 },
    /// Process the request fully, then cut the connection without an answer.
    DropResponse,
    /// Cut the connection before anything is processed.
    Refuse,
}

/// The three shapes that Twilio's errors come in, and what a proxy on the way would say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorShape {
    /// `{code, message, more_info, status}`
    #[default]
    Classic,
    /// RFC 9457 `application/problem+json`
    Problem,
    /// `{code, message, httpStatusCode, params, userError}`
    V1,
    Html,
    Empty,
}

/// What goes wrong with webhooks on their way out. The first rule that matches decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookFault {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub kind: Option<WebhookKind>,
    /// The message status that it tells, such as `delivered`.
    #[serde(default)]
    pub status: Option<String>,
    /// A regular expression, searched for in the message's recipient.
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
    /// So many matching occasions pass unharmed first.
    #[serde(default)]
    pub skip: u64,
    /// So many are hit after that; absent: all.
    #[serde(default)]
    pub count: Option<u64>,
    /// 0.0 to 1.0; absent: always. An occasion that chance spares does not use up `skip` or `count`.
    #[serde(default)]
    pub probability: Option<f64>,
    pub effect: WebhookEffect,
}

impl WebhookFault {
    /// A rule for every webhook; narrow it by setting its fields.
    pub fn new(effect: WebhookEffect) -> Self {
        Self {
            name: String::new(),
            kind: None,
            status: None,
            to: None,
            account: None,
            skip: 0,
            count: None,
            probability: None,
            effect,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum WebhookEffect {
    /// Never sent.
    Lose,
    /// Sent so many times more.
    Duplicate {
        times: u32,
    },
    Delay {
        ms: u64,
    },
    /// Held back until the next webhook about the same message was delivered.
    Reorder,
}

/// The rules in force, with how often each was applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultReport {
    pub requests: Vec<Hits<RequestFault>>,
    pub webhooks: Vec<Hits<WebhookFault>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hits<Rule> {
    pub rule: Rule,
    /// Occasions that matched, whether hit or spared.
    pub matched: u64,
    pub hits: u64,
}

/// How a customer behaves. What is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Behaviour {
    /// Reads what is delivered. Default: false.
    pub reads: Option<bool>,
    /// False: messages end `undelivered` with 63024. Default: true.
    pub on_whatsapp: Option<bool>,
    /// Messages end `undelivered` with this code; 0 takes that back.
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
    /// The sender's phone number, with or without `whatsapp:`. Absent: the only sender there is.
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
    /// Further form fields, for what has no place above.
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
    /// The webhook that tells it, unless no address for it is configured.
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
    /// For `block`: true takes it back.
    pub undo: bool,
}

/// A decision about a content that was submitted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Decision {
    /// `approved`, `rejected`, `paused`, `disabled`, or whatever word is to be observed.
    pub status: String,
    pub reason: String,
    /// The category that Meta puts it in.
    pub category: Option<String>,
}

/// How submissions are reviewed. The first rule that matches decides; without one, contents that break Meta's format
/// rules are rejected and all others approved.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ReviewRule {
    /// A regular expression, searched for in the name of the submission.
    pub name: Option<String>,
    pub category: Option<String>,
    pub account: Option<String>,
    /// `approved`, `rejected`, or `pending` for a review that does not end by itself.
    pub decision: String,
    pub reason: String,
    /// The category that Meta changes it to, where the submission allows that.
    pub change_category: Option<String>,
    /// How long it takes; absent: as configured.
    pub delay_ms: Option<u64>,
}

/// A change of a sender that does not come from the account: Meta's quality rating, a ban.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SenderChange {
    pub status: Option<String>,
    pub quality_rating: Option<String>,
    pub messaging_limit: Option<String>,
    /// Code and message of each reason; an empty list takes them back.
    pub offline_reasons: Option<Vec<OfflineReason>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OfflineReason {
    pub code: String,
    pub message: String,
}

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
    /// Whom the credentials belong to; absent where they are wrong.
    pub account: Option<String>,
    /// The user name of the credentials: an account SID or a key SID.
    pub username: Option<String>,
    /// Absent while it is being answered, and when the connection was cut.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookKind {
    Inbound,
    Status,
    /// Sent to the fallback address after the inbound webhook failed.
    Fallback,
}

/// One webhook and all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRecord {
    /// Counts up from 1 and is never reused.
    pub id: u64,
    pub at: Timestamp,
    pub kind: WebhookKind,
    pub account: String,
    pub message_sid: String,
    pub message_status: String,
    pub method: String,
    /// As configured, with its `#…` fragment.
    pub url: String,
    pub headers: BTreeMap<String, String>,
    /// The exact bytes.
    pub body: String,
    pub state: WebhookState,
    pub faults: Vec<String>,
    pub attempts: Vec<WebhookAttempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebhookState {
    /// Waiting, or under way.
    Pending,
    /// Held back by a fault until the next one about the same message is delivered.
    Held,
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Failed,
    /// Swallowed by a fault.
    Lost,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAttempt {
    pub at: Timestamp,
    pub duration_ms: u64,
    /// Absent where no answer came.
    pub status: Option<u16>,
    /// `connect`, `timeout`, or what else kept the answer away.
    pub error: Option<String>,
    pub redelivery: bool,
}

/// Which webhooks to list.
#[derive(Debug, Clone, Default)]
pub struct WebhookFilter {
    pub kind: Option<WebhookKind>,
    pub message_sid: Option<String>,
    pub account: Option<String>,
    pub since: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Redelivery {
    pub times: u32,
    /// All at once, rather than one after the other.
    pub concurrent: bool,
}

/// What the receiver answered to a redelivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redelivered {
    pub attempts: Vec<WebhookAttempt>,
}

/// A message as the provider itself sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRecord {
    pub sid: String,
    pub account: String,
    pub direction: String,
    pub from: Option<String>,
    pub to: String,
    pub service: Option<String>,
    pub body: String,
    pub content_sid: Option<String>,
    /// Decoded.
    pub content_variables: BTreeMap<String, String>,
    pub num_media: usize,
    pub status: String,
    pub error_code: Option<i64>,
    pub status_callback: Option<String>,
    pub history: Vec<StatusChange>,
    pub deleted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    pub at: Timestamp,
    pub status: String,
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// A phone number or address, with or without `whatsapp:`.
    pub to: Option<String>,
    pub from: Option<String>,
    pub account: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub status: String,
    /// Requests that ended in a panic: a defect of the sandbox.
    pub panics: u64,
    pub now: Timestamp,
}

/// Moves the sandbox's time forward, past scheduled messages, windows and reviews.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockAdvance {
    pub seconds: u64,
}
