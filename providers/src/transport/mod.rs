//! HTTP for every adapter: one client for the process, one exchange that distinguishes "never left" from "unknown", and
//! error text without secrets. It knows no provider.

mod exchange;
mod redact;
mod retry_after;

use std::time::Duration;

pub(crate) use exchange::{Answer, Unanswered, exchange};
pub(crate) use redact::Redactor;

/// How the process calls providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// For name resolution, TCP and TLS together. It must be shorter than `timeout`: only a failure to *connect* proves
    /// that nothing was sent.
    pub connect_timeout: Duration,
    /// For the whole call. The default is 30 s, as in Twilio's own client for Node, which is longer than Twilio takes
    /// to answer. A call that is given up early is a message whose outcome is unknown.
    pub timeout: Duration,
    /// Sent as `User-Agent`.
    pub user_agent: String,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            user_agent: concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHttpSettings {
    #[error(
        "the connect time-out ({connect:?}) must be shorter than the time-out of the whole call ({whole:?}), because only a failure to connect proves that nothing was sent"
    )]
    ConnectTimeoutTooLong { connect: Duration, whole: Duration },
    #[error("no HTTP client could be created: {0}")]
    Client(#[from] reqwest::Error),
}

/// The one HTTP client of a process.
///
/// TLS is rustls with ring, against the system's root certificates. It follows no redirect, which would carry a message
/// or credentials to a place that is not configured. It repeats no request, because a second call could send a second
/// message. It ignores `HTTP_PROXY` and similar variables: an egress proxy is configured as an account's base URL,
/// where it can be seen.
pub fn http_client(settings: HttpSettings) -> Result<reqwest::Client, InvalidHttpSettings> {
    let HttpSettings { connect_timeout, timeout, user_agent } = settings;
    if connect_timeout >= timeout {
        return Err(InvalidHttpSettings::ConnectTimeoutTooLong { connect: connect_timeout, whole: timeout });
    }
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread has already installed one.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    Ok(reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .timeout(timeout)
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_timeout_that_could_hide_behind_the_whole_is_refused() {
        let settings = HttpSettings { connect_timeout: Duration::from_secs(30), ..HttpSettings::default() };
        let error = http_client(settings).expect_err("equal").to_string();
        assert!(error.contains("must be shorter"), "{error}");
    }
}
