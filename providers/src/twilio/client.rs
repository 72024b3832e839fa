//! Calls to Twilio's REST API with one account's credentials.

use std::fmt;

use messaging::config::TwilioAccount;
use messaging::failure::{Failure, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::Listed;
use messaging::secret::Secret;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::codes;
use super::error_body;
use super::hosts::{Host, Hosts, Segment};
use super::pages;
use crate::transport::{self, Answer, Redactor, Unanswered};

/// One account's credentials and connection.
pub(crate) struct Client {
    http: reqwest::Client,
    hosts: Hosts,
    account_sid: String,
    username: String,
    password: Secret,
    redactor: Redactor,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("account_sid", &self.account_sid)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(account: &TwilioAccount, http: &reqwest::Client) -> Self {
        let secrets = std::iter::once(&account.password).chain(&account.webhook_keys).cloned();
        Self {
            http: http.clone(),
            hosts: Hosts::new(account.base_url.as_ref()),
            account_sid: account.account_sid.clone(),
            username: account.username.clone(),
            password: account.password.clone(),
            redactor: Redactor::new(secrets),
        }
    }

    pub(crate) fn account_sid(&self) -> &str {
        &self.account_sid
    }

    /// The same account with another key.
    pub(crate) fn signed_in_as(&self, username: &str, password: &Secret) -> Self {
        Self {
            http: self.http.clone(),
            hosts: self.hosts.clone(),
            account_sid: self.account_sid.clone(),
            username: username.to_owned(),
            password: password.clone(),
            redactor: self.redactor.and(password),
        }
    }

    /// The same account with an auth token; `None` when that makes the calls already.
    pub(crate) fn with_auth_token(&self, token: &Secret) -> Option<Self> {
        let makes_the_calls = self.username == self.account_sid && self.password == *token;
        (!makes_the_calls).then(|| self.signed_in_as(&self.account_sid, token))
    }

    /// The same, whose errors do not show this code either.
    pub(crate) fn hiding(&self, code: &Secret) -> Self {
        Self { redactor: self.redactor.and_code(code), ..self.signed_in_as(&self.username, &self.password) }
    }

    /// Whether an API key makes the calls, and not the account's auth token.
    pub(crate) fn is_called_with_key(&self) -> bool {
        self.username != self.account_sid
    }

    /// A path of the 2010 API below the account.
    pub(crate) fn account_path(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", Segment(&self.account_sid))
    }

    /// The URL of an API path, without credentials.
    pub(crate) fn url(&self, host: Host, path: &str) -> String {
        self.hosts.url(host, path)
    }

    fn request(&self, method: Method, host: Host, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.hosts.url(host, path))
            .basic_auth(&self.username, Some(self.password.expose()))
            .header(http::header::ACCEPT, "application/json")
    }

    /// Posts a form once. The caller decides what a missing or strange answer means.
    pub(crate) async fn post_form_raw(
        &self,
        host: Host,
        path: &str,
        form: &[(&str, String)],
    ) -> Result<Answer, Unanswered> {
        transport::exchange(self.request(Method::POST, host, path).form(form)).await
    }

    pub(crate) async fn post_form(
        &self,
        host: Host,
        path: &str,
        form: &[(&str, String)],
    ) -> Result<Value, ProviderError> {
        self.json(Intent::Write, self.request(Method::POST, host, path).form(form)).await
    }

    pub(crate) async fn post_json(&self, host: Host, path: &str, body: &Value) -> Result<Value, ProviderError> {
        self.json(Intent::Write, self.request(Method::POST, host, path).json(body)).await
    }

    /// `None` for 404.
    pub(crate) async fn get<T: DeserializeOwned>(&self, host: Host, path: &str) -> Result<Option<T>, ProviderError> {
        match self.json(Intent::Repeatable, self.request(Method::GET, host, path)).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Succeeds even if there is nothing to delete.
    pub(crate) async fn delete(&self, host: Host, path: &str) -> Result<(), ProviderError> {
        match self.success(Intent::Repeatable, self.request(Method::DELETE, host, path)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One page of a list: its rows, and the path of the next page.
    pub(crate) async fn page(&self, host: Host, path: &str, key: &str) -> Result<pages::Page, ProviderError> {
        let body = self.success(Intent::Repeatable, self.request(Method::GET, host, path)).await?;
        pages::parse(&self.hosts, &body, key).map_err(|reason| self.unreadable_read(&reason))
    }

    /// Every row of a list.
    pub(crate) async fn list(&self, host: Host, first: String, key: &str) -> Result<Listed<Value>, ProviderError> {
        if let (listed, true) = self.pages(pages::MOST_PAGES, host, first, key).await? {
            return Ok(listed);
        }
        let reason = format!("the list of {key} does not end within {} pages", pages::MOST_PAGES);
        Err(self.unreadable_read(&reason))
    }

    /// The rows of a list's first pages.
    pub(crate) async fn list_up_to(
        &self,
        most_pages: u32,
        host: Host,
        first: String,
        key: &str,
    ) -> Result<Listed<Value>, ProviderError> {
        self.pages(most_pages, host, first, key).await.map(|(listed, _)| listed)
    }

    /// The rows of at most so many pages, and whether these are all.
    async fn pages(
        &self,
        most_pages: u32,
        host: Host,
        first: String,
        key: &str,
    ) -> Result<(Listed<Value>, bool), ProviderError> {
        let (mut listed, mut path) = (Listed { rows: Vec::new(), requests: 0 }, first);
        while listed.requests < most_pages {
            let page = self.page(host, &path, key).await?;
            listed.rows.extend(page.rows);
            listed.requests += 1;
            match page.next {
                None => return Ok((listed, true)),
                Some(next) if next == path => break,
                Some(next) => path = next,
            }
        }
        Ok((listed, false))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        intent: Intent,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ProviderError> {
        let body = self.success(intent, request).await?;
        serde_json::from_slice(&body).map_err(|error| self.unreadable(intent, &error.to_string()))
    }

    async fn success(&self, intent: Intent, request: reqwest::RequestBuilder) -> Result<bytes::Bytes, ProviderError> {
        match transport::exchange(request).await {
            Err(Unanswered::NotSent(reason)) => Err(self.error(FailureClass::Retry, &reason)),
            Err(Unanswered::Unsettled(reason)) => Err(self.error(intent.unsettled(), &reason)),
            Ok(Answer { status: 200..=299, body: Ok(body), .. }) => Ok(body),
            Ok(Answer { status: 200..=299, body: Err(reason), .. }) => Err(self.unreadable(intent, &reason)),
            Ok(answer) => {
                let mut error = self.refusal(&answer);
                if error.failure.class == FailureClass::Ambiguous {
                    error.failure.class = intent.unsettled();
                }
                Err(error)
            }
        }
    }

    /// The error in an unsuccessful answer.
    pub(crate) fn refusal(&self, answer: &Answer) -> ProviderError {
        let body = answer.body.as_deref().map(error_body::parse).unwrap_or_default();
        let message = match &body.message {
            Some(message) => self.redactor.clean(message),
            None if (300..400).contains(&answer.status) => {
                format!("HTTP {}, a redirect, which is not followed: set the base URL to its target", answer.status)
            }
            None => format!("HTTP {} without an explanation", answer.status),
        };
        ProviderError {
            failure: codes::failure(body.code, Some(answer.status), message),
            http_status: Some(answer.status),
            retry_after: answer.retry_after,
        }
    }

    /// The text without secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.redactor.clean(text)
    }

    /// Twilio answered a read, and the answer could not be understood.
    pub(crate) fn unreadable_read(&self, reason: &str) -> ProviderError {
        self.unreadable(Intent::Repeatable, reason)
    }

    /// Twilio accepted a write, and the answer could not be understood.
    pub(crate) fn unreadable_write(&self, reason: &str) -> ProviderError {
        self.unreadable(Intent::Write, reason)
    }

    fn unreadable(&self, intent: Intent, reason: &str) -> ProviderError {
        self.error(intent.unsettled(), &format!("the answer could not be read: {reason}"))
    }

    fn error(&self, class: FailureClass, reason: &str) -> ProviderError {
        ProviderError { failure: Failure::new(class, self.clean(reason)), http_status: None, retry_after: None }
    }
}

/// Whether a call may be repeated when its outcome is unknown.
#[derive(Debug, Clone, Copy)]
enum Intent {
    /// It reads or deletes, so repeating it changes nothing.
    Repeatable,
    /// It creates or changes.
    Write,
}

impl Intent {
    fn unsettled(self) -> FailureClass {
        match self {
            Self::Repeatable => FailureClass::Retry,
            Self::Write => FailureClass::Ambiguous,
        }
    }
}
