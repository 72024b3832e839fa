//! The parts of the process: each runs until it is told to end, and is known by a name.

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Parts that are told together to end.
#[derive(Default)]
pub(super) struct Parts {
    /// Answers with the part's name.
    pub(super) running: JoinSet<&'static str>,
    pub(super) stop: CancellationToken,
}

impl Parts {
    /// Starts a part, which is handed what tells it to end.
    pub(super) fn spawn<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let part = part(self.stop.clone());
        self.running.spawn(async move {
            part.await;
            name
        });
    }

    /// Waits until every part has ended.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.running.join_next().await {
            let name = ended.context("a part panicked while it ended")?;
            tracing::debug!(part = name, "ended");
        }
        Ok(())
    }
}
