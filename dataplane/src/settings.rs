//! The settings of the process: flags, each also an environment variable.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use confidential::Confidential;
use listener::Limits;
use messaging::duration::Unit;
use url::Url;

use crate::store::PostgresUrl;

/// How to serve.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Where providers' webhooks are received, from the internet.
    #[arg(long, env = "WHATSAPP_WEBHOOK_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub webhook_listen: SocketAddr,

    /// Where the tenants' API is served.
    #[arg(long, env = "WHATSAPP_API_LISTEN", default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub api_listen: SocketAddr,

    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "WHATSAPP_ADMIN_LISTEN", default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,

    #[command(flatten)]
    pub connections: ConnectionSettings,

    /// The database: sqlite:///absolute/path/file.db, sqlite:relative/file.db, or
    /// postgres://user:password@host:5432/database, with several hosts separated by commas.
    #[arg(
        long,
        env = "WHATSAPP_STORE",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_STORE", StoreUrl::from_str)
    )]
    pub store: StoreUrl,

    /// PEM file of the certificate authorities to trust for the PostgreSQL server; by default the system's.
    #[arg(long, env = "WHATSAPP_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<PathBuf>,

    /// The roles that run in this process.
    #[arg(
        long,
        env = "WHATSAPP_ROLES",
        value_delimiter = ',',
        default_values_t = Role::ALL,
        value_name = "ROLE"
    )]
    pub roles: Vec<Role>,

    #[command(flatten)]
    pub config: ConfigSource,

    /// Send every call to Twilio here instead, with the same path. A base URL in a tenant config takes precedence.
    #[arg(
        long,
        env = "WHATSAPP_TWILIO_BASE_URL",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_TWILIO_BASE_URL", base_url)
    )]
    pub twilio_base_url: Option<Url>,

    /// The audience that ServiceAccount tokens must be issued for.
    #[arg(
        long,
        env = "WHATSAPP_API_AUDIENCE",
        default_value = messaging::config::kubernetes::DEFAULT_AUDIENCE,
        value_name = "AUDIENCE"
    )]
    pub api_audience: String,

    /// Ask the API server whether a ServiceAccount may send from a sender: it needs the verb create on
    /// whatsappsenders/messages with the sender's name. API keys may send from every sender of their tenant.
    #[arg(long, env = "WHATSAPP_AUTHORIZE_SENDERS", conflicts_with = "config_dir")]
    pub authorize_senders: bool,

    /// How long a claim on a message or an event lasts unless renewed: after a replica dies, others wait this long
    /// before they take over its work.
    #[arg(long, env = "WHATSAPP_LEASE", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub lease: Duration,

    /// How long after a call without an answer its absence from the provider's message log means that nothing was
    /// sent.
    #[arg(
        long,
        env = "WHATSAPP_UNCONFIRMED_GRACE",
        default_value = "15m",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub unconfirmed_grace: Duration,

    /// How long a message may be without a terminal status before the provider is asked about it.
    #[arg(long, env = "WHATSAPP_RECONCILE_AFTER", default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub reconcile_after: Duration,

    /// How long a sender or a tenant may be missing from the configs before it counts as removed: then what is queued
    /// for it is canceled. One that is put back in time goes on as before.
    #[arg(long, env = "WHATSAPP_REMOVAL_GRACE", default_value = "24h", value_parser = duration, value_name = "DURATION")]
    pub removal_grace: Duration,

    /// Allow sinks with private addresses, such as a sidecar or a laptop.
    #[arg(long, env = "WHATSAPP_ALLOW_PRIVATE_SINKS")]
    pub allow_private_sinks: bool,

    /// How long the listeners still accept connections after readiness fails, so that load balancers notice first.
    #[arg(long, env = "WHATSAPP_DRAIN_DELAY", default_value = "1s", value_parser = duration, value_name = "DURATION")]
    pub drain_delay: Duration,

    /// How long requests and calls in flight may take when the process shuts down.
    #[arg(long, env = "WHATSAPP_DRAIN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "DURATION")]
    pub drain_timeout: Duration,

    /// The name of this replica, in its Lease and its claims.
    #[arg(long, env = "POD_NAME", default_value = "local", value_name = "NAME")]
    pub replica: String,

    /// The uid of this replica's pod, so that its Lease is garbage collected with it.
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub replica_uid: Option<String>,
}

/// What clients may use of the listeners.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectionSettings {
    /// The most connections at once on the webhooks' and on the tenants' listener, each. When all are taken, those that
    /// have waited longest for a request make room; without any, the excess is refused. No listener uses more than a
    /// quarter of the process's file descriptors.
    #[arg(long, env = "WHATSAPP_MAX_CONNECTIONS", default_value_t = 1024, value_name = "NUMBER")]
    pub max_connections: usize,

    /// The most connections at once from one address, or from one /64 of IPv6, on each of these listeners. By default
    /// unlimited, because behind a gateway every client has the gateway's address.
    #[arg(long, env = "WHATSAPP_MAX_CONNECTIONS_PER_PEER", value_name = "NUMBER")]
    pub max_connections_per_peer: Option<NonZeroUsize>,

    /// How long a client may take to send the header of a request, which may have 32 KiB.
    #[arg(long, env = "WHATSAPP_HEADER_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub header_timeout: Duration,

    /// How long a client may take to send the body of a request after its header.
    #[arg(long, env = "WHATSAPP_BODY_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub body_timeout: Duration,

    /// How long a connection stays open without a request. Longer than a gateway keeps its own idle connections, so
    /// that it sends no request into one that is being closed.
    #[arg(long, env = "WHATSAPP_IDLE_TIMEOUT", default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub idle_timeout: Duration,
}

