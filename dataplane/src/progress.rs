//! When each task of this process last did what it is for, so that a task that stands still is seen although the
//! process runs.
//!
//! A clock that jumps ahead makes tasks look still until their next look, which is a moment later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messaging::clock::after;
use parking_lot::Mutex;

use crate::metrics::Metrics;

/// A task that has done nothing for longer than this, although there was something to do, stands still.
const STILL_AFTER: Duration = Duration::from_secs(30);
/// What a task failed at comes back to it within this, when its lease ends. Until then it does not count that the task
/// finds nothing to do.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// What runs in a process by itself, and could stand still by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    Apply,
    Dispatch,
    Publish,
    Settle,
    Expire,
    Remove,
    Forget,
    Sweep,
    /// Keeping stored times within their bounds.
    Bounds,
    Holds,
    /// Comparing the clocks.
    Clock,
    /// Following the config directory.
    Config,
    /// Renewing the replica's Lease.
    Lease,
    /// Every thread of the webhooks' listener turns.
    Webhooks,
    /// Every thread of the tenants' listener turns.
    Api,
}

impl Task {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Dispatch => "dispatch",
            Self::Publish => "publish",
            Self::Settle => "settle",
            Self::Expire => "expire",
            Self::Remove => "remove",
            Self::Forget => "forget",
            Self::Sweep => "sweep",
            Self::Bounds => "bounds",
            Self::Holds => "holds",
            Self::Clock => "clock",
            Self::Config => "config",
            Self::Lease => "lease",
            Self::Webhooks => "webhooks",
            Self::Api => "api",
        }
    }
}

/// The progress of every task.
#[derive(Debug)]
pub struct Progress {
    metrics: Arc<Metrics>,
    tasks: Mutex<HashMap<Task, Last>>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    success: Timestamp,
    failure: Option<Timestamp>,
}

impl Progress {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, tasks: Mutex::default() }
    }

    /// The task is expected to make progress from now on.
    pub fn begins(&self, task: Task, now: Timestamp) {
        self.tasks.lock().entry(task).or_insert(Last { success: now, failure: None });
    }

    /// The task has done something.
    pub fn did(&self, task: Task, now: Timestamp) {
        self.tasks.lock().insert(task, Last { success: now, failure: None });
        self.metrics.task_succeeded(task, now);
    }

    /// The task found nothing to do.
    pub fn found_nothing(&self, task: Task, now: Timestamp) {
        let last = self.tasks.lock().get(&task).copied();
        if last.and_then(|last| last.failure).is_none_or(|at| now >= after(at, COMES_BACK_WITHIN)) {
            self.did(task, now);
        }
    }

    /// The task could not do something, which waits.
    pub fn failed(&self, task: Task, now: Timestamp) {
        if let Some(last) = self.tasks.lock().get_mut(&task) {
            last.failure = Some(now);
        }
    }

    /// Whether the task does what there is to do. One that does not run here need not.
    pub fn is_made(&self, task: Task, now: Timestamp) -> bool {
        self.tasks.lock().get(&task).is_none_or(|last| now <= after(last.success, STILL_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn progress() -> Progress {
        let progress = Progress::new(Arc::new(Metrics::new().unwrap()));
        progress.begins(Task::Dispatch, at(0));
        progress
    }

    #[test]
    fn a_task_stands_still_when_it_has_neither_done_anything_nor_found_nothing_to_do() {
        let progress = progress();
        assert!(progress.is_made(Task::Dispatch, at(30)));
        assert!(!progress.is_made(Task::Dispatch, at(31)));
        progress.found_nothing(Task::Dispatch, at(40));
        assert!(progress.is_made(Task::Dispatch, at(70)));
        progress.did(Task::Dispatch, at(70));
        assert!(progress.is_made(Task::Dispatch, at(100)));
        assert!(progress.is_made(Task::Apply, at(100)), "it does not run here");
    }

    #[test]
    fn after_a_failure_nothing_to_do_means_that_the_work_has_not_come_back_yet() {
        let progress = progress();
        for seconds in (0..120).step_by(30) {
            progress.failed(Task::Dispatch, at(seconds));
            (1..30).for_each(|more| progress.found_nothing(Task::Dispatch, at(seconds + more)));
        }
        assert!(!progress.is_made(Task::Dispatch, at(31)));
        // Another replica did it, and nothing comes back.
        progress.found_nothing(Task::Dispatch, at(150));
        assert!(progress.is_made(Task::Dispatch, at(151)));
    }

    #[test]
    fn one_success_outweighs_the_failures_before_it() {
        let progress = progress();
        progress.failed(Task::Dispatch, at(20));
        progress.did(Task::Dispatch, at(21));
        progress.found_nothing(Task::Dispatch, at(60));
        assert!(progress.is_made(Task::Dispatch, at(90)));
    }
}
