//! Where a PostgreSQL database is: one URL, which may name several hosts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

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
        let config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!(
                "the PostgreSQL URL cannot be read{cause}: expected postgres://user:password@host:5432/database, with \
                 several hosts separated by commas"
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err("the PostgreSQL URL names no host: expected postgres://user:password@host:5432/database".into());
        }
        Ok(Self { config, tls: None })
    }
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
}