impl ConnectionSettings {
    pub fn limits(&self) -> Limits {
        Limits {
            header_within: self.header_timeout,
            body_within: self.body_timeout,
            idle: self.idle_timeout,
            connections: self.max_connections,
            per_peer: self.max_connections_per_peer.map(NonZeroUsize::get),
            ..Limits::default()
        }
    }
}

/// Where the tenants' configs come from.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
pub struct ConfigSource {
    /// The namespace of the compiled Secrets, which are watched.
    #[arg(long, env = "WHATSAPP_CONFIG_NAMESPACE", value_name = "NAMESPACE", conflicts_with = "config_dir")]
    pub config_namespace: Option<String>,

    /// The directory for copies of the configs, used for a restart without an API server.
    #[arg(long, env = "WHATSAPP_CONFIG_CACHE", value_name = "DIRECTORY", requires = "config_namespace")]
    pub config_cache: Option<PathBuf>,

    /// A directory of <tenant>.json files, for running without Kubernetes.
    #[arg(long, env = "WHATSAPP_CONFIG_DIR", value_name = "DIRECTORY")]
    pub config_dir: Option<PathBuf>,
}

/// A part of the process that can run on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Receives webhooks.
    Webhooks,
    /// Applies webhooks.
    Apply,
    /// Serves the tenants' API.
    Api,
    /// Hands messages to providers.
    Dispatch,
    /// Delivers events to the tenants' sinks.
    Publish,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Webhooks, Self::Apply, Self::Api, Self::Dispatch, Self::Publish];
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Webhooks => "webhooks",
            Self::Apply => "apply",
            Self::Api => "api",
            Self::Dispatch => "dispatch",
            Self::Publish => "publish",
        })
    }
}

/// The kind of database and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

impl std::fmt::Display for StoreUrl {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) => write!(f, "postgres, {url}"),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return text.parse().map(|url| Self::Postgres(Box::new(url)));
        }
        let path = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            // The text is not repeated, because it may hold a password.
            _ => Err("not a known kind of store: expected sqlite:///absolute/path/file.db or postgres://…".into()),
        }
    }
}

/// What stands in for a provider's hosts, such as an egress proxy, whose URL may hold a password.
fn base_url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{error}: expected a URL such as https://proxy.example.com"))
}

/// `25s`, `500ms`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    messaging::duration::parse(text, &[Unit::Milliseconds, Unit::Seconds, Unit::Minutes, Unit::Hours]).ok_or_else(
        || format!("{text:?} is not a duration: expected a whole number and one of ms, s, m, h, such as 25s"),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let all = ["dataplane", "--config-dir", "/configs"].into_iter().chain(arguments.iter().copied());
        Cli::try_parse_from(all).map(|cli| cli.settings)
    }

    #[test]
    fn a_setting_that_may_hold_a_password_is_never_repeated() {
        for (flag, value) in [
            ("--store", "postgres://user:hush@host/data?sslmode=sometimes"),
            ("--store", "postgres://user:hush@host:port/data"),
            ("--store", "host=one password=hush"),
            ("--store", "hush"),
            ("--twilio-base-url", "https://user:hush@proxy:port"),
        ] {
            let mut arguments = vec![flag, value];
            if flag != "--store" {
                arguments.extend(["--store", "sqlite:data.db"]);
            }
            let error = parse(&arguments).unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hush") && shown.contains(flag), "{shown}");
            }
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    #[test]
    fn rights_that_no_api_server_can_check_are_refused() {
        let error = parse(&["--store", "sqlite:data.db", "--authorize-senders"]).unwrap_err().to_string();
        assert!(error.contains("--authorize-senders") && error.contains("--config-dir"), "{error}");
        assert!(!parse(&["--store", "sqlite:data.db"]).unwrap().authorize_senders);
    }

    #[test]
    fn a_line_break_at_the_end_of_a_url_is_not_part_of_it() {
        let settings = parse(&["--store", "sqlite:data.db\n"]).unwrap();
        assert_eq!(settings.store.to_string(), "sqlite:data.db");
    }

    #[test]
    fn a_store_is_named_by_a_url() {
        assert_eq!("sqlite:///var/lib/data.db".parse(), Ok(StoreUrl::Sqlite("/var/lib/data.db".into())));
        assert_eq!("sqlite:data.db".parse(), Ok(StoreUrl::Sqlite("data.db".into())));
        assert!(matches!("postgres://user:secret@one,two/db".parse(), Ok(StoreUrl::Postgres(_))));
        let error = "mysql://user:secret@host/db".parse::<StoreUrl>().unwrap_err();
        assert!(error.contains("expected sqlite:///") && !error.contains("secret"), "{error}");
        assert!("sqlite:".parse::<StoreUrl>().is_err());
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "s", "25", "2.5s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
