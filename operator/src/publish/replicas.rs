//! The data plane's replicas: which are alive, and which config each runs.
//!
//! A replica is alive while its Lease changes, by our own clock and never by the time in the Lease. A replica runs a
//! tenant's config when it acknowledged that version or a later one, and did not refuse that tenant.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use messaging::config::kubernetes::{APPLIED_ANNOTATION, PARTS_ANNOTATION, REFUSED_ANNOTATION};
use messaging::config::parts::ContentId;
use messaging::id::TenantId;
use tokio::time::Instant;

use crate::reconcile::freshness::number;

/// How long a Lease without a duration lasts.
const DEFAULT_DURATION: Duration = Duration::from_secs(40);

/// How a replica's Lease is named, before its pod's name.
const LEASE_PREFIX: &str = "whatsapp-dataplane-";

/// What a replica reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The newest version that it applied.
    pub version: u128,
    /// Tenants whose config it refused, and why.
    pub refused: BTreeMap<String, String>,
    /// For each tenant whose config in parts it runs, what the index is known by. `None`: it does not read parts.
    pub parts: Option<BTreeMap<String, String>>,
}

impl Acknowledged {
    /// Whether it runs this version of a tenant's config, or a later one; where an index is given, exactly that.
    pub(super) fn runs(&self, tenant: &TenantId, version: u128, index: Option<&ContentId>) -> bool {
        let runs_parts = |index: &ContentId| {
            let parts = self.parts.as_ref().and_then(|parts| parts.get(tenant.as_str()));
            parts.is_some_and(|running| running == index.as_str())
        };
        self.version >= version && !self.refused.contains_key(tenant.as_str()) && index.is_none_or(runs_parts)
    }
}

#[derive(Debug, Clone)]
struct Seen {
    renewed: String,
    changed_at: Instant,
    /// Whether we saw it change, rather than only found it.
    seen_to_renew: bool,
    duration: Duration,
    acknowledged: Acknowledged,
}

/// Every replica that has a Lease.
#[derive(Debug, Default)]
pub struct Replicas(HashMap<String, Seen>);

