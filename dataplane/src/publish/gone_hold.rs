//! Holds on sinks that answered 410. They keep every replica from calling the sink again.
//!
//! A hold records the config that the sink was called with and applies to that config only, because a tenant that
//! changes a sink expects it to be called again.

use jiff::Timestamp;

use super::slots::SinkKey;
use crate::holds::Holds;
use crate::store::StoreError;
use crate::store::hold::{Hold, HoldKind, LiftHold, Scope};

/// Whether a hold keeps the sink from being called with its present config. A hold on an earlier config is lifted.
pub(super) async fn applies(
    holds: &Holds,
    key: &SinkKey,
    fingerprint: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let SinkKey { tenant, sender, sink } = key;
    let Some(hold) = holds.gone(tenant, sender, sink, now) else { return Ok(false) };
    // A hold that names no config applies to every config.
    if config_then(&hold.reason).is_none_or(|then| then == fingerprint) {
        return Ok(true);
    }
    tracing::info!(%tenant, %sender, "a sink that had answered 410 has a new config and is called again");
    holds.lift(LiftHold { tenant: tenant.clone(), scope: scope(key), kind: HoldKind::Gone }).await?;
    Ok(false)
}

/// Holds a sink that answered 410 to a call with this config.
pub(super) async fn put(holds: &Holds, key: &SinkKey, fingerprint: &str, now: Timestamp) -> Result<(), StoreError> {
    let hold = Hold {
        tenant: key.tenant.clone(),
        scope: scope(key),
        kind: HoldKind::Gone,
        until: Timestamp::MAX,
        reason: reason(fingerprint),
        created_at: now,
    };
    holds.put(hold).await
}

const SENTENCE: &str =
    "the sink answered 410; nothing is sent there until its config changes or an operator lifts this; ";
/// Precedes the fingerprint at the end of a reason. Stored holds are parsed by it, so it never changes.
const CONFIG: &str = "its config then: ";

fn reason(fingerprint: &str) -> String {
    format!("{SENTENCE}{CONFIG}{fingerprint}")
}

/// The fingerprint in a reason; `None` when an operator wrote the reason.
fn config_then(reason: &str) -> Option<&str> {
    reason.rsplit_once(CONFIG).map(|(_, fingerprint)| fingerprint)
}

fn scope(key: &SinkKey) -> Scope {
    Scope::Sink(key.sender.clone(), key.sink.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_survives_in_the_reason_of_a_hold() {
        assert_eq!(config_then(&reason("0123456789abcdef")), Some("0123456789abcdef"));
        assert_eq!(config_then("an operator's own words"), None);
    }
}
