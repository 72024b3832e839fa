//! The operator's settings: flags, each also an environment variable.
//!
//! Everything is read and checked here, before a socket is bound or a cluster is called.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use confidential::Confidential;
use jiff::SignedDuration;
use messaging::id::TenantId;
use url::Url;

/// The settings of one operator process.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The public URL of the data plane's webhook listener, such as https://whatsapp.example.com. Providers' webhooks
    /// are pointed below it
    #[arg(
        long,
        env = "WHATSAPP_PUBLIC_BASE_URL",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_PUBLIC_BASE_URL", public_base_url)
    )]
    pub public_base_url: Url,

    /// The namespace of the compiled tenant configs, of the data plane's Leases and of the leader's Lease
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    pub config_namespace: String,

    /// The URL to call instead of Twilio's hosts, with the same paths: for an egress proxy, or the sandbox
    #[arg(
        long,
        env = "WHATSAPP_TWILIO_BASE_URL",
        value_name = "URL",
        hide_env_values = true,
        value_parser = Confidential::new("WHATSAPP_TWILIO_BASE_URL", base_url)
    )]
    pub twilio_base_url: Option<Url>,

    /// Whether the data plane delivers events to private addresses, as its flag of this name says
    #[arg(long, env = "WHATSAPP_ALLOW_PRIVATE_SINKS")]
    pub allow_private_sinks: bool,

    /// The address that serves /metrics, /healthz and /readyz
    #[arg(long, env = "WHATSAPP_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub listen: SocketAddr,

    /// Whether replicas elect a leader. If false, only one process may run
    #[arg(long, env = "WHATSAPP_LEADER_ELECTION", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,

    /// The Lease that replicas of one installation compete for
    #[arg(long, env = "WHATSAPP_LEASE_NAME", value_name = "NAME", default_value = "whatsapp-operator")]
    pub lease_name: String,

    /// How long other replicas wait after the leader's last renewal before one takes over
    #[arg(long, env = "WHATSAPP_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,

    /// A leader that cannot renew for this long ends; must be shorter than the lease's duration
    #[arg(long, env = "WHATSAPP_RENEW_DEADLINE", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,

    /// How often the Lease is renewed or checked; must be shorter than the renew deadline
    #[arg(long, env = "WHATSAPP_LEASE_RETRY", value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub lease_retry: Duration,

    /// How often each object is compared with its provider when nothing changed, give or take a tenth
    #[arg(long, env = "WHATSAPP_POLL_INTERVAL", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub poll_interval: Duration,

    /// How often the templates of an account are listed while any of them is under review
    #[arg(long, env = "WHATSAPP_TEMPLATE_POLL", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub template_poll: Duration,

    /// A namespace to reconcile; repeatable. Without it: all namespaces
    #[arg(long = "watch-namespace", env = "WHATSAPP_WATCH_NAMESPACES", value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// The Secrets that the operator may read: those of every namespace that it reconciles, or those of the namespaces
    /// whose RoleBinding grants it
    #[arg(long, env = "WHATSAPP_SECRET_ACCESS", value_name = "ACCESS", default_value = "cluster")]
    pub secret_access: SecretAccess,

    /// The ClusterRole that permits reading Secrets, for the command that a sender without access shows
    #[arg(long, env = "WHATSAPP_SECRET_ROLE", value_name = "NAME", default_value = "whatsapp-operator-secrets", value_parser = object_name)]
    pub secret_role: String,

    /// The operator's own ServiceAccount in the config namespace, for the same command
    #[arg(long, env = "WHATSAPP_SERVICE_ACCOUNT", value_name = "NAME", default_value = "whatsapp-operator", value_parser = object_name)]
    pub service_account: String,

    /// The name of this process in Events and in the Lease
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "whatsapp-operator")]
    pub pod_name: String,

    #[arg(long, env = "WHATSAPP_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Which Secrets of tenants the operator may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecretAccess {
    /// Those of every namespace that it reconciles.
    Cluster,
    /// Those of the namespaces whose RoleBinding grants it.
    Granted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Settings that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    #[error(
        "--lease-retry ({retry:?}) must be shorter than --renew-deadline ({deadline:?}), and that shorter than --lease-duration ({duration:?})"
    )]
    LeaseTimes { retry: Duration, deadline: Duration, duration: Duration },
}

