//! Injected faults: rules for requests and webhooks, and how often each was applied.

use serde::{Deserialize, Serialize};

use super::webhooks::WebhookKind;

/// Rules for both directions: incoming `requests` and outgoing `webhooks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FaultRules {
    pub requests: Vec<RequestFault>,
    pub webhooks: Vec<WebhookFault>,
}

/// A fault in requests to the provider. All matching latencies add up; of the other rules, the first that matches
/// decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestFault {
    /// Its name in the request log.
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
    /// The number of matching occasions that are spared first.
    #[serde(default)]
    pub skip: u64,
    /// The number of occasions that are hit after that; absent: all.
    #[serde(default)]
    pub count: Option<u64>,
    /// 0.0 to 1.0; absent: always. An occasion spared by chance does not use up `skip` or `count`.
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
    /// Wait before processing the request.
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

/// The three formats of Twilio's errors, and those of a proxy in between.
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

/// A fault in outgoing webhooks. The first rule that matches decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookFault {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub kind: Option<WebhookKind>,
    /// The message status that it reports, such as `delivered`.
    #[serde(default)]
    pub status: Option<String>,
    /// A regular expression, searched for in the message's recipient.
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub account: Option<String>,
    /// The number of matching occasions that are spared first.
    #[serde(default)]
    pub skip: u64,
    /// The number of occasions that are hit after that; absent: all.
    #[serde(default)]
    pub count: Option<u64>,
    /// 0.0 to 1.0; absent: always. An occasion spared by chance does not use up `skip` or `count`.
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
    /// Sent this many additional times.
    Duplicate {
        times: u32,
    },
    Delay {
        ms: u64,
    },
    /// Held back until the next webhook about the same message is delivered.
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
