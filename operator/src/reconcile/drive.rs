//! One reconcile of one object: everything around a kind's own steps, which is the same for every kind.
//!
//! Two time limits apply. The kind's steps, which call providers, are given up after `FIND_AND_ACT`. What they found
//! until then is still reported, within `REPORT`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crds::annotation::{FINALIZER, PAUSED, RECONCILE_REQUESTED_AT};
use crds::condition::{READY, STALLED, reason};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::metrics::Reconciled;
use crate::reconcile::backoff::{Failures, delay, jittered};
use crate::reconcile::conditions::{Assessments, State};
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::reconcile::events::{Note, reason as event};
use crate::reconcile::kind::{Kind, id_of, tenant_of};
use crate::reconcile::live::{self, Live};
use crate::reconcile::machinery::{DataPlaneView, Driver, Found, Machinery};
use crate::reconcile::progress::{Next, Progress};
use crate::reconcile::status::{self, Frame, compose, difference};

/// The operator's name in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "whatsapp-operator";

/// How long a kind's steps may take. Longer than two provider calls that time out.
const FIND_AND_ACT: Duration = Duration::from_secs(75);
/// How long reporting may take after that.
const REPORT: Duration = Duration::from_secs(15);
/// How soon to try again when the watch lags behind our own write.
const STALE: Duration = Duration::from_millis(100);
/// For how long transient failures are not reported on an object that was ready. A provider's bad minutes are not an
/// outage, because the data plane does not need the operator.
const TOLERATED: Duration = Duration::from_secs(300);

/// The kind's steps took too long.
#[derive(Debug, thiserror::Error)]
#[error("the provider did not answer in time; trying again")]
struct TookTooLong;
impl Explain for TookTooLong {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        reason::PROVIDER_UNAVAILABLE
    }
}

/// Reconciles one object. Never fails: errors are reported on the object.
pub async fn drive<K: Kind>(object: Arc<K>, driver: Arc<Driver<K>>) -> Result<Action, Infallible> {
    let machinery = &*driver.machinery;
    let uid = object.uid().unwrap_or_default();
    if !machinery.freshness.is_fresh(&uid, object.resource_version().as_deref()) {
        return Ok(Action::requeue(STALE));
    }
    // Kinds look each other up in the stores, which are incomplete until every kind is listed.
    machinery.listings.complete().await;
    // The semaphore is never closed: the machinery outlives its reconciles.
    let _permit = machinery.permits.acquire().await.ok();
    let begin = Instant::now();
    let mut progress = Progress::new(object.status().cloned().unwrap_or_default(), is_paused(&*object));
    let outcome = tokio::time::timeout(FIND_AND_ACT, Box::pin(run(&*object, &driver, &mut progress)))
        .await
        .unwrap_or_else(|_| Err(TookTooLong.into()));
    let ended = conclude(&*object, machinery, progress, &outcome, &uid).await;
    machinery.metrics.reconciled(K::NAME, ended.0, begin.elapsed());
    Ok(ended.1)
}

/// How the kind's steps ended, if they succeeded.
enum Done {
    /// The object is reported on, and looked at again.
    Look(Next),
    /// The object is deleted, so there is nothing to report on.
    Gone,
    /// Our finalizer changed, so the object is read again first.
    ReadAgain,
}

async fn run<K: Kind>(object: &K, driver: &Driver<K>, progress: &mut Progress<K::Status>) -> Result<Done, Failure> {
    let held = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if object.meta().deletion_timestamp.is_some() {
        if held && progress.paused {
            progress.not_ready(reason::PAUSED, &format!("deletion waits while the annotation {PAUSED} is set"));
            return Ok(Done::Look(Next::Poll));
        }
        if held {
            // The current deletion policy counts, not the one at the time when the finalizer was added.
            if object.needs_cleanup() {
                object.cleanup(&id_of(object)?, &driver.context, progress).await?;
            }
            set_finalizer(object, &driver.machinery, false).await?;
        }
        return Ok(Done::Gone);
    }
    if held != object.needs_cleanup() {
        set_finalizer(object, &driver.machinery, !held).await?;
        return Ok(Done::ReadAgain);
    }
    object.reconcile(&id_of(object)?, &driver.context, progress).await.map(Done::Look)
}