impl Settings {
    /// Checks the rules that involve several flags.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.lease_retry < self.renew_deadline && self.renew_deadline < self.lease_duration {
            Ok(())
        } else {
            Err(InvalidSettings::LeaseTimes {
                retry: self.lease_retry,
                deadline: self.renew_deadline,
                duration: self.lease_duration,
            })
        }
    }

    /// Whether this operator reconciles objects of this namespace.
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.iter().any(|watched| watched == namespace)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is not a duration: expected one such as 200ms, 60s, 5m or 1h"))?;
    match Duration::try_from(parsed) {
        Ok(positive) if !positive.is_zero() => Ok(positive),
        _ => Err(format!("{text:?} must be longer than zero")),
    }
}

pub(crate) fn namespace(text: &str) -> Result<String, String> {
    TenantId::new(text).map(Into::into).map_err(|_| {
        format!("{text:?} is not a namespace: expected 1 to 63 lower-case letters, digits or '-', with a letter or digit at each end")
    })
}

/// The name of a role or a ServiceAccount, which a shell takes as one word.
fn object_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !text.is_empty() && text.len() <= 253 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a name: expected 1 to 253 lower-case letters, digits, '-' or '.'"))
    }
}

/// The text is not repeated, because it may hold a password.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("is not the URL of a server: expected one such as https://whatsapp.example.com".to_owned()),
    }
}

fn public_base_url(text: &str) -> Result<Url, String> {
    let url = base_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment: webhook paths are added to it".to_owned());
    }
    Ok(url)
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
        let base = ["operator", "--public-base-url", "https://wa.example.com", "--config-namespace", "system"];
        Cli::try_parse_from(base.iter().chain(arguments)).map(|cli| cli.settings)
    }

    #[test]
    fn flags_that_are_left_out_have_defaults_that_work() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.poll_interval, Duration::from_secs(300));
        assert!(settings.leader_election && settings.check().is_ok());
        assert!(settings.watches("anything"));
    }

    #[test]
    fn namespaces_may_be_repeated_or_listed_and_no_other_is_watched() {
        let settings = parse(&["--watch-namespace", "shop", "--watch-namespace", "clinic,bakery"]).unwrap();
        assert_eq!(settings.watch_namespaces, ["shop", "clinic", "bakery"]);
        assert!(settings.watches("clinic") && !settings.watches("other"));
    }

    #[test]
    fn a_bad_value_is_answered_with_what_would_be_right() {
        for (arguments, expected) in [
            (["--poll-interval", "soon"], "expected one such as 200ms"),
            (["--poll-interval", "0s"], "longer than zero"),
            (["--watch-namespace", "Shop"], "is not a namespace"),
            (["--twilio-base-url", "ftp://example.com"], "is not the URL of a server"),
            (["--leader-election", "perhaps"], "[possible values: true, false]"),
        ] {
            let error = parse(&arguments).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = public_base_url("https://wa.example.com/?x=1").unwrap_err();
        assert!(error.contains("webhook paths are added"), "{error}");
    }

    #[test]
    fn a_url_that_may_hold_a_password_is_never_repeated() {
        for (flag, value) in [
            ("--twilio-base-url", "https://user:hush@proxy:port"),
            ("--twilio-base-url", "ftp://user:hush@proxy"),
            ("--public-base-url", "user:hush@wa.example.com"),
            ("--public-base-url", "https://wa.example.com/?token=hush"),
        ] {
            let error = Cli::try_parse_from(["operator", "--config-namespace", "system", flag, value]).unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hush") && shown.contains(flag), "{shown}");
            }
        }
        let settings = parse(&["--twilio-base-url", "https://proxy.example.com\n"]).unwrap();
        assert_eq!(settings.twilio_base_url.unwrap().as_str(), "https://proxy.example.com/");
    }

    #[test]
    fn a_leader_that_would_outstay_its_lease_is_refused() {
        let settings = parse(&["--renew-deadline", "20s"]).unwrap();
        assert!(settings.check().unwrap_err().to_string().contains("shorter than --lease-duration"));
    }
}
