//! The writes that wait for a committer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::job::Job;
use crate::store::StoreError;

/// The most writes that may wait. One commit takes well under a second for this many; a later caller is better off
/// asking again.
const CAPACITY: usize = 1024;
/// Tenants' requests are shed when no more room than this is left, so that webhooks still find some.
const KEPT_FOR_WEBHOOKS: usize = CAPACITY / 4;
/// Writes in one transaction.
const GROUP: usize = 512;
/// While a committer writes, another one begins when this many wait: the second group uses the time in which the first
/// one waits for the disk. With fewer it would only make groups smaller, and a group costs as much as dozens of writes
/// in it.
const ENOUGH_FOR_ANOTHER: usize = 64;

/// The jobs that wait, and the committers that take them.
#[derive(Debug)]
pub(crate) struct CommitQueue {
    state: Mutex<State>,
    changed: Notify,
    /// The number of committers left.
    committers: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// The number of groups that are being written.
    writing: usize,
    closed: bool,
    committed_at: Option<Instant>,
    full_at: Option<Instant>,
}

/// How long ago something last happened; `None` when it has not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lately {
    pub(crate) committed: Option<Duration>,
    /// A write failed because the disk is full.
    pub(crate) full: Option<Duration>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("writing", &self.writing).finish_non_exhaustive()
    }
}

impl State {
    fn may_begin(&self) -> bool {
        !self.jobs.is_empty() && (self.writing == 0 || self.jobs.len() >= ENOUGH_FOR_ANOTHER)
    }
}

