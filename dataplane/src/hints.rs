//! Passes hints on to the operator: the one thing that this process tells the control plane besides its Lease.
//!
//! One task writes into the one object, whatever came meanwhile at once, and answers everybody who waited. So a flood
//! of webhooks makes few writes, and a webhook is answered only when its hint is written.
//!
//! Failure policy: fail open for everything else, closed for the hint. Where no hint can be written, its webhook is not
//! answered with a 2xx, so the provider sends it again, and the operator's polling finds what it told of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use messaging::error::with_causes;
use messaging::hints::{Hint, Hints, KEY, OBJECT};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many webhooks may wait for the next write.
const WAITING: usize = 256;
/// How often a write is tried that another replica was ahead of.
const TRIES: usize = 5;

/// How long hints wait, and how often they are written.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a webhook waits for its hint to be written.
    within: Duration,
    /// The least time between two writes.
    every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        // The provider waits 5 s for the answer.
        Self { within: Duration::from_secs(4), every: Duration::from_millis(100) }
    }
}

/// Why a hint was not passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPassedOn {
    #[error("too many hints wait to be written")]
    TooMany,
    #[error("the hint could not be written within {0:?}")]
    Late(Duration),
    #[error("the ConfigMap {OBJECT} does not exist; the operator creates it when a sender asks for template events")]
    NoObject,
    #[error("other replicas were ahead of {TRIES} writes")]
    Contended,
    #[error("the ConfigMap {OBJECT} can't be read or written: {0}")]
    Refused(String),
}

/// The object that the hints are in.
#[async_trait]
pub trait HintObject: Send + Sync {
    /// `None` where it does not exist.
    async fn read(&self) -> Result<Option<ConfigMap>, String>;

    /// Replaces the version that was read. Returns false if it is no longer the newest.
    async fn replace(&self, object: &ConfigMap) -> Result<bool, String>;
}

#[async_trait]
impl HintObject for Api<ConfigMap> {
    async fn read(&self) -> Result<Option<ConfigMap>, String> {
        self.get_opt(OBJECT).await.map_err(|error| with_causes(&error))
    }

    async fn replace(&self, object: &ConfigMap) -> Result<bool, String> {
        match Api::replace(self, OBJECT, &PostParams::default(), object).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(with_causes(&error)),
        }
    }
}

struct Waiting {
    hints: Vec<Hint>,
    answer: oneshot::Sender<Result<(), NotPassedOn>>,
}

/// Hands hints to the task that writes them.
#[derive(Clone)]
pub struct HintHandle {
    waiting: mpsc::Sender<Waiting>,
    pace: Pace,
}

impl HintHandle {
    /// Returns when the hints are written.
    pub async fn pass_on(&self, hints: Vec<Hint>) -> Result<(), NotPassedOn> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { hints, answer }).map_err(|_| NotPassedOn::TooMany)?;
        match tokio::time::timeout(self.pace.within, answered).await {
            Ok(Ok(written)) => written,
            // The task has ended, because the process does.
            Ok(Err(_)) | Err(_) => Err(NotPassedOn::Late(self.pace.within)),
        }
    }
}

/// The task that writes.
pub struct HintWriter {
    object: Arc<dyn HintObject>,
    waiting: mpsc::Receiver<Waiting>,
    pace: Pace,
}

impl HintWriter {
    pub fn new(object: Arc<dyn HintObject>, pace: Pace) -> (Self, HintHandle) {
        let (sender, waiting) = mpsc::channel(WAITING);
        (Self { object, waiting, pace }, HintHandle { waiting: sender, pace })
    }

    /// Writes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                next = self.waiting.recv() => match next {
                    Some(first) => self.take(first).await,
                    None => return,
                },
            }
        }
    }

    async fn take(&mut self, first: Waiting) {
        let began = Instant::now();
        let mut all = vec![first];
        while let Ok(next) = self.waiting.try_recv() {
            all.push(next);
        }
        // Whoever asked no longer waits after that time.
        let hints: Vec<Hint> = all.iter().flat_map(|waiting| waiting.hints.iter().cloned()).collect();
        let Pace { within, every } = self.pace;
        let written = tokio::time::timeout(within, write(&*self.object, &hints)).await;
        let written = written.unwrap_or(Err(NotPassedOn::Late(within)));
        for Waiting { answer, .. } in all {
            // It may have stopped waiting.
            drop(answer.send(written.clone()));
        }
        tokio::time::sleep_until(began + every).await;
    }
}

