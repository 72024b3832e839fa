//! Every metric of the operator: the names, the labels and their values, in one place.
//!
//! Labels are bounded: never the name of a tenant or of an object, never a phone number.

use std::time::Duration;

use crds::RevisionState;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// The kinds that are reconciled, as labels name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KindName {
    Sender,
    Template,
    Policy,
}

impl KindName {
    pub const ALL: [Self; 3] = [Self::Sender, Self::Template, Self::Policy];
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "WhatsAppSender",
            Self::Template => "MessageTemplate",
            Self::Policy => "RoutingPolicy",
        }
    }
}

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Something was written, at the provider or to the status.
    Changed,
    /// Nothing was written. At rest only this one grows.
    Unchanged,
    Error,
}

impl Reconciled {
    const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Error];
    const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Error => "error",
        }
    }
}

/// How publishing a tenant's config ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Written,
    Unchanged,
    Removed,
    Error,
}

impl Published {
    const ALL: [Self; 4] = [Self::Written, Self::Unchanged, Self::Removed, Self::Error];
    const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
            Self::Error => "error",
        }
    }
}

/// The values of the label `operation` of provider calls.
pub const OPERATIONS: [&str; 30] = [
    "check_credentials",
    "check_webhook_key",
    "list_senders",
    "find_messaging_service",
    "list_messaging_services",
    "configure_webhooks",
    "list_templates",
    "create_template",
    "submit_template",
    "delete_template",
    "mint_key",
    "list_keys",
    "verify_key",
    "revoke_key",
    "create_token",
    "discard_token",
    "promote_token",
    "list_streams",
    "create_stream",
    "test_stream",
    "confirm_stream",
    "delete_stream",
    "list_subscriptions",
    "subscribe",
    "unsubscribe",
    "list_alerts",
    "add_to_messaging_service",
    "remove_from_messaging_service",
    "register_sender",
    "verify_sender",
];

/// What became of a hint that the data plane passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintOutcome {
    /// What it is about was looked at.
    Followed,
    /// No object has or awaits what it is about.
    Unknown,
}

impl HintOutcome {
    const ALL: [Self; 2] = [Self::Followed, Self::Unknown];
    const fn as_str(self) -> &'static str {
        match self {
            Self::Followed => "followed",
            Self::Unknown => "unknown",
        }
    }
}

/// How a call to a provider ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    /// 401 or 403.
    Unauthorized,
    /// 429.
    RateLimited,
    /// Any other 4xx.
    Refused,
    /// 5xx, or no answer.
    Unavailable,
    /// Not made, because the account's budget was used up.
    OverBudget,
}

impl CallOutcome {
    const ALL: [Self; 6] =
        [Self::Ok, Self::Unauthorized, Self::RateLimited, Self::Refused, Self::Unavailable, Self::OverBudget];
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::OverBudget => "over_budget",
        }
    }
}

/// The operator's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    provider_calls: IntCounterVec,
    provider_call_seconds: HistogramVec,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    objects: IntGaugeVec,
    unreadable: IntGaugeVec,
    rotations: IntGaugeVec,
    templates: IntGaugeVec,
    time_to_ready: HistogramVec,
    repairs: IntCounterVec,
    publishes: IntCounterVec,
    hints: IntCounterVec,
    unpublished: IntGauge,
    watch_errors: IntCounterVec,
    replicas: IntGauge,
    leader: IntGauge,
}