impl CommitQueue {
    /// A queue, and one consumer of it for each committer.
    pub(super) fn new(committers: usize) -> (Arc<Self>, Vec<Consumer>) {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            changed: Notify::new(),
            committers: watch::Sender::new(committers),
        });
        let consumers = (0..committers).map(|_| Consumer { queue: Arc::clone(&queue), writes: false }).collect();
        (queue, consumers)
    }

    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Closed);
        }
        if state.jobs.len() >= CAPACITY {
            return Err(StoreError::Overloaded);
        }
        state.jobs.push_back(job);
        if state.may_begin() {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// The number of writes that wait. Those that are being written do not count.
    pub(super) fn len(&self) -> usize {
        self.state().jobs.len()
    }

    pub(super) fn has_room_for_requests(&self) -> bool {
        self.len() + KEPT_FOR_WEBHOOKS < CAPACITY
    }

    pub(super) fn lately(&self) -> Lately {
        let state = self.state();
        let ago = |at: Option<Instant>| at.map(|at| at.elapsed());
        Lately { committed: ago(state.committed_at), full: ago(state.full_at) }
    }

    /// Refuses new writes, and returns when those that wait are written.
    pub(super) async fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
        // The wait can only fail when the sender is gone, and `self` holds it.
        drop(self.committers.subscribe().wait_for(|committers| *committers == 0).await);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A committer's end of the queue. When the last one is dropped, the queue closes and what still waits fails.
#[derive(Debug)]
pub(super) struct Consumer {
    queue: Arc<CommitQueue>,
    writes: bool,
}

impl Consumer {
    /// The next group, or `None` when the queue is closed and empty. The group before it counts as written.
    pub(super) async fn next(&mut self) -> Option<Vec<Job>> {
        self.written();
        loop {
            let mut changed = std::pin::pin!(self.queue.changed.notified());
            // Registered before the state is read, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.queue.state();
                if state.may_begin() {
                    state.writing += 1;
                    self.writes = true;
                    let group = state.jobs.len().min(GROUP);
                    return Some(state.jobs.drain(..group).collect());
                }
                if state.closed && state.jobs.is_empty() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Notes that writes were committed.
    pub(super) fn committed(&self) {
        self.queue.state().committed_at = Some(Instant::now());
    }

    /// Notes why a write was not.
    pub(super) fn failed(&self, error: &StoreError) {
        if matches!(error, StoreError::Full(_)) {
            self.queue.state().full_at = Some(Instant::now());
        }
    }

    fn written(&mut self) {
        if std::mem::take(&mut self.writes) {
            let mut state = self.queue.state();
            state.writing -= 1;
            if state.may_begin() {
                // This committer takes them, unless another one is faster.
                self.queue.changed.notify_one();
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.written();
        self.queue.committers.send_modify(|committers| *committers -= 1);
        if *self.queue.committers.borrow() == 0 {
            let mut state = self.queue.state();
            state.closed = true;
            state.jobs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::super::job::{Answer, PendingRequest};
    use super::*;
    use crate::store::webhook::{RecordRequest, Recorded};

    type Outcome = tokio::sync::oneshot::Receiver<Result<Vec<Recorded>, StoreError>>;

    fn job() -> (Job, Outcome) {
        let (answer, outcome) = Answer::new();
        (Job::Webhook(Box::new(PendingRequest { request: RecordRequest::default(), answer })), outcome)
    }

    fn push(queue: &CommitQueue, count: usize) -> Vec<Outcome> {
        let push = |_| {
            let (job, outcome) = job();
            queue.push(job).unwrap();
            outcome
        };
        (0..count).map(push).collect()
    }

    /// The size of the group that a committer gets now, if any.
    fn taken(consumer: &mut Consumer) -> Option<usize> {
        consumer.next().now_or_never().map(|group| group.map_or(0, |group| group.len()))
    }

    fn two() -> (Arc<CommitQueue>, Consumer, Consumer) {
        let (queue, mut consumers) = CommitQueue::new(2);
        let (second, first) = (consumers.pop().unwrap(), consumers.pop().unwrap());
        (queue, first, second)
    }

    #[test]
    fn one_write_is_taken_at_once_and_those_behind_it_wait_for_their_group() {
        let (queue, mut first, mut second) = two();
        push(&queue, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&queue, ENOUGH_FOR_ANOTHER - 1);
        assert_eq!(taken(&mut second), None, "too few for a group beside the first");
        assert_eq!(taken(&mut first), Some(ENOUGH_FOR_ANOTHER - 1), "the first group is written");
    }

    #[test]
    fn when_enough_wait_another_committer_takes_them() {
        let (queue, mut first, mut second) = two();
        push(&queue, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&queue, ENOUGH_FOR_ANOTHER);
        assert_eq!(taken(&mut second), Some(ENOUGH_FOR_ANOTHER));
        push(&queue, GROUP + 1);
        assert_eq!(taken(&mut second), Some(GROUP), "a group is bounded");
        assert_eq!(queue.len(), 1);
    }

    #[tokio::test]
    async fn an_idle_committer_is_woken_when_the_other_group_ends() {
        let (queue, mut first, mut second) = two();
        push(&queue, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&queue, 1);
        let mut next = Box::pin(second.next());
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(next.await.map(|group| group.len()), Some(1));
    }

    #[test]
    fn a_full_queue_refuses_requests_before_webhooks() {
        let (queue, _first, _second) = two();
        push(&queue, CAPACITY - KEPT_FOR_WEBHOOKS - 1);
        assert!(queue.has_room_for_requests());
        push(&queue, 1);
        assert!(!queue.has_room_for_requests());
        push(&queue, KEPT_FOR_WEBHOOKS);
        assert!(matches!(queue.push(job().0), Err(StoreError::Overloaded)));
    }

    #[test]
    fn a_closed_queue_still_writes_what_waits() {
        let (queue, mut first, mut second) = two();
        push(&queue, 3);
        let mut closing = Box::pin(queue.close());
        assert!(closing.as_mut().now_or_never().is_none());
        assert!(matches!(queue.push(job().0), Err(StoreError::Closed)));
        assert_eq!((taken(&mut first), taken(&mut second)), (Some(3), Some(0)));
        assert_eq!(taken(&mut first), Some(0));
        drop((first, second));
        assert!(closing.now_or_never().is_some());
    }

    #[test]
    fn writes_fail_when_the_last_committer_is_gone() {
        let (queue, first, second) = two();
        let outcomes = push(&queue, 1);
        drop((first, second));
        for mut outcome in outcomes {
            assert_eq!(outcome.try_recv().map(drop), Err(TryRecvError::Closed), "its answer is dropped");
        }
        assert!(matches!(queue.push(job().0), Err(StoreError::Closed)));
    }
}
