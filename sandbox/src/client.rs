//! A client of the control API, for tests and demos in Rust. Each provider's folder adds the calls about its own state.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::types::{
    Behaviour, ClockAdvance, CustomerAct, FaultReport, FaultRules, Health, Redelivered, Redelivery, Reply,
    ReplyAccepted, RequestFault, RequestFilter, RequestRecord, WebhookFault, WebhookFilter, WebhookRecord,
};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(10);

/// Why a control call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the sandbox cannot be reached")]
    Http(#[from] reqwest::Error),
    /// The sandbox's message.
    #[error("the sandbox refused with {status}: {message}")]
    Refused { status: u16, message: String },
}

/// Calls one sandbox.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

pub(crate) type Answer<T> = Result<T, ControlError>;

impl Client {
    /// `base_url` is the sandbox's, such as `http://127.0.0.1:4010`.
    pub fn new(base_url: &str) -> Self {
        crate::crypto::install();
        // The sandbox closes a connection after half a minute without a request, possibly just as it is used again.
        let http = reqwest::Client::builder().pool_idle_timeout(IDLE).build().unwrap_or_default();
        Self { http, base: base_url.trim_end_matches('/').to_owned() }
    }

    pub async fn health(&self) -> Answer<Health> {
        self.get("healthz", &[]).await
    }

    /// Restores the initial state.
    pub async fn reset(&self) -> Answer<()> {
        self.order(Method::POST, "reset", &json!({})).await
    }

    /// Moves the sandbox's time forward.
    pub async fn advance_clock(&self, by: Duration) -> Answer<()> {
        self.order(Method::POST, "clock", &ClockAdvance { seconds: by.as_secs() }).await
    }

    pub async fn add_faults(&self, rules: &FaultRules) -> Answer<FaultReport> {
        self.post("faults", rules).await
    }

    pub async fn add_request_fault(&self, rule: RequestFault) -> Answer<FaultReport> {
        self.add_faults(&FaultRules { requests: vec![rule], webhooks: vec![] }).await
    }

    pub async fn add_webhook_fault(&self, rule: WebhookFault) -> Answer<FaultReport> {
        self.add_faults(&FaultRules { requests: vec![], webhooks: vec![rule] }).await
    }

    pub async fn faults(&self) -> Answer<FaultReport> {
        self.get("faults", &[]).await
    }

    pub async fn clear_faults(&self) -> Answer<()> {
        self.order(Method::DELETE, "faults", &json!({})).await
    }

    /// A customer writes to a sender.
    pub async fn reply(&self, customer: &str, reply: &Reply) -> Answer<ReplyAccepted> {
        self.post(&of_customer(customer, "reply"), reply).await
    }

    /// A customer reads one message, or all that are delivered. Returns how many.
    pub async fn read(&self, customer: &str, message_sid: Option<&str>) -> Answer<u64> {
        let act = CustomerAct { message_sid: message_sid.map(str::to_owned), ..CustomerAct::default() };
        let answer: Value = self.post(&of_customer(customer, "read"), &act).await?;
        Ok(answer["messages"].as_u64().unwrap_or_default())
    }

    /// A customer blocks a sender, or (`None`) every sender.
    pub async fn block(&self, customer: &str, sender: Option<&str>) -> Answer<()> {
        self.set_block(customer, sender, false).await
    }

    pub async fn unblock(&self, customer: &str, sender: Option<&str>) -> Answer<()> {
        self.set_block(customer, sender, true).await
    }

    async fn set_block(&self, customer: &str, sender: Option<&str>, undo: bool) -> Answer<()> {
        let act = CustomerAct { sender: sender.map(str::to_owned), undo, ..CustomerAct::default() };
        self.order(Method::POST, &of_customer(customer, "block"), &act).await
    }

    /// Changes how a customer behaves, or (`*`) every customer not named so far.
    pub async fn behave(&self, customer: &str, behaviour: &Behaviour) -> Answer<()> {
        self.order(Method::POST, &of_customer(customer, "behaviour"), behaviour).await
    }

    /// Oldest first.
    pub async fn requests(&self, filter: &RequestFilter) -> Answer<Vec<RequestRecord>> {
        let since = filter.since.map(|since| since.to_string());
        let query = [
            ("method", filter.method.as_deref()),
            ("path", filter.path.as_deref()),
            ("since", since.as_deref()),
            ("account", filter.account.as_deref()),
        ];
        self.get("requests", &query).await
    }

    pub async fn clear_requests(&self) -> Answer<()> {
        self.order(Method::DELETE, "requests", &json!({})).await
    }

    /// Oldest first.
    pub async fn webhooks(&self, filter: &WebhookFilter) -> Answer<Vec<WebhookRecord>> {
        let since = filter.since.map(|since| since.to_string());
        let kind = filter.kind.map(|kind| json!(kind));
        let query = [
            ("kind", kind.as_ref().and_then(Value::as_str)),
            ("messageSid", filter.message_sid.as_deref()),
            ("since", since.as_deref()),
            ("account", filter.account.as_deref()),
        ];
        self.get("webhooks", &query).await
    }

    /// Sends a webhook's bytes again, and returns when all copies have been sent.
    pub async fn redeliver(&self, webhook: u64, times: u32, concurrent: bool) -> Answer<Redelivered> {
        self.post(&format!("webhooks/{webhook}/redeliver"), &Redelivery { times, concurrent }).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, Option<&str>)]) -> Answer<T> {
        let query: Vec<_> = query.iter().filter_map(|(name, value)| Some((name, (*value)?))).collect();
        self.send(self.request(Method::GET, path).query(&query)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<T> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn order(&self, method: Method, path: &str, body: &impl Serialize) -> Answer<()> {
        let _: Value = self.send(self.request(method, path).json(body)).await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/sandbox/{path}", self.base))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.json().await?);
        }
        let message = response.text().await?;
        Err(ControlError::Refused { status: status.as_u16(), message })
    }
}

fn of_customer(customer: &str, act: &str) -> String {
    format!("customers/{}/{act}", encoded(customer))
}

pub(crate) fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}