impl Metrics {
    /// # Errors
    /// When two metrics have the same name, which the tests would find.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            provider_calls: counters(
                &registry,
                "provider_calls_total",
                "Calls to providers by operation and outcome",
                &["operation", "outcome"],
            )?,
            provider_call_seconds: histograms(
                &registry,
                "provider_call_duration_seconds",
                "How long calls to providers took",
                &["operation"],
            )?,
            reconciles: counters(
                &registry,
                "reconciles_total",
                "Reconciles by kind, and whether they wrote anything",
                &["kind", "outcome"],
            )?,
            reconcile_seconds: histograms(
                &registry,
                "reconcile_duration_seconds",
                "How long reconciles took",
                &["kind"],
            )?,
            objects: gauges(
                &registry,
                "objects",
                "Objects by kind and the status of their Ready condition",
                &["kind", "ready"],
            )?,
            unreadable: gauges(
                &registry,
                "unreadable_objects",
                "Objects that this version can't read; their last readable version stays in effect",
                &["kind"],
            )?,
            rotations: gauges(
                &registry,
                "rotations",
                "Senders that rotate their credentials, by the phase that their status shows",
                &["phase"],
            )?,
            templates: gauges(
                &registry,
                "templates",
                "Templates at providers, one for each language and account, by the state of the newest revision",
                &["state"],
            )?,
            time_to_ready: histograms_within(
                &registry,
                "time_to_ready_seconds",
                "How long objects that became ready had not been: since their creation, or since they last were",
                &["kind"],
                &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 6.0 * 3_600.0, 24.0 * 3_600.0, 72.0 * 3_600.0],
            )?,
            repairs: counters(
                &registry,
                "repairs_total",
                "Objects that were ready and had to be put right at the provider, because something else changed it",
                &["kind"],
            )?,
            publishes: counters(
                &registry,
                "publishes_total",
                "Attempts to publish a tenant's config, by outcome",
                &["outcome"],
            )?,
            hints: counters(
                &registry,
                "hints_total",
                "Hints of the data plane that something changed at a provider, by whether any object is about it",
                &["outcome"],
            )?,
            unpublished: gauge(
                &registry,
                "unpublished_tenants",
                "Tenants whose newest config could not be published; the data plane runs the one before",
            )?,
            watch_errors: counters(
                &registry,
                "watch_errors_total",
                "Watches that broke and were restarted",
                &["resource"],
            )?,
            replicas: gauge(&registry, "data_plane_replicas", "Data-plane replicas that are alive")?,
            leader: gauge(&registry, "leader", "1 while this process leads")?,
            registry,
        };
        metrics.name_every_series();
        Ok(metrics)
    }

    /// A counter that appears only with its first event can't be alerted on.
    fn name_every_series(&self) {
        for kind in KindName::ALL {
            for outcome in Reconciled::ALL {
                self.reconciles.with_label_values(&[kind.as_str(), outcome.as_str()]);
            }
            self.unreadable.with_label_values(&[kind.as_str()]);
            self.time_to_ready.with_label_values(&[kind.as_str()]);
            self.repairs.with_label_values(&[kind.as_str()]);
        }
        for phase in crate::rotation::report::PHASES {
            self.rotations.with_label_values(&[phase]);
        }
        for state in RevisionState::ALL {
            self.templates.with_label_values(&[state.as_str()]);
        }
        for outcome in Published::ALL {
            self.publishes.with_label_values(&[outcome.as_str()]);
        }
        for outcome in HintOutcome::ALL {
            self.hints.with_label_values(&[outcome.as_str()]);
        }
        for operation in OPERATIONS {
            for outcome in CallOutcome::ALL {
                self.provider_calls.with_label_values(&[operation, outcome.as_str()]);
            }
        }
    }

    /// `operation` is one of [`OPERATIONS`].
    pub fn provider_call(&self, operation: &'static str, outcome: CallOutcome, took: Duration) {
        self.provider_calls.with_label_values(&[operation, outcome.as_str()]).inc();
        if outcome != CallOutcome::OverBudget {
            self.provider_call_seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
        }
    }

    pub fn reconciled(&self, kind: KindName, outcome: Reconciled, took: Duration) {
        self.reconciles.with_label_values(&[kind.as_str(), outcome.as_str()]).inc();
        self.reconcile_seconds.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
    }

    /// `ready` is the status of the condition: `True`, `False` or `Unknown`.
    pub fn objects(&self, kind: KindName, ready: &'static str, count: usize) {
        self.objects.with_label_values(&[kind.as_str(), ready]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn hint(&self, outcome: HintOutcome) {
        self.hints.with_label_values(&[outcome.as_str()]).inc();
    }

    /// `phase` is one of [`crate::rotation::report::PHASES`].
    pub fn rotations(&self, phase: &'static str, count: usize) {
        self.rotations.with_label_values(&[phase]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn templates(&self, state: RevisionState, count: usize) {
        self.templates.with_label_values(&[state.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// An object became ready that had not been for this long.
    pub fn became_ready(&self, kind: KindName, after: Duration) {
        self.time_to_ready.with_label_values(&[kind.as_str()]).observe(after.as_secs_f64());
    }

    /// An object that was ready had to be put right at the provider.
    pub fn repaired(&self, kind: KindName) {
        self.repairs.with_label_values(&[kind.as_str()]).inc();
    }

    pub fn unreadable(&self, kind: KindName, count: usize) {
        self.unreadable.with_label_values(&[kind.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn published(&self, outcome: Published) {
        self.publishes.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn unpublished(&self, tenants: usize) {
        self.unpublished.set(i64::try_from(tenants).unwrap_or(i64::MAX));
    }

    /// `resource` is a plural in lower case, such as `secrets`.
    pub fn watch_error(&self, resource: &'static str) {
        self.watch_errors.with_label_values(&[resource]).inc();
    }

    pub fn replicas(&self, alive: usize) {
        self.replicas.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    pub fn leader(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// The text format that Prometheus scrapes.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Every name begins with this.
const PREFIX: &str = "whatsapp_operator_";

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(r: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::with_opts(Opts::new(format!("{PREFIX}{name}"), help))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// From 5 ms, for a provider on the same machine, to 60 s, for a reconcile that is about to be given up.
fn histograms(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
    let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
    histograms_within(r, name, help, labels, &buckets)
}

fn histograms_within(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_exists_before_its_first_event() {
        let text = Metrics::new().unwrap().render().unwrap();
        for line in [
            r#"whatsapp_operator_reconciles_total{kind="WhatsAppSender",outcome="unchanged"} 0"#,
            r#"whatsapp_operator_provider_calls_total{operation="configure_webhooks",outcome="rate_limited"} 0"#,
            r#"whatsapp_operator_publishes_total{outcome="written"} 0"#,
            r#"whatsapp_operator_templates{state="Rejected"} 0"#,
            r#"whatsapp_operator_repairs_total{kind="MessageTemplate"} 0"#,
            "whatsapp_operator_leader 0",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }
}
