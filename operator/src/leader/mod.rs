//! Leader election by a Lease. [`evaluate`] decides what to do; this module does it.
//!
//! Every write carries the version that was read, so of two simultaneous writes one fails. A leader that could not
//! renew until its deadline stops before another may start, and its process ends, so no unfinished work of its
//! survives.

pub mod evaluate;
pub mod tenure;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use messaging::clock::Clock;
use tokio::time::Instant;

use evaluate::{Decision, Observed, Record, evaluate, observe};
use tenure::{Deadline, Tenure};

/// The times of an election; see the flags of the same names.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry: Duration,
}

/// Why this process stopped leading.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipLost {
    #[error("another replica took over the lease")]
    TakenOver,
    #[error("the lease could not be renewed for {0:?}")]
    NotRenewed(Duration),
}

/// One process that competes for leadership.
pub struct Candidate<'a> {
    leases: Api<Lease>,
    name: String,
    me: String,
    times: Times,
    clock: &'a dyn Clock,
    observed: Option<Observed>,
    /// The version that the next write is based on.
    version: Option<String>,
    leading: bool,
    deadline: Deadline,
    /// When the holder took the Lease, by its clock.
    acquired: Option<MicroTime>,
}

impl<'a> Candidate<'a> {
    /// `me` must be unique among all processes that ever compete, including successive processes of one pod.
    pub fn new(leases: Api<Lease>, name: String, me: String, times: Times, clock: &'a dyn Clock) -> Self {
        let deadline = Deadline::new(Instant::now());
        Self { leases, name, me, times, clock, observed: None, version: None, leading: false, deadline, acquired: None }
    }

    /// What tells whether this process still leads.
    pub fn tenure(&self) -> Tenure {
        Tenure::Elected {
            leases: Box::new(self.leases.clone()),
            lease: self.name.clone(),
            me: self.me.clone(),
            deadline: self.deadline.clone(),
        }
    }

    /// Returns when this process leads. Calls `looked` each time the server has answered.
    pub async fn acquire(&mut self, looked: impl Fn()) {
        loop {
            let begin = Instant::now();
            match tokio::time::timeout(self.times.renew_deadline, self.step()).await {
                Ok(Ok(_)) => {
                    looked();
                    if self.leading {
                        self.deadline.set(begin + self.times.renew_deadline);
                        return;
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "the lease can't be read or acquired; trying again");
                }
                Err(_) => tracing::warn!(lease = self.name, "no answer about the lease; trying again"),
            }
            tokio::time::sleep(self.times.retry).await;
        }
    }

    /// Renews until leadership is lost.
    pub async fn hold(&mut self) -> LeadershipLost {
        let mut deadline = Instant::now() + self.times.renew_deadline;
        loop {
            // The deadline counts from before the request, because other replicas see the renewal after that.
            let begin = deadline.min(Instant::now() + self.times.retry);
            tokio::time::sleep_until(begin).await;
            match tokio::time::timeout_at(deadline, self.step()).await {
                Ok(Ok(Decision::Renew)) => {
                    deadline = begin + self.times.renew_deadline;
                    self.deadline.set(deadline);
                }
                Ok(Ok(_)) => return LeadershipLost::TakenOver,
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "the lease can't be renewed; trying again until the deadline");
                }
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return LeadershipLost::NotRenewed(self.times.renew_deadline);
            }
        }
    }

    /// Gives the Lease up, so that another replica need not wait for it to lapse. Call it only after the last write.
    pub async fn step_down(&mut self) -> Result<(), kube::Error> {
        if !self.leading {
            return Ok(());
        }
        self.leading = false;
        self.write(None).await
    }

    /// Reads the Lease, decides and acts once.
    async fn step(&mut self) -> Result<Decision, kube::Error> {
        let lease = self.leases.get_opt(&self.name).await?;
        let now = Instant::now();
        self.version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        self.acquired = lease.as_ref().and_then(|lease| lease.spec.as_ref()?.acquire_time.clone());
        self.observed = lease.map(|lease| observe(self.observed.take(), record(lease.spec), now));
        let decision = evaluate(self.observed.as_ref(), &self.me, self.leading, now);
        match decision {
            Decision::Acquire | Decision::Renew => {
                let me = self.me.clone();
                self.write(Some(me)).await?;
                self.leading = true;
            }
            Decision::Standby => {}
            Decision::Lost => self.leading = false,
        }
        Ok(decision)
    }

    async fn write(&mut self, holder: Option<String>) -> Result<(), kube::Error> {
        let before = self.observed.as_ref().map(|observed| &observed.record);
        let taking_over = holder.is_some() && before.is_none_or(|before| before.holder != holder);
        let transitions = before.map_or(0, |before| before.transitions).saturating_add(i32::from(taking_over));
        let now = MicroTime(self.clock.now());
        let acquired = self.acquired.clone().filter(|_| !taking_over).unwrap_or_else(|| now.clone());
        let seconds = i32::try_from(self.times.lease_duration.as_secs()).unwrap_or(i32::MAX).max(1);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: self.version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder,
                lease_duration_seconds: Some(seconds),
                acquire_time: Some(acquired.clone()),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams::default();
        let written = match &self.version {
            // Fails if the Lease was written since we read it.
            Some(_) => self.leases.replace(&self.name, &params, &lease).await?,
            // Fails if the Lease was created since we read.
            None => self.leases.create(&params, &lease).await?,
        };
        self.version = written.metadata.resource_version;
        self.acquired = Some(acquired);
        self.observed = Some(observe(self.observed.take(), record(written.spec), Instant::now()));
        Ok(())
    }
}

