//! Whether an operator lives, from what its Lease does while we look: by our own clock only, because the times in a
//! Lease are its holder's.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::time::Instant;

use super::{Release, ReleaseFailed, failed};
use crate::leader::evaluate::{Observed, Record, observe};
use crate::leader::record;

/// How often the Lease is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How time passes.
pub trait Pace {
    fn now(&self) -> Instant;
    fn pass(&self, time: Duration) -> impl Future<Output = ()>;
}

/// As it does.
#[derive(Debug)]
pub struct RealTime;

impl Pace for RealTime {
    fn now(&self) -> Instant {
        Instant::now()
    }
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// What a Lease tells of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody renewed it for as long as it lasts.
    Gone,
    /// It was renewed, or taken, by this holder.
    Lives(String),
    /// It may still be renewed, for so long.
    Unknown(Duration),
}

/// Judges a Lease by what it said at the first look and what was seen since. One that was given up is watched as well,
/// because a replica may be about to take it.
pub fn judge(first: &Record, observed: &Observed, now: Instant) -> Verdict {
    let Observed { record, unchanged_since } = observed;
    let holder = record.holder.as_deref().filter(|holder| !holder.is_empty());
    if let Some(holder) = holder.filter(|_| record != first) {
        return Verdict::Lives(holder.to_owned());
    }
    match record.duration.checked_sub(now.saturating_duration_since(*unchanged_since)) {
        Some(left) if !left.is_zero() => Verdict::Unknown(left),
        _ => Verdict::Gone,
    }
}

/// Watches the Lease of the operator that must be gone.
pub(super) struct Watch<'a> {
    leases: Api<Lease>,
    options: &'a Release,
    /// What the Lease said when nobody was found to renew it; `None` while there is no Lease.
    lapsed: Option<Record>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(client: &Client, options: &'a Release) -> Self {
        Self { leases: Api::namespaced(client.clone(), &options.config_namespace), options, lapsed: None }
    }

    /// Looks for as long as the Lease lasts without being renewed.
    pub(super) async fn until_gone(&mut self, pace: &impl Pace) -> Result<(), ReleaseFailed> {
        let Some(first) = self.look().await? else { return Ok(()) };
        let (holder, lasts) = (first.holder.as_deref().unwrap_or_default(), first.duration);
        tracing::info!(
            lease = self.options.lease_name,
            holder,
            ?lasts,
            "watching whether an operator renews the lease"
        );
        let mut observed = observe(None, first.clone(), pace.now());
        loop {
            match judge(&first, &observed, pace.now()) {
                Verdict::Gone => break,
                Verdict::Lives(holder) => return Err(self.lives(holder)),
                Verdict::Unknown(left) => pace.pass(left.min(LOOK)).await,
            }
            let Some(record) = self.look().await? else { return Ok(()) };
            observed = observe(Some(observed), record, pace.now());
        }
        self.lapsed = Some(observed.record);
        Ok(())
    }

    /// Looks once more whether nobody has come since.
    pub(super) async fn is_still_gone(&self) -> Result<(), ReleaseFailed> {
        match self.look().await? {
            Some(record) if Some(&record) != self.lapsed.as_ref() => Err(self.lives(record.holder.unwrap_or_default())),
            _ => Ok(()),
        }
    }

    /// Reads the Lease. No Lease is an answer only for somebody who said so: its name may be wrong.
    async fn look(&self) -> Result<Option<Record>, ReleaseFailed> {
        let Release { config_namespace, lease_name, without_lease, .. } = self.options;
        let found = self.leases.get_opt(lease_name).await.map_err(failed("get", "leases", Some(config_namespace)))?;
        match found {
            Some(lease) => Ok(Some(record(lease.spec))),
            None if *without_lease => Ok(None),
            None => Err(ReleaseFailed::NoLease { lease: lease_name.clone(), namespace: config_namespace.clone() }),
        }
    }

    fn lives(&self, holder: String) -> ReleaseFailed {
        let Release { config_namespace, lease_name, .. } = self.options;
        ReleaseFailed::LeaderLives { holder, lease: lease_name.clone(), namespace: config_namespace.clone() }
    }
}