/// Adds or removes our finalizer. Fails if the object changed since it was read.
async fn set_finalizer<K: Kind>(object: &K, machinery: &Machinery, wanted: bool) -> Result<(), Failure> {
    let mut finalizers: Vec<&str> =
        object.finalizers().iter().map(String::as_str).filter(|finalizer| *finalizer != FINALIZER).collect();
    finalizers.extend(wanted.then_some(FINALIZER));
    let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() } });
    match api(object, machinery).patch(&object.name_any(), &params(), &Patch::Merge(patch)).await {
        Ok(written) => {
            machinery.freshness.wrote(&object.uid().unwrap_or_default(), written.resource_version().as_deref());
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(KubernetesFailure::new("the finalizer can't be written")(error).into()),
    }
}

/// Reports the outcome, and decides when to look again.
async fn conclude<K: Kind>(
    object: &K,
    machinery: &Machinery,
    mut progress: Progress<K::Status>,
    outcome: &Result<Done, Failure>,
    uid: &str,
) -> (Reconciled, Action) {
    let next = match outcome {
        Ok(Done::Gone) => {
            publish_all(object, machinery, progress.take_notes()).await;
            return (Reconciled::Changed, Action::await_change());
        }
        Ok(Done::ReadAgain) => return (Reconciled::Changed, Action::requeue(STALE)),
        Ok(Done::Look(next)) => Ok(next),
        Err(failure) => Err(failure),
    };
    let generation = object.meta().generation.unwrap_or(0);
    let before = object.status().and_then(|status| serde_json::to_value(status).ok()).unwrap_or_else(|| json!({}));
    let poll = || jittered(machinery.poll_interval, rand::random());
    let (again, lasting) = match next {
        Ok(next) => {
            machinery.attempts.forget(uid);
            let again = match next {
                Next::Poll => poll(),
                Next::After(after) => jittered(*after, rand::random()),
            };
            (again, Duration::ZERO)
        }
        Err(failure) => {
            let shown_for = shown_for(failure, &before, generation, machinery.clock.now());
            let failures = machinery.attempts.failed(uid, generation, Instant::now(), shown_for);
            let Failures { attempts, lasting } = failures;
            let again = match failure.advice() {
                Advice::Stalled => poll(),
                Advice::Waiting { after } => after.unwrap_or_else(poll),
                Advice::Transient { not_before } => delay(attempts, rand::random()).max(not_before.unwrap_or_default()),
            };
            log(object, failure, attempts, again);
            (again, lasting)
        }
    };
    let mut ended = match next {
        Err(_) => Reconciled::Error,
        Ok(_) if progress.has_changed() => Reconciled::Changed,
        Ok(_) => Reconciled::Unchanged,
    };
    let notes = progress.take_notes();
    if was_ready(&before, generation) && notes.iter().any(|note| K::PUTS_RIGHT.contains(&note.reason)) {
        machinery.metrics.repaired(K::NAME);
    }
    if tolerated(next.err(), lasting, &before, generation) {
        publish_all(object, machinery, notes).await;
        // Looks again when it is no longer tolerated, at the latest.
        return (ended, Action::requeue(again.min(TOLERATED.saturating_sub(lasting))));
    }

    let assessed = progress.assess(next.map(|_| ()), K::CONDITIONS);
    let found = Found { generation, paused: progress.paused, failed: next.is_err(), assessed };
    machinery.found.set(uid, found.clone());
    let is_ready = found.assessed.get(READY).is_some_and(|ready| ready.state == State::True);
    let is_news = progress.paused || (is_ready && !was_ready(&before, generation));
    let recorded = progress.recorded(before);
    match tokio::time::timeout(REPORT, report(object, machinery, &progress.status, found, &recorded)).await {
        Ok(Ok(written)) => {
            if written.is_some() && ended == Reconciled::Unchanged {
                ended = Reconciled::Changed;
            }
            publish_all(object, machinery, notes.into_iter().chain(written.flatten()).collect()).await;
            if is_news && let Some(tenant) = tenant_of(object) {
                // Replicas may have followed, or fallen behind, while this was written.
                machinery.publication.report_again(&tenant);
            }
            (ended, Action::requeue(again))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            // Another process wrote the status, or the object was made anew. What was done is found at the provider.
            publish_all(object, machinery, notes).await;
            (ended, Action::requeue(STALE))
        }
        failed => {
            let error = match failed {
                Ok(Err(error)) => crate::reconcile::redact::chain(&error),
                _ => format!("no answer within {REPORT:?}"),
            };
            tracing::warn!(
                kind = K::PLURAL,
                namespace = object.namespace(),
                name = object.name_any(),
                error,
                "the status can't be written; trying again"
            );
            let attempts = machinery.attempts.failed(uid, generation, Instant::now(), Duration::ZERO).attempts;
            (Reconciled::Error, Action::requeue(delay(attempts, rand::random())))
        }
    }
}

