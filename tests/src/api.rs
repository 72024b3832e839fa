//! A tenant's client of the data plane's API.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::eventually::eventually;

/// Calls one data plane with one tenant's token.
#[derive(Debug, Clone)]
pub struct TenantApi {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl TenantApi {
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Self {
        crate::install_crypto();
        Self { http: reqwest::Client::new(), base: base.into(), token: token.into() }
    }

    /// Opens a connection for each request, so that behind a load balancer each may reach another replica.
    pub fn without_keep_alive(self) -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().pool_max_idle_per_host(0).build()?, ..self })
    }

    /// Sends a request and returns the answer, whatever its status.
    pub async fn request(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?
        };
        Ok(Answer { status, body })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path, None, None).await
    }

    /// Asks for a message to be sent. Returns the answer, whatever its status.
    pub async fn try_send(&self, key: &str, message: &Value) -> Result<Answer> {
        self.request(Method::POST, "/v1/messages", Some(key), Some(message)).await
    }

    /// Asks for a message to be sent, which must be accepted. Returns its id.
    pub async fn send(&self, key: &str, message: &Value) -> Result<String> {
        let answer = self.try_send(key, message).await?;
        ensure!(answer.status == StatusCode::ACCEPTED, "expected 202, got {}: {:#}", answer.status, answer.body);
        answer.body["id"].as_str().map(str::to_owned).context("an accepted message has an id")
    }

    /// The message with its timeline.
    pub async fn message(&self, id: &str) -> Result<Value> {
        let answer = self.get(&format!("/v1/messages/{id}")).await?;
        ensure!(answer.status == StatusCode::OK, "expected 200, got {}: {:#}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Waits until the message has this status.
    pub async fn until(&self, id: &str, status: &str) -> Result<Value> {
        eventually(&format!("message {id} is {status}"), async || {
            let message = self.message(id).await.map_err(|e| format!("{e:#}"))?;
            if message["status"] == status { Ok(message) } else { Err(message.to_string()) }
        })
        .await
    }
}

/// The statuses that a message has had, in order.
pub fn statuses(message: &Value) -> Vec<&str> {
    message["timeline"].as_array().into_iter().flatten().filter_map(|entry| entry["status"].as_str()).collect()
}
