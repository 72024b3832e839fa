//! The tasks of the process: each has a name, and runs until it is stopped.

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tasks that are stopped together.
#[derive(Default)]
pub(super) struct TaskSet {
    /// Each returns its task's name.
    pub(super) running: JoinSet<&'static str>,
    pub(super) stop: CancellationToken,
}

impl TaskSet {
    /// Starts a task, which ends when the token it is given is canceled.
    pub(super) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = task(self.stop.clone());
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits until every task has ended.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.running.join_next().await {
            let name = ended.context("a task panicked while it ended")?;
            tracing::debug!(part = name, "ended");
        }
        Ok(())
    }
}