async fn write(object: &dyn HintObject, hints: &[Hint]) -> Result<(), NotPassedOn> {
    for _ in 0..TRIES {
        let found = object.read().await.map_err(NotPassedOn::Refused)?.ok_or(NotPassedOn::NoObject)?;
        if object.replace(&with(found, hints)).await.map_err(NotPassedOn::Refused)? {
            return Ok(());
        }
    }
    Err(NotPassedOn::Contended)
}

/// The object with these hints added, and nothing else in its data.
fn with(mut object: ConfigMap, hints: &[Hint]) -> ConfigMap {
    let value = object.data.as_ref().and_then(|data| data.get(KEY)).map_or("", String::as_str);
    let mut all = Hints::parse(value);
    hints.iter().cloned().for_each(|hint| all.add(hint));
    object.data = Some([(KEY.to_owned(), all.text())].into());
    object.binary_data = None;
    object
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use messaging::hints::About;
    use parking_lot::Mutex;

    use super::*;

    /// An object in memory, which other replicas write into first.
    #[derive(Default)]
    struct Kept {
        object: Mutex<Option<ConfigMap>>,
        others: Mutex<usize>,
        writes: Mutex<usize>,
        /// How many reads are never answered.
        silent: Mutex<usize>,
    }

    impl Kept {
        fn with_object() -> Arc<Self> {
            let object = serde_json::from_value(serde_json::json!({"data": {"other": "words", KEY: "spoilt"}}));
            Arc::new(Self { object: Mutex::new(Some(object.unwrap())), ..Self::default() })
        }

        fn hints(&self) -> Vec<About> {
            let object = self.object.lock().clone().unwrap();
            assert_eq!(object.data.as_ref().unwrap().len(), 1);
            Hints::parse(&object.data.unwrap()[KEY]).iter().map(|hint| hint.about.clone()).collect()
        }
    }

    #[async_trait]
    impl HintObject for Kept {
        async fn read(&self) -> Result<Option<ConfigMap>, String> {
            let is_silent = {
                let mut silent = self.silent.lock();
                let is_silent = *silent > 0;
                *silent = silent.saturating_sub(1);
                is_silent
            };
            if is_silent {
                std::future::pending::<()>().await;
            }
            Ok(self.object.lock().clone())
        }

        async fn replace(&self, object: &ConfigMap) -> Result<bool, String> {
            let mut others = self.others.lock();
            if *others > 0 {
                *others -= 1;
                return Ok(false);
            }
            *self.writes.lock() += 1;
            *self.object.lock() = Some(object.clone());
            Ok(true)
        }
    }

    fn hint(id: &str) -> Vec<Hint> {
        vec![Hint {
            tenant: "shop".parse().unwrap(),
            sender: "support".parse().unwrap(),
            about: About::Test(id.to_owned()),
            at: Timestamp::from_second(1_800_000_000).unwrap(),
        }]
    }

    #[tokio::test]
    async fn a_hint_is_written_over_what_others_write_meanwhile_and_refused_when_they_never_stop() {
        let kept = Kept::with_object();
        *kept.others.lock() = TRIES;
        assert_eq!(write(&*kept, &hint("TE1")).await, Err(NotPassedOn::Contended));
        *kept.others.lock() = TRIES - 1;
        assert_eq!(write(&*kept, &hint("TE1")).await, Ok(()));
        assert_eq!(kept.hints(), [About::Test("TE1".to_owned())]);
    }

    #[tokio::test]
    async fn without_the_object_nothing_is_acknowledged() {
        let (writer, handle) = HintWriter::new(Arc::<Kept>::default(), Pace::default());
        let stop = CancellationToken::new();
        let (passed, ()) = tokio::join!(
            async {
                let passed = handle.pass_on(hint("TE1")).await;
                stop.cancel();
                passed
            },
            writer.run(stop.clone())
        );
        assert_eq!(passed, Err(NotPassedOn::NoObject));
    }

    #[tokio::test]
    async fn a_flood_makes_few_writes_and_what_is_too_much_is_refused_at_once() {
        let kept = Kept::with_object();
        let (writer, handle) = HintWriter::new(Arc::clone(&kept) as _, Pace::default());
        let ids: Vec<String> = (0..WAITING + 10).map(|n| format!("TE{n}")).collect();
        let flood = futures::future::join_all(ids.iter().map(|id| handle.pass_on(hint(id))));
        let stop = CancellationToken::new();
        let (passed, ()) = tokio::join!(
            async {
                let passed = flood.await;
                stop.cancel();
                passed
            },
            writer.run(stop.clone())
        );
        let refused = passed.iter().filter(|passed| **passed == Err(NotPassedOn::TooMany)).count();
        assert_eq!((refused, passed.iter().filter(|passed| passed.is_ok()).count()), (10, WAITING));
        assert_eq!((*kept.writes.lock(), kept.hints().len()), (1, messaging::hints::MOST_OF_A_TENANT));
    }

    #[tokio::test]
    async fn a_webhook_waits_no_longer_than_its_provider_does_and_the_next_one_is_written() {
        let pace = Pace { within: Duration::from_millis(50), ..Pace::default() };
        // Whoever asks hears of it although no task writes.
        let (_writer, handle) = HintWriter::new(Kept::with_object(), pace);
        let unheard = tokio::time::timeout(Duration::from_secs(30), handle.pass_on(hint("TE1"))).await;
        assert_eq!(unheard, Ok(Err(NotPassedOn::Late(pace.within))));

        let kept = Kept::with_object();
        *kept.silent.lock() = 1;
        let (writer, handle) = HintWriter::new(Arc::clone(&kept) as _, pace);
        let late = Err(NotPassedOn::Late(pace.within));
        let passed = tokio::time::timeout(Duration::from_secs(30), async {
            tokio::select! {
                passed = async {
                    let first = handle.pass_on(hint("TE1")).await;
                    let mut next = late.clone();
                    while next == late {
                        next = handle.pass_on(hint("TE2")).await;
                    }
                    (first, next)
                } => passed,
                () = writer.run(CancellationToken::new()) => panic!("it ended"),
            }
        });
        assert_eq!(passed.await, Ok((late.clone(), Ok(()))));
        assert_eq!(kept.hints(), [About::Test("TE2".to_owned())]);
    }

    #[tokio::test]
    async fn however_many_come_one_after_the_other_the_writes_are_paced() {
        let pace = Pace { every: Duration::from_millis(50), ..Pace::default() };
        let (writer, handle) = HintWriter::new(Kept::with_object(), pace);
        let stop = CancellationToken::new();
        let began = Instant::now();
        let (passed, ()) = tokio::join!(
            async {
                let passed = [handle.pass_on(hint("TE1")).await, handle.pass_on(hint("TE2")).await];
                stop.cancel();
                passed
            },
            writer.run(stop.clone())
        );
        assert_eq!(passed, [Ok(()), Ok(())]);
        assert!(began.elapsed() >= pace.every, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_conflict_at_the_api_server_is_another_replicas_write_and_anything_else_an_error() {
        for (status, expected) in [(200_u16, Some(true)), (409, Some(false)), (403, None), (500, None)] {
            let service = tower::service_fn(move |request: http::Request<kube::client::Body>| async move {
                assert_eq!(request.uri().path(), "/api/v1/namespaces/system/configmaps/whatsapp-hints");
                let body = if status == 200 {
                    serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})
                } else {
                    serde_json::json!({"kind": "Status", "status": "Failure", "code": status, "reason": "Refused"})
                };
                let body = kube::client::Body::from(body.to_string().into_bytes());
                http::Response::builder().status(status).body(body)
            });
            let api: Api<ConfigMap> = Api::namespaced(kube::Client::new(service, "default"), "system");
            let replaced = HintObject::replace(&api, &ConfigMap::default()).await;
            assert_eq!(replaced.ok(), expected, "{status}");
        }
    }
}
