//! Sinks that answered 410: nobody wants events there, and every replica is to know.
//!
//! The hold is in the store, so it outlives this process. It says by which config the sink was called, and means nothing
//! for another: who changes the sink wants to be asked again. What others wrote is seen within a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;
use messaging::config::HttpSink;
use sha2::{Digest, Sha256};

use super::deliver::SinkKey;
use crate::store::hold::{Hold, HoldKind, LiftHold, PutHold, Scope};
use crate::store::{Store, StoreError};

/// How long what was read of the holds counts.
pub(crate) const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// The holds on sinks, as they were read.
pub(super) struct GoneSinks {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By which config each sink was called when it answered 410; `None`: nobody can tell, so it counts for any.
    sinks: HashMap<SinkKey, Option<String>>,
    read_at: Option<Timestamp>,
    /// Counts what this process changed, so that what was read before a change is not taken for what is after it.
    changes: u64,
}

impl GoneSinks {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// Reads the holds if that was not done within [`SEEN_WITHIN`].
    pub(super) async fn look(&self, now: Timestamp) -> Result<(), StoreError> {
        let changes = {
            let known = lock(&self.known);
            if known.read_at.is_some_and(|at| at <= now && now < after(at, SEEN_WITHIN)) {
                return Ok(());
            }
            known.changes
        };
        let sinks = self.store.holds(now).await?.into_iter().filter_map(gone_sink).collect();
        let mut known = lock(&self.known);
        if known.changes == changes {
            (known.sinks, known.read_at) = (sinks, Some(now));
        }
        Ok(())
    }

    /// Whether the sink is not to be called as it is configured now. A hold that another config brought about is lifted.
    pub(super) async fn is_gone(&self, key: &SinkKey, sink: &HttpSink) -> Result<bool, StoreError> {
        let held = lock(&self.known).sinks.get(key).cloned();
        match held {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(held)) if held == fingerprint(sink) => Ok(true),
            Some(Some(_)) => {
                tracing::info!(tenant = %key.tenant, sender = %key.sender, "a sink that had answered 410 is configured anew, and called again");
                let lift = LiftHold { tenant: key.tenant.clone(), scope: scope(key), kind: HoldKind::Gone };
                self.store.lift_hold(lift).await?;
                let mut known = lock(&self.known);
                known.sinks.remove(key);
                known.changes += 1;
                Ok(false)
            }
        }
    }

    /// The sink answered 410 to a call by this config.
    pub(super) async fn put(&self, key: &SinkKey, sink: &HttpSink, now: Timestamp) -> Result<(), StoreError> {
        let fingerprint = fingerprint(sink);
        let hold = Hold {
            tenant: key.tenant.clone(),
            scope: scope(key),
            kind: HoldKind::Gone,
            until: Timestamp::MAX,
            reason: format!("{SENTENCE}{CONFIG}{fingerprint}"),
            created_at: now,
        };
        self.store.put_hold(PutHold { hold }).await?;
        let mut known = lock(&self.known);
        known.sinks.insert(key.clone(), Some(fingerprint));
        known.changes += 1;
        Ok(())
    }
}

const SENTENCE: &str = "the sink answered 410; nothing is sent there until its config changes or somebody lifts this; ";
/// What stands before the fingerprint of the config that a hold is about, at the end of its reason.
const CONFIG: &str = "its config then: ";

fn gone_sink(hold: Hold) -> Option<(SinkKey, Option<String>)> {
    let Hold { tenant, scope: Scope::Sink(sender, sink), kind: HoldKind::Gone, reason, .. } = hold else { return None };
    let config = reason.rsplit_once(CONFIG).map(|(_, fingerprint)| fingerprint.to_owned());
    Some((SinkKey { tenant, sender, sink }, config))
}

fn scope(key: &SinkKey) -> Scope {
    Scope::Sink(key.sender.clone(), key.sink.clone())
}

/// Tells configs of a sink apart and nothing of its secrets: they have 192 bits at least.
fn fingerprint(sink: &HttpSink) -> String {
    let HttpSink { url, signing_secrets } = sink;
    let mut hash = Sha256::new();
    for part in std::iter::once(url.as_str()).chain(signing_secrets.iter().map(|secret| secret.expose())) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

fn lock(mutex: &Mutex<Known>) -> MutexGuard<'_, Known> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use messaging::secret::Secret;

    use super::*;

    fn sink(url: &str, secrets: &[&str]) -> HttpSink {
        HttpSink { url: url.parse().unwrap(), signing_secrets: secrets.iter().map(|s| Secret::new(*s)).collect() }
    }

    #[test]
    fn any_change_of_a_sink_is_another_config_and_no_secret_is_told() {
        let one = fingerprint(&sink("https://app.example/", &["whsec_a"]));
        for other in [
            sink("https://app.example/events", &["whsec_a"]),
            sink("https://app.example/", &["whsec_b"]),
            sink("https://app.example/", &["whsec_a", "whsec_b"]),
        ] {
            assert_ne!(fingerprint(&other), one);
        }
        assert_eq!(fingerprint(&sink("https://app.example/", &["whsec_a"])), one);
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn a_hold_is_read_as_it_was_written() {
        let hold = |kind, reason: &str| Hold {
            tenant: "shop".parse().unwrap(),
            scope: Scope::Sink("support".parse().unwrap(), crate::store::message::SinkId("https://a.example/".into())),
            kind,
            until: Timestamp::MAX,
            reason: reason.to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let (key, config) = gone_sink(hold(HoldKind::Gone, &format!("{SENTENCE}{CONFIG}0123456789abcdef"))).unwrap();
        assert_eq!((key.sink.0.as_str(), config.as_deref()), ("https://a.example/", Some("0123456789abcdef")));
        let (_, config) = gone_sink(hold(HoldKind::Gone, "somebody said so")).unwrap();
        assert_eq!(config, None);
        assert!(gone_sink(hold(HoldKind::Pause, "by hand")).is_none());
    }
}