/// For how long the status has shown this failure.
fn shown_for(failure: &Failure, before: &Value, generation: i64, now: Timestamp) -> Duration {
    let shown = condition(before, READY).filter(|ready| {
        ready["status"] == "False" && ready["observedGeneration"] == generation && ready["reason"] == failure.reason()
    });
    let since: Option<Timestamp> = shown.and_then(|ready| ready["lastTransitionTime"].as_str()?.parse().ok());
    since.and_then(|since| now.duration_since(since).try_into().ok()).unwrap_or_default()
}

/// Whether a failure is not reported on the object yet.
fn tolerated(failure: Option<&Failure>, lasting: Duration, before: &Value, generation: i64) -> bool {
    let transient = failure.is_some_and(|failure| matches!(failure.advice(), Advice::Transient { .. }));
    transient && was_ready(before, generation) && lasting < TOLERATED
}

/// Whether the object was ready at this generation.
fn was_ready(before: &Value, generation: i64) -> bool {
    condition(before, READY).is_some_and(|ready| ready["status"] == "True" && ready["observedGeneration"] == generation)
}

pub(crate) fn is_paused<K: Kind>(object: &K) -> bool {
    object.annotations().get(PAUSED).is_some_and(|value| value == "true")
}

fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// Since when an object is not ready: since its creation if it never was; `None` if it is ready.
fn not_ready_since<K: Kind>(object: &K, before: &Value) -> Option<Timestamp> {
    let created = || object.creation_timestamp().map(|created| created.0);
    match condition(before, READY) {
        Some(ready) if ready["status"] == "True" => None,
        Some(ready) => ready["lastTransitionTime"].as_str().and_then(|time| time.parse().ok()).or_else(created),
        None => created(),
    }
}

/// What every object goes through on its way to ready: told by its conditions, and by an Event only if it was ready.
const ON_THE_WAY: [&str; 2] = [reason::PUBLISHING, reason::UNDER_REVIEW];

/// The Event for a change of `Ready`; `None` while it is unchanged.
fn change_of_ready(before: &Value, assessed: &Assessments, failed: bool) -> Option<Note> {
    let ready = assessed.get(READY)?;
    let old = condition(before, READY);
    let was = old.is_some_and(|old| old["status"] == "True");
    if ready.state == State::True {
        let text = if ready.message.is_empty() { "ready".to_owned() } else { ready.message.clone() };
        return (!was).then_some(Note { warning: false, reason: event::BECAME_READY, text });
    }
    let same = old.is_some_and(|old| old["reason"] == ready.reason && old["message"] == ready.message.as_str());
    let is_expected = !was && !failed && ON_THE_WAY.contains(&ready.reason);
    (!same && !is_expected).then(|| Note { warning: failed, reason: ready.reason, text: ready.message.clone() })
}

/// Reports an object again because the data plane follows or falls behind. Calls no provider. Returns whether it could:
/// not while the watch lags behind our own write.
pub async fn report_again<K: Kind>(object: &K, machinery: &Machinery) -> Result<bool, kube::Error> {
    let uid = object.uid().unwrap_or_default();
    // Most objects of a namespace have nothing to do with the change of another one, and there may be thousands.
    if machinery.found.is_reported(&uid, &view_of(object, machinery)) {
        return Ok(true);
    }
    let generation = object.meta().generation.unwrap_or(0);
    let Some(found) = machinery.found.get(&uid).filter(|found| {
        // Otherwise a reconcile is about to report what is newer.
        found.generation == generation && found.paused == is_paused(object)
    }) else {
        return Ok(true);
    };
    if !machinery.freshness.is_fresh(&uid, object.resource_version().as_deref()) {
        return Ok(false);
    }
    let Some(status) = object.status() else { return Ok(true) };
    let before = serde_json::to_value(status).unwrap_or_else(|_| json!({}));
    if let Some(Some(note)) = report(object, machinery, status, found, &before).await? {
        publish_all(object, machinery, vec![note]).await;
    }
    Ok(true)
}

