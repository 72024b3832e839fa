//! Every metric of the data plane in one place: its name, its labels and their values.
//!
//! Labels are bounded: never a phone number, a message's id, or the name of a tenant or an object. A counter of drops
//! says whether the drop was intended, so that an alert can select the unintended ones.

mod labels;

use jiff::Timestamp;
use listener::Closed;
use messaging::lifecycle::MessageStatus;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use labels::{
    AccessResult, AttemptOutcome, AuthMethod, AuthResult, ClosedLabel, ConfigResult, ConfigStep, DeferReason,
    ListenerLabel, PublishResult, Repair, WebhookLabel, WebhookResult,
};

use crate::progress::Task;
use crate::store::hold::HoldKind;

/// The messages in the queue, as the store counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueGauges {
    pub due: u64,
    pub deferred: u64,
    pub unconfirmed: u64,
    /// How long the oldest due message has been due.
    pub oldest_due_age_seconds: f64,
    pub webhooks_unapplied: u64,
    /// How long ago the oldest of them came, also of those that are tried again later.
    pub oldest_unapplied_age_seconds: f64,
}

/// The events in the outbox, as the store counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OutboxGauges {
    pub waiting: u64,
    pub dead: u64,
    pub oldest_age_seconds: f64,
}

/// The data plane's metrics, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    webhooks: WebhookCounters,
    messages: IntCounterVec,
    attempts: IntCounterVec,
    attempt_duration: Histogram,
    deferred: IntCounterVec,
    repairs: IntCounterVec,
    publish: IntCounterVec,
    publish_duration: Histogram,
    events_dropped: IntCounterVec,
    config: IntCounterVec,
    config_steps: IntCounterVec,
    config_faults: IntCounter,
    config_tenants: IntGaugeVec,
    config_source_errors: IntCounterVec,
    auth: IntCounterVec,
    sender_access: IntCounterVec,
    connections: IntGaugeVec,
    connections_closed: IntCounterVec,
    queue: IntGaugeVec,
    queue_oldest: Gauge,
    webhooks_unapplied: IntGauge,
    webhooks_oldest: Gauge,
    webhooks_given_up: IntCounter,
    holds: IntGaugeVec,
    store_waiting: IntGauge,
    senders_stopped: IntGauge,
    providers_away: IntGauge,
    outbox: IntGaugeVec,
    outbox_oldest: Gauge,
    last_success: IntGaugeVec,
    clock_difference: Gauge,
    clock_unreliable: IntGauge,
}