impl Replicas {
    pub fn observe(&mut self, lease: &Lease, now: Instant) {
        let spec = lease.spec.as_ref();
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0.to_string()).unwrap_or_default();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let name = lease.name_any();
        let (changed_at, seen_to_renew) = match self.0.get(&name) {
            Some(seen) if seen.renewed == renewed => (seen.changed_at, seen.seen_to_renew),
            Some(_) => (now, true),
            None => (now, false),
        };
        let duration = seconds.map_or(DEFAULT_DURATION, Duration::from_secs);
        self.0.insert(name, Seen { renewed, changed_at, seen_to_renew, duration, acknowledged: acknowledged(lease) });
    }

    pub fn forget(&mut self, lease: &str) {
        self.0.remove(lease);
    }

    /// Keeps only the Leases of a fresh list.
    pub fn retain(&mut self, listed: &std::collections::BTreeSet<String>) {
        self.0.retain(|name, _| listed.contains(name));
    }

    /// What each live replica acknowledged, by its Lease.
    pub fn alive(&self, now: Instant) -> BTreeMap<String, Acknowledged> {
        let live = |seen: &Seen| now.saturating_duration_since(seen.changed_at) < seen.duration;
        self.0
            .iter()
            .filter(|(_, seen)| live(seen))
            .map(|(name, seen)| (name.clone(), seen.acknowledged.clone()))
            .collect()
    }

    /// The replicas that stopped renewing their Leases and did not remove them, by their Leases.
    pub fn silent(&self, now: Instant) -> BTreeSet<String> {
        let has_lapsed = |seen: &Seen| now.saturating_duration_since(seen.changed_at) >= seen.duration;
        self.0.iter().filter(|(_, seen)| has_lapsed(seen)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether each replica is known to be alive or dead. Right after a start that is unknown, because a replica that
    /// died long ago may have left its Lease behind.
    pub fn all_known(&self, now: Instant) -> bool {
        let lapsed = |seen: &Seen| now.saturating_duration_since(seen.changed_at) >= seen.duration;
        self.0.values().all(|seen| seen.seen_to_renew || lapsed(seen))
    }

    /// When the next live replica would count as dead.
    pub fn next_death(&self, now: Instant) -> Option<Instant> {
        self.0.values().map(|seen| seen.changed_at + seen.duration).filter(|death| *death > now).min()
    }
}

fn acknowledged(lease: &Lease) -> Acknowledged {
    let annotation = |name| lease.annotations().get(name).map(String::as_str);
    Acknowledged {
        version: annotation(APPLIED_ANNOTATION).and_then(number).unwrap_or(0),
        refused: annotation(REFUSED_ANNOTATION).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
        parts: annotation(PARTS_ANNOTATION).and_then(|json| serde_json::from_str(json).ok()),
    }
}

/// The live replicas that do not run this version of a tenant's config, or a later one, by their pods' names.
pub fn behind(
    alive: &BTreeMap<String, Acknowledged>,
    tenant: &TenantId,
    version: u128,
    index: Option<&ContentId>,
) -> Vec<String> {
    alive.iter().filter(|(_, replica)| !replica.runs(tenant, version, index)).map(|(lease, _)| pod(lease)).collect()
}

/// The live replicas that do not read configs in parts, by their pods' names.
pub fn not_reading_parts(alive: &BTreeMap<String, Acknowledged>) -> Vec<String> {
    alive.iter().filter(|(_, replica)| replica.parts.is_none()).map(|(lease, _)| pod(lease)).collect()
}

/// The name of the pod whose Lease this is.
pub fn pod(lease: &str) -> String {
    lease.strip_prefix(LEASE_PREFIX).unwrap_or(lease).to_owned()
}

/// How many replicas run this version of a tenant's config, and how many are alive.
pub fn count(
    alive: &BTreeMap<String, Acknowledged>,
    tenant: &TenantId,
    version: u128,
    index: Option<&ContentId>,
) -> (usize, usize) {
    (alive.values().filter(|replica| replica.runs(tenant, version, index)).count(), alive.len())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    fn lease(name: &str, renewed: i64, applied: &str, refused: &str) -> Lease {
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                renew_time: Some(MicroTime(jiff::Timestamp::from_second(renewed).unwrap())),
                lease_duration_seconds: Some(35),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        lease.metadata.name = Some(name.into());
        lease.metadata.annotations = Some(
            [(APPLIED_ANNOTATION.to_owned(), applied.to_owned()), (REFUSED_ANNOTATION.to_owned(), refused.to_owned())]
                .into(),
        );
        lease
    }

    #[test]
    fn a_replica_counts_when_it_runs_this_version_or_a_later_one_and_did_not_refuse_the_tenant() {
        let (mut replicas, now) = (Replicas::default(), Instant::now());
        for (name, applied, refused) in [
            ("behind", "99", "{}"),
            ("current", "100", "{}"),
            ("ahead", "205", "{}"),
            ("refusing", "100", r#"{"shop":"senders.support: wrong"}"#),
            ("odd", "?", "?"),
        ] {
            replicas.observe(&lease(name, 1, applied, refused), now);
        }
        let alive = replicas.alive(now);
        assert_eq!(count(&alive, &"shop".parse().unwrap(), 100, None), (2, 5));
        assert_eq!(count(&alive, &"clinic".parse().unwrap(), 100, None), (3, 5));
    }

    #[test]
    fn a_replica_that_stops_renewing_is_dead_by_our_clock_whatever_its_own_says() {
        let (mut replicas, start) = (Replicas::default(), Instant::now());
        let far_in_the_future = 4_000_000_000;
        replicas.observe(&lease("a", far_in_the_future, "1", "{}"), start);
        let later = start + Duration::from_secs(30);
        replicas.observe(&lease("a", far_in_the_future, "2", "{}"), later);
        assert_eq!(replicas.next_death(later), Some(start + Duration::from_secs(35)));
        assert_eq!(replicas.alive(start + Duration::from_secs(35)).len(), 0);

        assert!(replicas.all_known(start + Duration::from_secs(35)) && !replicas.all_known(later));
        replicas.observe(&lease("a", 5, "2", "{}"), start + Duration::from_secs(40));
        assert!(replicas.all_known(start + Duration::from_secs(40)));
        assert_eq!(replicas.alive(start + Duration::from_secs(41)).len(), 1);
    }
}
