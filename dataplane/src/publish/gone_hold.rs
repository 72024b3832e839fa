//! Sinks that answered 410: nobody wants events there, and every replica is to know.
//!
//! The hold says by which config the sink was called, and means nothing for another: who changes the sink wants to be
//! asked again.

use jiff::Timestamp;
use messaging::config::HttpSink;
use sha2::{Digest, Sha256};

use super::deliver::SinkKey;
use crate::holds::Holds;
use crate::store::StoreError;
use crate::store::hold::{Hold, HoldKind, LiftHold, Scope};

/// Whether the sink is not to be called as it is configured now. A hold that another config brought about is lifted.
pub(super) async fn is_gone(holds: &Holds, key: &SinkKey, sink: &HttpSink, now: Timestamp) -> Result<bool, StoreError> {
    let SinkKey { tenant, sender, sink: id } = key;
    let Some(hold) = holds.gone(tenant, sender, id, now) else { return Ok(false) };
    // Where nobody can tell which config it was, it counts for any.
    if config_then(&hold.reason).is_none_or(|config| config == fingerprint(sink)) {
        return Ok(true);
    }
    tracing::info!(%tenant, %sender, "a sink that had answered 410 is configured anew, and called again");
    holds.lift(LiftHold { tenant: tenant.clone(), scope: scope(key), kind: HoldKind::Gone }).await?;
    Ok(false)
}

/// The sink answered 410 to a call by this config.
pub(super) async fn put(holds: &Holds, key: &SinkKey, sink: &HttpSink, now: Timestamp) -> Result<(), StoreError> {
    let hold = Hold {
        tenant: key.tenant.clone(),
        scope: scope(key),
        kind: HoldKind::Gone,
        until: Timestamp::MAX,
        reason: reason(sink),
        created_at: now,
    };
    holds.put(hold).await
}

const SENTENCE: &str = "the sink answered 410; nothing is sent there until its config changes or somebody lifts this; ";
/// What stands before the fingerprint of the config that a hold is about, at the end of its reason.
const CONFIG: &str = "its config then: ";

fn reason(sink: &HttpSink) -> String {
    format!("{SENTENCE}{CONFIG}{}", fingerprint(sink))
}

/// By which config the sink was called that a hold is about; `None` when its reason was not written here.
fn config_then(reason: &str) -> Option<&str> {
    reason.rsplit_once(CONFIG).map(|(_, fingerprint)| fingerprint)
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
        let sink = sink("https://app.example/", &["whsec_a"]);
        assert_eq!(config_then(&reason(&sink)), Some(fingerprint(&sink).as_str()));
        assert_eq!(config_then("somebody said so"), None);
    }
}
