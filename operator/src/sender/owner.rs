//! Which namespace a pool belongs to.
//!
//! A pool has one inbound URL, so of two namespaces that name it only one hears what customers write, a STOP included.
//! The namespace of the oldest sender that names it owns it. That is recorded in a Lease, so that deleting a sender and
//! applying it again does not hand the pool over. The Lease lapses a day after the last sender that names the pool was
//! seen; to hand it over sooner, delete the Lease.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use messaging::id::{PoolId, TenantId};

use crate::reconcile::error::KubernetesFailure;

/// How long a namespace keeps a pool after the last of its senders stops naming it.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How often the owner renews its claim.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What is recorded about a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub owner: TenantId,
    /// Since when it owns the pool.
    pub since: Timestamp,
    /// When a sender of the owner was last seen to name the pool.
    pub seen: Timestamp,
}

/// A record as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub record: Option<Record>,
    /// What a write is based on, so that of two writers one fails. Absent while nothing was ever recorded.
    pub version: Option<String>,
}

/// What follows for a namespace that names the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Mine,
    /// Write the record anew, with this namespace as its owner.
    Record,
    Theirs(TenantId),
}

/// `older` is another namespace with an older sender that names the pool.
fn decide(record: Option<&Record>, me: &TenantId, older: Option<&TenantId>, now: Timestamp) -> Decision {
    match (record.filter(|record| !has_lapsed(record, now)), older) {
        (Some(record), _) if record.owner == *me && now.duration_since(record.seen) < RENEW_AFTER => Decision::Mine,
        (Some(record), _) if record.owner == *me => Decision::Record,
        (Some(record), _) => Decision::Theirs(record.owner.clone()),
        (None, Some(older)) => Decision::Theirs(older.clone()),
        (None, None) => Decision::Record,
    }
}

fn has_lapsed(record: &Record, now: Timestamp) -> bool {
    now.duration_since(record.seen) >= KEPT_FOR
}

/// Keeps the records.
#[async_trait]
pub trait PoolOwners: Send + Sync {
    /// The record of a pool, also a lapsed one.
    async fn read(&self, pool: &PoolId) -> Result<Recorded, KubernetesFailure>;

    /// Writes the record. Fails if it was written since this version was read.
    async fn write(&self, pool: &PoolId, record: Record, version: Option<String>) -> Result<(), KubernetesFailure>;
}

/// Claims a pool that a sender of `me` names. Returns the namespace that owns it, unless that is `me`.
pub async fn claim(
    owners: &dyn PoolOwners,
    pool: &PoolId,
    me: &TenantId,
    older: Option<&TenantId>,
    now: Timestamp,
) -> Result<Option<TenantId>, KubernetesFailure> {
    let Recorded { record, version } = owners.read(pool).await?;
    match decide(record.as_ref(), me, older, now) {
        Decision::Mine => Ok(None),
        Decision::Theirs(owner) => Ok(Some(owner)),
        Decision::Record => {
            let since = record.filter(|record| record.owner == *me).map_or(now, |record| record.since);
            owners.write(pool, Record { owner: me.clone(), since, seen: now }, version).await.map(|()| None)
        }
    }
}

/// The namespace that owns a pool, unless that is `me` or nobody.
pub async fn other_owner(
    owners: &dyn PoolOwners,
    pool: &PoolId,
    me: &TenantId,
    now: Timestamp,
) -> Result<Option<TenantId>, KubernetesFailure> {
    let record = owners.read(pool).await?.record.filter(|record| !has_lapsed(record, now));
    Ok(record.map(|record| record.owner).filter(|owner| owner != me))
}

/// Leases in the operator's namespace.
pub struct OwnerLeases(pub Api<Lease>);

fn lease_name(pool: &PoolId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("whatsapp-pool-{}", pool.as_str().chars().map(plain).collect::<String>())
}

fn record_in(lease: &Lease) -> Option<Record> {
    let spec = lease.spec.as_ref()?;
    let owner = TenantId::new(spec.holder_identity.as_deref()?).ok()?;
    let seen = spec.renew_time.as_ref()?.0;
    Some(Record { owner, since: spec.acquire_time.as_ref().map_or(seen, |acquired| acquired.0), seen })
}

#[async_trait]
impl PoolOwners for OwnerLeases {
    async fn read(&self, pool: &PoolId) -> Result<Recorded, KubernetesFailure> {
        let failed = KubernetesFailure::new(format!("the Lease with the owner of {pool} can't be read"));
        let lease = self.0.get_opt(&lease_name(pool)).await.map_err(failed)?;
        Ok(lease.map_or_else(Recorded::default, |lease| Recorded {
            record: record_in(&lease),
            version: lease.metadata.resource_version,
        }))
    }

    async fn write(&self, pool: &PoolId, record: Record, version: Option<String>) -> Result<(), KubernetesFailure> {
        let Record { owner, since, seen } = record;
        let (name, params, exists) = (lease_name(pool), PostParams::default(), version.is_some());
        let lease = Lease {
            metadata: ObjectMeta { name: Some(name.clone()), resource_version: version, ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(owner.to_string()),
                lease_duration_seconds: i32::try_from(KEPT_FOR.as_secs()).ok(),
                acquire_time: Some(MicroTime(since)),
                renew_time: Some(MicroTime(seen)),
                ..LeaseSpec::default()
            }),
        };
        let written =
            if exists { self.0.replace(&name, &params, &lease).await } else { self.0.create(&params, &lease).await };
        written.map(drop).map_err(KubernetesFailure::new(format!("the owner of {pool} can't be recorded")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn the_namespace_of_the_oldest_sender_owns_a_pool_and_keeps_it_for_a_day_without_one() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let record = |owner: &str, hours| Record {
            owner: tenant(owner),
            since: Timestamp::UNIX_EPOCH,
            seen: now - SignedDuration::from_hours(hours),
        };
        let theirs = |owner: &str| Decision::Theirs(tenant(owner));
        for (why, record, older, decision) in [
            ("nobody else names it", None, None, Decision::Record),
            ("an older sender elsewhere names it", None, Some("bank"), theirs("bank")),
            ("it is ours", Some(record("shop", 0)), None, Decision::Mine),
            ("it is ours, and another's older sender came back", Some(record("shop", 0)), Some("bank"), Decision::Mine),
            ("it is ours, and was seen a while ago", Some(record("shop", 2)), None, Decision::Record),
            ("the owner applies its sender again", Some(record("bank", 23)), None, theirs("bank")),
            ("the owner has been gone for a day", Some(record("bank", 24)), None, Decision::Record),
            ("several wait for it to lapse", Some(record("bank", 24)), Some("clinic"), theirs("clinic")),
        ] {
            assert_eq!(decide(record.as_ref(), &tenant("shop"), older.map(tenant).as_ref(), now), decision, "{why}");
        }
    }

    #[test]
    fn the_record_of_a_pool_is_a_lease_that_a_person_can_find() {
        assert_eq!(lease_name(&PoolId::new("MG0123456789abcdef")), "whatsapp-pool-mg0123456789abcdef");
        let spec = |holder: &str| LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        };
        let lease = |holder| Lease { spec: Some(spec(holder)), ..Lease::default() };
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(record_in(&lease("shop")), Some(Record { owner: tenant("shop"), since: at, seen: at }));
        assert_eq!(record_in(&lease("")), None);
    }
}
