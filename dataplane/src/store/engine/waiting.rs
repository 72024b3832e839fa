//! Writes that wait for a committer to take them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::job::Job;
use crate::store::StoreError;

/// Writes that may wait. At the figures of one commit this is well under a second; who comes later is better told to
/// come back.
const PLACES: usize = 1024;
/// Tenants' requests are shed when no more places than this are left, so that webhooks still find one.
const KEPT_FOR_WEBHOOKS: usize = PLACES / 4;
/// Writes in one transaction.
const GROUP: usize = 512;
/// While a committer writes, another one begins when so many wait: then the second group makes use of the time in which
/// the first one's waits for the disk. With fewer it would only make groups smaller, and a group costs as much as dozens
/// of writes in it.
const ENOUGH_FOR_ANOTHER: usize = 64;

/// Those who wait, and who takes them.
#[derive(Debug)]
pub(crate) struct Waiting {
    line: Mutex<Line>,
    changed: Notify,
    /// How many committers there are.
    committers: watch::Sender<usize>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Groups that are being written.
    writing: usize,
    closed: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("jobs", &self.jobs.len()).field("writing", &self.writing).finish_non_exhaustive()
    }
}

impl Line {
    fn may_begin(&self) -> bool {
        !self.jobs.is_empty() && (self.writing == 0 || self.jobs.len() >= ENOUGH_FOR_ANOTHER)
    }
}

impl Waiting {
    /// The line, and a place at it for each of so many committers.
    pub(super) fn new(committers: usize) -> (Arc<Self>, Vec<Place>) {
        let waiting = Arc::new(Self {
            line: Mutex::default(),
            changed: Notify::new(),
            committers: watch::Sender::new(committers),
        });
        let places = (0..committers).map(|_| Place { waiting: Arc::clone(&waiting), writes: false }).collect();
        (waiting, places)
    }

    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut line = self.line();
        if line.closed {
            return Err(StoreError::Closed);
        }
        if line.jobs.len() >= PLACES {
            return Err(StoreError::Overloaded);
        }
        line.jobs.push_back(job);
        if line.may_begin() {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// How many writes wait, those aside that are being written.
    pub(super) fn len(&self) -> usize {
        self.line().jobs.len()
    }

    pub(super) fn has_room_for_requests(&self) -> bool {
        self.len() + KEPT_FOR_WEBHOOKS < PLACES
    }

    /// Takes nothing more, and waits until what waits is written.
    pub(super) async fn close(&self) {
        self.line().closed = true;
        self.changed.notify_waiters();
        // An error means that nobody is there to tell, which cannot be while this is.
        drop(self.committers.subscribe().wait_for(|committers| *committers == 0).await);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A committer's place at the line. Where the last one leaves, whoever still waits is told that nobody comes.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Arc<Waiting>,
    writes: bool,
}

impl Place {
    /// The next group; `None` when the line is closed and empty. The group taken before it is written.
    pub(super) async fn next(&mut self) -> Option<Vec<Job>> {
        self.written();
        loop {
            let mut changed = std::pin::pin!(self.waiting.changed.notified());
            // From now on nothing that changes goes by unheard.
            changed.as_mut().enable();
            {
                let mut line = self.waiting.line();
                if line.may_begin() {
                    line.writing += 1;
                    self.writes = true;
                    let group = line.jobs.len().min(GROUP);
                    return Some(line.jobs.drain(..group).collect());
                }
                if line.closed && line.jobs.is_empty() {
                    return None;
                }
            }
            changed.await;
        }
    }

    fn written(&mut self) {
        if std::mem::take(&mut self.writes) {
            let mut line = self.waiting.line();
            line.writing -= 1;
            if line.may_begin() {
                // This one takes them, unless another one comes first.
                self.waiting.changed.notify_one();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.written();
        self.waiting.committers.send_modify(|committers| *committers -= 1);
        if *self.waiting.committers.borrow() == 0 {
            let mut line = self.waiting.line();
            line.closed = true;
            line.jobs.clear();
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

    fn push(waiting: &Waiting, count: usize) -> Vec<Outcome> {
        let push = |_| {
            let (job, outcome) = job();
            waiting.push(job).unwrap();
            outcome
        };
        (0..count).map(push).collect()
    }

    /// How many a committer gets, if it gets any now.
    fn taken(place: &mut Place) -> Option<usize> {
        place.next().now_or_never().map(|group| group.map_or(0, |group| group.len()))
    }

    fn two() -> (Arc<Waiting>, Place, Place) {
        let (waiting, mut places) = Waiting::new(2);
        let (second, first) = (places.pop().unwrap(), places.pop().unwrap());
        (waiting, first, second)
    }

    #[test]
    fn one_write_is_taken_at_once_and_those_behind_it_wait_for_their_group() {
        let (waiting, mut first, mut second) = two();
        push(&waiting, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&waiting, ENOUGH_FOR_ANOTHER - 1);
        assert_eq!(taken(&mut second), None, "they are too few for a group beside the first");
        assert_eq!(taken(&mut first), Some(ENOUGH_FOR_ANOTHER - 1), "the first one is written");
    }

    #[test]
    fn when_enough_wait_another_committer_takes_them() {
        let (waiting, mut first, mut second) = two();
        push(&waiting, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&waiting, ENOUGH_FOR_ANOTHER);
        assert_eq!(taken(&mut second), Some(ENOUGH_FOR_ANOTHER));
        push(&waiting, GROUP + 1);
        assert_eq!(taken(&mut second), Some(GROUP), "a group is bounded");
        assert_eq!(waiting.len(), 1);
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_woken_by_the_end_of_the_other_group() {
        let (waiting, mut first, mut second) = two();
        push(&waiting, 1);
        assert_eq!(taken(&mut first), Some(1));
        push(&waiting, 1);
        let mut next = Box::pin(second.next());
        assert!(next.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(next.await.map(|group| group.len()), Some(1));
    }

    #[test]
    fn who_finds_no_place_is_told_to_come_back_and_requests_before_webhooks() {
        let (waiting, _first, _second) = two();
        push(&waiting, PLACES - KEPT_FOR_WEBHOOKS - 1);
        assert!(waiting.has_room_for_requests());
        push(&waiting, 1);
        assert!(!waiting.has_room_for_requests());
        push(&waiting, KEPT_FOR_WEBHOOKS);
        assert!(matches!(waiting.push(job().0), Err(StoreError::Overloaded)));
    }

    #[test]
    fn what_waits_is_still_written_when_the_line_is_closed() {
        let (waiting, mut first, mut second) = two();
        push(&waiting, 3);
        let mut closing = Box::pin(waiting.close());
        assert!(closing.as_mut().now_or_never().is_none());
        assert!(matches!(waiting.push(job().0), Err(StoreError::Closed)));
        assert_eq!((taken(&mut first), taken(&mut second)), (Some(3), Some(0)));
        assert_eq!(taken(&mut first), Some(0));
        drop((first, second));
        assert!(closing.now_or_never().is_some());
    }

    #[test]
    fn nobody_waits_for_committers_that_are_gone() {
        let (waiting, first, second) = two();
        let outcomes = push(&waiting, 1);
        drop((first, second));
        for mut outcome in outcomes {
            assert_eq!(outcome.try_recv().map(drop), Err(TryRecvError::Closed), "it is told that nobody comes");
        }
        assert!(matches!(waiting.push(job().0), Err(StoreError::Closed)));
    }
}
