//! Where a PostgreSQL database is: one URL, which may name several hosts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const EXPECTED: &str = "postgres://user:password@host:5432/database, with several hosts separated by commas";
/// What the part after the question mark may set. Certificate authorities are a setting of their own.
const PARAMETERS: [&str; 19] = [
    "sslmode",
    "sslnegotiation",
    "channel_binding",
    "connect_timeout",
    "load_balance_hosts",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "tcp_user_timeout",
    "target_session_attrs",
    "application_name",
    "options",
    "user",
    "password",
    "host",
    "hostaddr",
    "port",
    "dbname",
];

/// `postgres://user:password@first:5432,second:5432/database?sslmode=require`. Of several hosts the one that takes
/// writes is used.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

impl PostgresUrl {
    /// With what TLS connections are made, where the URL's `sslmode` does not say `disable`.
    #[must_use]
    pub fn with_tls(self, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Whether connections must be encrypted.
    pub fn requires_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("PostgresUrl").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} host(s), database {}", self.config.get_hosts().len(), self.config.get_dbname().unwrap_or("-"))
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl Eq for PostgresUrl {}

impl FromStr for PostgresUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is not repeated: it may hold a password.
        let config: Config = readable(text)?.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("the PostgreSQL URL cannot be read{cause}: expected {EXPECTED}")
        })?;
        if config.get_hosts().is_empty() {
            return Err(format!("the PostgreSQL URL names no host: expected {EXPECTED}"));
        }
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(
                "the PostgreSQL URL has more than one @: expected %40 for each that belongs to the user or the \
                        password"
                    .into(),
            );
        }
        Ok(Self { config, tls: None })
    }
}

/// The URL as the driver reads it. It does not know the modes `verify-ca` and `verify-full`, whose checks our
/// connections make in every mode that encrypts.
fn readable(text: &str) -> Result<String, String> {
    // A password before the last @ may hold a question mark.
    let parameters_at = text.rfind('@').unwrap_or_default();
    let Some(at) = text[parameters_at..].find('?').map(|at| parameters_at + at) else { return Ok(text.to_owned()) };
    let mut parameters = Vec::new();
    for parameter in text[at + 1..].split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !PARAMETERS.contains(&key) {
            return Err(format!(
                "the PostgreSQL URL has a parameter that is not known: expected some of {}",
                PARAMETERS.join(", ")
            ));
        }
        parameters.push(match (key, value) {
            ("sslmode", "verify-ca" | "verify-full") => "sslmode=require".to_owned(),
            ("sslmode", mode) if !["disable", "prefer", "require"].contains(&mode) => {
                return Err("the sslmode of the PostgreSQL URL is not known: expected disable, prefer, require, \
                            verify-ca or verify-full"
                    .into());
            }
            _ => parameter.to_owned(),
        });
    }
    Ok(format!("{}?{}", &text[..at], parameters.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_several_hosts_and_never_shows_its_password() {
        let url: PostgresUrl = "postgres://user:secret@first:5432,second:5433/data?sslmode=require".parse().unwrap();
        assert_eq!(url.config.get_hosts().len(), 2);
        assert!(url.requires_tls());
        assert!(!format!("{url:?} {url}").contains("secret"));
        let error = "postgres://user:secret@host:port/data".parse::<PostgresUrl>().unwrap_err();
        assert!(!error.contains("secret") && error.contains("expected postgres://"), "{error}");
    }

    #[test]
    fn the_modes_that_verify_the_server_are_what_require_does_here() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url: PostgresUrl =
                format!("postgres://user:s?cret@host/data?connect_timeout=3&sslmode={mode}").parse().unwrap();
            assert!(url.requires_tls(), "{mode}");
            assert_eq!(url.config.get_password(), Some(b"s?cret".as_slice()));
            assert_eq!(url.config.get_connect_timeout(), Some(&std::time::Duration::from_secs(3)));
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_told_by_what_would_be_right_and_never_by_what_it_holds() {
        for (rest, expected) in [
            ("host/data?sslmode=allow", "expected disable, prefer, require, verify-ca or verify-full"),
            ("host/data?sslmode=disable&secret=1", "a parameter that is not known: expected some of sslmode, "),
            ("host/data?secret", "a parameter that is not known"),
            ("secret@host/data", "more than one @"),
            ("host:secret/data", "`port`"),
            ("[secret/data", "`host`"),
            ("/data", "names no host"),
        ] {
            let error = format!("postgres://user:secret@{rest}").parse::<PostgresUrl>().unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret"), "{rest}: {error}");
        }
    }
}