/// What a Lease says.
pub fn record(spec: Option<LeaseSpec>) -> Record {
    let spec = spec.unwrap_or_default();
    Record {
        holder: spec.holder_identity,
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        duration: Duration::from_secs(spec.lease_duration_seconds.and_then(|s| s.try_into().ok()).unwrap_or(0)),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use parking_lot::Mutex;

    use super::*;
    use crate::testing::api::FakeApi;

    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/operator";

    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }
    }

    #[tokio::test]
    async fn the_time_at_which_the_holder_took_the_lease_stays_until_another_takes_it() {
        let (api, clock) = (Arc::<FakeApi>::default(), Hands(Mutex::default()));
        let seconds = Duration::from_secs;
        let times = Times { lease_duration: seconds(15), renew_deadline: seconds(10), retry: seconds(2) };
        let candidate = |me: &str| {
            Candidate::new(Api::default_namespaced(api.client()), "operator".into(), me.into(), times, &clock)
        };
        let at = |second| *clock.0.lock() = Timestamp::from_second(second).unwrap();
        let taken_and_renewed = || {
            let lease: Lease = serde_json::from_value(api.get(LEASE).unwrap()).unwrap();
            let spec = lease.spec.unwrap();
            [spec.acquire_time, spec.renew_time].map(|time| time.unwrap().0.as_second())
        };
        let (mut first, mut second) = (candidate("first"), candidate("second"));
        for (second, expected) in [(100, [100, 100]), (102, [100, 102]), (104, [100, 104])] {
            at(second);
            first.step().await.unwrap();
            assert_eq!(taken_and_renewed(), expected);
        }
        // Also after a restart of the process that holds it.
        at(106);
        candidate("first").step().await.unwrap();
        assert_eq!(taken_and_renewed(), [100, 106]);

        first.step().await.unwrap();
        first.step_down().await.unwrap();
        at(110);
        second.step().await.unwrap();
        assert_eq!(taken_and_renewed(), [110, 110]);
    }

    #[tokio::test]
    async fn a_tenure_begins_with_the_lease_and_lasts_until_the_deadline_of_its_renewal() {
        let (api, clock) = (Arc::<FakeApi>::default(), Hands(Mutex::default()));
        let seconds = Duration::from_secs;
        let times = Times { lease_duration: seconds(15), renew_deadline: seconds(10), retry: seconds(2) };
        let candidate = |me: &str| {
            Candidate::new(Api::default_namespaced(api.client()), "operator".into(), me.into(), times, &clock)
        };
        let (mut first, second) = (candidate("first"), candidate("second"));
        let begin = Instant::now();
        assert!(!first.tenure().may_write(begin), "nobody leads");
        first.acquire(|| {}).await;
        let end = Instant::now() + seconds(10);
        assert!(first.tenure().may_write(begin + seconds(10) - Duration::from_millis(1)));
        assert!(!first.tenure().may_write(end) && !second.tenure().may_write(begin));
    }
}