impl Metrics {
    /// Registers every metric. Fails only if two have the same name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            webhooks: WebhookCounters::new(&counters(
                r,
                "webhooks_total",
                "Provider webhooks, by kind and result.",
                &["kind", "result"],
            )?),
            messages: counters(
                r,
                "messages_total",
                "Messages that reached a status; a message counts once for each status.",
                &["status"],
            )?,
            attempts: counters(
                r,
                "attempts_total",
                "Attempts to hand a message to a provider, by outcome. Acceptance is not delivery.",
                &["outcome"],
            )?,
            attempt_duration: histogram(r, "attempt_duration_seconds", "Duration of a provider's send call.")?,
            deferred: counters(
                r,
                "deferred_total",
                "Times that a sender's due messages were passed over, by reason.",
                &["reason"],
            )?,
            repairs: counters(
                r,
                "reconcile_repairs_total",
                "Messages that were settled or recovered without a webhook; more than a few mean that webhooks are lost.",
                &["kind"],
            )?,
            publish: counters(r, "publish_total", "Requests that carried an event to a tenant's sink.", &["result"])?,
            publish_duration: histogram(r, "publish_duration_seconds", "Duration of a request to a tenant's sink.")?,
            events_dropped: counters(
                r,
                "events_dropped_total",
                "Events that will not be delivered without a redrive; intended is true for a sink removed from the config.",
                &["reason", "intended"],
            )?,
            config: counters(r, "config_total", "Tenant configs that were read, by result.", &["result"])?,
            config_steps: counters(
                r,
                "config_steps_total",
                "Work that tenant configs made: configs parsed, and API keys indexed. It grows with what changes, not with what is there.",
                &["step"],
            )?,
            config_faults: counter(r, "config_faults_total", "Faults in tenant configs that run all the same.")?,
            config_tenants: gauges(
                r,
                "config_tenants",
                "Tenants that are served, and those whose newest config was refused.",
                &["state"],
            )?,
            config_source_errors: counters(
                r,
                "config_source_errors_total",
                "Failures to reach the API server, read the directory, or keep the copy; loaded configs keep running.",
                &["source"],
            )?,
            auth: counters(
                r,
                "authentication_total",
                "Calls of the tenants' API, by authentication method and result.",
                &["method", "result"],
            )?,
            sender_access: counters(
                r,
                "sender_access_total",
                "Checks of a ServiceAccount's right to send from a sender, by result.",
                &["result"],
            )?,
            connections: gauges(r, "connections", "Open connections of clients, by listener.", &["listener"])?,
            connections_closed: counters(
                r,
                "connections_closed_total",
                "Connections that a listener refused or closed, by reason; full and made_room mean that all its places were taken.",
                &["listener", "reason"],
            )?,
            queue: gauges(
                r,
                "queue_messages",
                "Messages that wait to be sent or settled; 100000 means 100000 or more.",
                &["state"],
            )?,
            queue_oldest: gauge(r, "queue_oldest_due_age_seconds", "How long the oldest due message has been due.")?,
            webhooks_unapplied: int_gauge(
                r,
                "webhooks_unapplied",
                "Webhook events that are overdue to be applied; 100000 means 100000 or more.",
            )?,
            webhooks_oldest: gauge(
                r,
                "webhooks_oldest_unapplied_age_seconds",
                "How long ago the oldest webhook event came that has not taken effect, also of those that are tried again later.",
            )?,
            webhooks_given_up: counter(
                r,
                "webhooks_given_up_total",
                "Webhook events that could not be applied for a week; a replay may bring them back.",
            )?,
            holds: gauges(
                r,
                "holds",
                "Holds on tenants, senders, templates and sinks in force now, by kind.",
                &["kind"],
            )?,
            store_waiting: int_gauge(r, "store_waiting_writes", "Writes in this process's commit queue.")?,
            senders_stopped: int_gauge(
                r,
                "senders_stopped",
                "Senders that are stopped because their account cannot send.",
            )?,
            providers_away: int_gauge(
                r,
                "providers_away",
                "Provider accounts that do not answer this replica; their messages wait.",
            )?,
            outbox: gauges(
                r,
                "outbox_events",
                "Events in the outbox, and dead letters; 100000 means 100000 or more.",
                &["state"],
            )?,
            outbox_oldest: gauge(r, "outbox_oldest_age_seconds", "Age of the oldest event in the outbox.")?,
            last_success: gauges(
                r,
                "last_success_timestamp_seconds",
                "When each task of this replica last did something, or found nothing to do.",
                &["task"],
            )?,
            clock_difference: gauge(
                r,
                "clock_difference_seconds",
                "How far this replica's clock is ahead of the database's; negative while it is behind.",
            )?,
            clock_unreliable: int_gauge(
                r,
                "clock_unreliable",
                "1 while this replica's clock is wrong by more than a minute, so that it sends no scheduled message and expires none.",
            )?,
            registry,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A series that appears only with its first event hides that event from `rate()`.
    fn start_at_zero(&self) {
        for status in MessageStatus::ALL {
            self.messages.with_label_values(&[status.as_str()]).inc_by(0);
        }
        let start = |counter: &IntCounterVec, values: &mut dyn Iterator<Item = &'static str>| {
            for value in values {
                counter.with_label_values(&[value]).inc_by(0);
            }
        };
        start(&self.attempts, &mut AttemptOutcome::ALL.iter().map(|v| v.as_str()));
        start(&self.deferred, &mut DeferReason::ALL.iter().map(|v| v.as_str()));
        start(&self.repairs, &mut Repair::ALL.iter().map(|v| v.as_str()));
        start(&self.publish, &mut PublishResult::ALL.iter().map(|v| v.as_str()));
        start(&self.config_steps, &mut ConfigStep::ALL.iter().map(|v| v.as_str()));
        start(&self.sender_access, &mut AccessResult::ALL.iter().map(|v| v.as_str()));
        start(&self.config, &mut ConfigResult::ALL.iter().map(|v| v.as_str()));
        for listener in ListenerLabel::ALL {
            self.connections.with_label_values(&[listener.as_str()]).set(0);
            for reason in ClosedLabel::ALL {
                self.connections_closed.with_label_values(&[listener.as_str(), reason.as_str()]).inc_by(0);
            }
        }
        for method in AuthMethod::ALL {
            for result in AuthResult::ALL {
                self.auth.with_label_values(&[method.as_str(), result.as_str()]).inc_by(0);
            }
        }
    }

    pub fn webhook(&self, kind: WebhookLabel, result: WebhookResult) {
        self.webhooks.of(kind, result).inc();
    }

    /// A message reached a status that it had not reached before.
    pub fn message_reached(&self, status: MessageStatus) {
        self.messages.with_label_values(&[status.as_str()]).inc();
    }

    /// How far this replica's clock is ahead of the database's, and whether that makes it unreliable.
    pub fn clock(&self, ahead_seconds: f64, is_unreliable: bool) {
        self.clock_difference.set(ahead_seconds);
        self.clock_unreliable.set(i64::from(is_unreliable));
    }

    pub fn task_succeeded(&self, task: Task, now: Timestamp) {
        self.last_success.with_label_values(&[task.as_str()]).set(now.as_second());
    }

    pub fn attempt(&self, outcome: AttemptOutcome) {
        self.attempts.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn attempt_took(&self, duration: std::time::Duration) {
        self.attempt_duration.observe(duration.as_secs_f64());
    }

    pub fn deferred(&self, reason: DeferReason) {
        self.deferred.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn repaired(&self, repair: Repair) {
        self.repairs.with_label_values(&[repair.as_str()]).inc();
    }

    pub fn published(&self, result: PublishResult) {
        self.publish.with_label_values(&[result.as_str()]).inc();
        match result {
            PublishResult::Dead | PublishResult::PrivateAddress => {
                self.events_dropped.with_label_values(&[result.as_str(), "false"]).inc();
            }
            PublishResult::SinkRemoved => self.events_dropped.with_label_values(&[result.as_str(), "true"]).inc(),
            PublishResult::Delivered | PublishResult::Retry => {}
        }
    }

    pub fn publish_took(&self, duration: std::time::Duration) {
        self.publish_duration.observe(duration.as_secs_f64());
    }

    pub fn config(&self, result: ConfigResult) {
        self.config.with_label_values(&[result.as_str()]).inc();
    }

    pub fn config_step(&self, step: ConfigStep, times: usize) {
        self.config_steps.with_label_values(&[step.as_str()]).inc_by(u64::try_from(times).unwrap_or(u64::MAX));
    }

    pub fn config_fault(&self) {
        self.config_faults.inc();
    }

    pub fn config_tenants(&self, served: usize, refused: usize) {
        let set = |state, n: usize| {
            self.config_tenants.with_label_values(&[state]).set(i64::try_from(n).unwrap_or(i64::MAX));
        };
        set("served", served);
        set("refused", refused);
    }

    /// `source` is one of `kubernetes`, `directory`, `cache`, `lease`.
    pub fn config_source_error(&self, source: &'static str) {
        self.config_source_errors.with_label_values(&[source]).inc();
    }

    pub fn authentication(&self, method: AuthMethod, result: AuthResult) {
        self.auth.with_label_values(&[method.as_str(), result.as_str()]).inc();
    }

    pub fn sender_access(&self, result: AccessResult) {
        self.sender_access.with_label_values(&[result.as_str()]).inc();
    }

    /// This many more connections of a listener are open.
    pub fn connections(&self, listener: ListenerLabel, by: i64) {
        self.connections.with_label_values(&[listener.as_str()]).add(by);
    }

    pub fn connection_closed(&self, listener: ListenerLabel, why: Closed) {
        self.connections_closed.with_label_values(&[listener.as_str(), ClosedLabel::from(why).as_str()]).inc();
    }

    pub fn queue(&self, gauges: QueueGauges) {
        let set = |state, n: u64| {
            self.queue.with_label_values(&[state]).set(i64::try_from(n).unwrap_or(i64::MAX));
        };
        set("due", gauges.due);
        set("deferred", gauges.deferred);
        set("unconfirmed", gauges.unconfirmed);
        self.queue_oldest.set(gauges.oldest_due_age_seconds);
        self.webhooks_unapplied.set(i64::try_from(gauges.webhooks_unapplied).unwrap_or(i64::MAX));
        self.webhooks_oldest.set(gauges.oldest_unapplied_age_seconds);
    }

    /// An event of the log was given up: it could not be applied.
    pub fn webhook_given_up(&self) {
        self.webhooks_given_up.inc();
    }

    pub fn holds(&self, kind: HoldKind, n: usize) {
        self.holds.with_label_values(&[kind.as_str()]).set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    pub fn store_waiting(&self, n: usize) {
        self.store_waiting.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    pub fn senders_stopped(&self, n: usize) {
        self.senders_stopped.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    pub fn providers_away(&self, n: usize) {
        self.providers_away.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    pub fn outbox(&self, gauges: OutboxGauges) {
        let set = |state, n: u64| {
            self.outbox.with_label_values(&[state]).set(i64::try_from(n).unwrap_or(i64::MAX));
        };
        set("waiting", gauges.waiting);
        set("dead", gauges.dead);
        self.outbox_oldest.set(gauges.oldest_age_seconds);
    }

    /// The text format that Prometheus scrapes.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The counters of every combination of labels, looked up once and not for each request.
#[derive(Debug)]
struct WebhookCounters([[IntCounter; WebhookResult::ALL.len()]; WebhookLabel::ALL.len()]);

impl WebhookCounters {
    /// Looking up a counter also starts its series at zero.
    fn new(counters: &IntCounterVec) -> Self {
        let counter =
            |kind: WebhookLabel, result: WebhookResult| counters.with_label_values(&[kind.as_str(), result.as_str()]);
        Self(std::array::from_fn(|kind| {
            std::array::from_fn(|result| counter(WebhookLabel::ALL[kind], WebhookResult::ALL[result]))
        }))
    }

    fn of(&self, kind: WebhookLabel, result: WebhookResult) -> &IntCounter {
        &self.0[kind as usize][result as usize]
    }
}

/// Every name begins with this.
const PREFIX: &str = "whatsapp_";

fn named(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}{name}"), help)
}

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(named(name, help), labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(r: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let metric = IntCounter::with_opts(named(name, help))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(named(name, help), labels)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(r: &Registry, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    let metric = Gauge::with_opts(named(name, help))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauge(r: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::with_opts(named(name, help))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Buckets from 1 ms, a sandbox on the same machine, to 30 s, a call that is about to time out.
fn histogram(r: &Registry, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    let buckets = vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];
    let opts = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets);
    let metric = Histogram::with_opts(opts)?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_before_its_first_event() {
        let text = Metrics::new().unwrap().render().unwrap();
        for line in [
            r#"whatsapp_webhooks_total{kind="inbound",result="duplicate"} 0"#,
            r#"whatsapp_messages_total{status="unconfirmed"} 0"#,
            r#"whatsapp_attempts_total{outcome="suppressed"} 0"#,
            r#"whatsapp_publish_total{result="dead"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }

    #[test]
    fn each_webhook_counts_in_the_series_of_its_kind_and_result() {
        let metrics = Metrics::new().unwrap();
        let mut expected = Vec::new();
        for (k, &kind) in WebhookLabel::ALL.iter().enumerate() {
            for (r, &result) in WebhookResult::ALL.iter().enumerate() {
                let times = 1 + k * WebhookResult::ALL.len() + r;
                (0..times).for_each(|_| metrics.webhook(kind, result));
                let (kind, result) = (kind.as_str(), result.as_str());
                expected.push(format!("whatsapp_webhooks_total{{kind=\"{kind}\",result=\"{result}\"}} {times}\n"));
            }
        }
        let text = metrics.render().unwrap();
        for line in expected {
            assert!(text.contains(&line), "{line} is missing from\n{text}");
        }
    }

    #[test]
    fn a_dropped_event_says_whether_that_was_intended() {
        let metrics = Metrics::new().unwrap();
        metrics.published(PublishResult::Dead);
        metrics.published(PublishResult::SinkRemoved);
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"whatsapp_events_dropped_total{intended="false",reason="dead"} 1"#), "{text}");
        assert!(text.contains(r#"whatsapp_events_dropped_total{intended="true",reason="sink_removed"} 1"#), "{text}");
    }
}