/// Writes the status if it changed. Returns `None` when it did not, else the Event for a change of `Ready`, if any.
async fn report<K: Kind>(
    object: &K,
    machinery: &Machinery,
    status: &K::Status,
    found: Found,
    before: &Value,
) -> Result<Option<Option<Note>>, kube::Error> {
    let uid = object.uid().unwrap_or_default();
    let view = view_of(object, machinery);
    let DataPlaneView { data_plane, live } = &view;
    let Found { generation, paused, failed, assessed } = found;
    let was_ready = was_ready(before, generation);
    let assessed = live::correct(assessed, live.as_ref(), live::Before { was_ready, paused });
    let frame = Frame {
        owned: K::CONDITIONS,
        assessed: &assessed,
        generation,
        requested_at: object.annotations().get(RECONCILE_REQUESTED_AT).map(String::as_str),
        data_plane: data_plane.as_ref().map(|data_plane| json!(data_plane)),
        now: machinery.clock.now(),
    };
    let status = serde_json::to_value(status).unwrap_or_else(|_| json!({}));
    let Some(changes) = difference(before, &compose(before, status, &frame)) else {
        machinery.found.reported(&uid, &view);
        return Ok(None);
    };
    match write_status(object, machinery, before, &changes).await {
        Ok(written) => {
            machinery.freshness.wrote(&uid, written.resource_version().as_deref());
            machinery.found.reported(&uid, &view);
            let is_ready = assessed.get(READY).is_some_and(|ready| ready.state == State::True);
            if let Some(since) = not_ready_since(object, before).filter(|_| is_ready) {
                let after = machinery.clock.now().duration_since(since);
                machinery.metrics.became_ready(K::NAME, after.try_into().unwrap_or_default());
            }
            let is_refused = matches!(live, Some(Live::RefusedBySome { .. }));
            Ok(Some(change_of_ready(before, &assessed, failed || is_refused || assessed.contains_key(STALLED))))
        }
        // The object was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

fn view_of<K: Kind>(object: &K, machinery: &Machinery) -> DataPlaneView {
    let (name, publication) = (object.name_any(), &machinery.publication);
    let tenant = tenant_of(object);
    let data_plane = tenant.as_ref().and_then(|tenant| publication.status_of(K::NAME, tenant, &name));
    let live = tenant.as_ref().and_then(|tenant| publication.live(K::NAME, tenant, &name));
    DataPlaneView { data_plane, live }
}

/// How often a status is written over what something else than a status changed meanwhile.
const TRIES: u32 = 3;

/// Writes a status over the one that this process has seen or written last, and over no other: a process that was held
/// up must not undo what its successor recorded.
async fn write_status<K: Kind>(
    object: &K,
    machinery: &Machinery,
    before: &Value,
    changes: &Value,
) -> Result<PartialObjectMeta<K>, kube::Error> {
    let (uid, name) = (object.uid().unwrap_or_default(), object.name_any());
    let mut version = machinery.freshness.newest(&uid, object.resource_version().as_deref());
    let mut tried = 0;
    loop {
        let patch = json!({ "metadata": { "resourceVersion": version }, "status": changes });
        let refused = match api(object, machinery).patch_status(&name, &params(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(refused)) if refused.code == 409 => refused,
            other => return other,
        };
        tried += 1;
        let whole: Api<K> = Api::namespaced(machinery.client.clone(), &object.namespace().unwrap_or_default());
        let newest = whole.get(&name).await?;
        let recorded = newest.status().and_then(|status| serde_json::to_value(status).ok());
        let is_as_seen = newest.uid().as_deref() == Some(&uid)
            && status::found_in(recorded.as_ref().unwrap_or(&Value::Null)) == status::found_in(before);
        if !is_as_seen || tried == TRIES {
            return Err(kube::Error::Api(refused));
        }
        version = newest.resource_version();
    }
}

async fn publish_all<K: Kind>(object: &K, machinery: &Machinery, notes: Vec<Note>) {
    let about = object.object_ref(&());
    for note in notes {
        machinery.events.publish(&about, &note).await;
    }
}

fn log<K: Kind>(object: &K, failure: &Failure, attempts: u32, again: Duration) {
    let (namespace, name) = (object.namespace(), object.name_any());
    tracing::warn!(
        kind = K::PLURAL,
        namespace,
        name,
        reason = failure.reason(),
        error = failure.message(),
        attempts,
        ?again,
        "not reconciled"
    );
}

fn api<K: Kind>(object: &K, machinery: &Machinery) -> Api<PartialObjectMeta<K>> {
    Api::namespaced(machinery.client.clone(), &object.namespace().unwrap_or_default())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests;
