//! What one reconcile has found so far, and the conditions that follow from it.
//!
//! A kind's steps record what they learn on the way, so an error in a late step does not hide what the earlier ones
//! found. The conditions at the end follow by the same rules for every kind.

use std::time::Duration;

use crds::condition::{READY, RECONCILING, STALLED, reason};
use serde_json::{Map, Value};

use crate::reconcile::conditions::{Assessment, Assessments, NOT_OBSERVED, State};
use crate::reconcile::error::{Advice, Failure};
use crate::reconcile::events::Note;

/// When to look again although nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// In the usual interval, to find drift.
    Poll,
    /// Sooner, because something is under way at the provider.
    After(Duration),
}

/// The findings of one reconcile. `S` is the kind's status.
#[derive(Debug, Clone)]
pub struct Progress<S> {
    /// The status to report, initially the previous one. Leave `conditions`, `observedGeneration`,
    /// `lastHandledReconcileAt` and `dataPlane` alone: the driver fills them in.
    pub status: S,
    /// Nothing may be written at the provider, because of the annotation `paused`. Observing and publishing continue.
    pub paused: bool,
    assessed: Assessments,
    /// Absent until the kind's steps have decided. Only they can say that an object is ready.
    verdict: Option<Assessment>,
    changed: bool,
    /// Fields of the status that were written on the way.
    written: Map<String, Value>,
    notes: Vec<Note>,
}

impl<S> Progress<S> {
    pub fn new(status: S, paused: bool) -> Self {
        let (assessed, written, notes) = (Assessments::new(), Map::new(), Vec::new());
        Self { status, paused, assessed, verdict: None, changed: false, written, notes }
    }

    /// Sets one of the kind's own conditions.
    pub fn set(&mut self, condition: &'static str, state: State, reason: &'static str, message: &str) {
        self.assessed.insert(condition, Assessment::new(state, reason, message));
    }

    /// Removes a condition that does not apply any more.
    pub fn withdraw(&mut self, condition: &'static str) {
        self.set(condition, State::Absent, NOT_OBSERVED, "");
    }

    /// Everything that the object asks for is done. `message` is that of `Ready`.
    pub fn ready(&mut self, message: &str) {
        self.verdict = Some(Assessment::new(State::True, reason::READY, message));
    }

    /// Nothing failed, and the object is not ready yet.
    pub fn not_ready(&mut self, reason: &'static str, message: &str) {
        self.verdict = Some(Assessment::new(State::False, reason, message));
    }

    /// Something was written at the provider; an Event reports it.
    pub fn changed(&mut self, reason: &'static str, text: impl Into<String>) {
        self.changed = true;
        self.tell(reason, text);
    }

    /// Something began or ended as it should; an Event reports it.
    pub fn tell(&mut self, reason: &'static str, text: impl Into<String>) {
        self.notes.push(Note { warning: false, reason, text: text.into() });
    }

    /// Something happened that a person should know of; an Event reports it.
    pub fn warn(&mut self, reason: &'static str, text: impl Into<String>) {
        self.notes.push(Note { warning: true, reason, text: text.into() });
    }

    /// A field of the status was written already, because it must survive a crash.
    pub fn wrote(&mut self, field: &str, value: Value) {
        self.written.insert(field.to_owned(), value);
    }

    /// The status as it is recorded by now, which was `before` when the reconcile began.
    pub fn recorded(&self, before: Value) -> Value {
        match before {
            Value::Object(mut fields) => {
                fields.extend(self.written.clone());
                Value::Object(fields)
            }
            other => other,
        }
    }

    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// The Events to publish.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The conditions that follow from how the reconcile ended. `owned` are the kind's own.
    pub fn assess(&self, outcome: Result<(), &Failure>, owned: &[&'static str]) -> Assessments {
        let mut all = self.assessed.clone();
        match outcome {
            Ok(()) => {
                let undecided =
                    || Assessment::new(State::Unknown, NOT_OBSERVED, "nothing was done for this object yet");
                let verdict = self.verdict.clone().unwrap_or_else(undecided);
                if verdict.state != State::True {
                    all.insert(RECONCILING, Assessment { state: State::True, ..verdict.clone() });
                }
                all.insert(READY, verdict);
            }
            Err(failure) => {
                let message = failure.message();
                let assess = |state| Assessment::new(state, failure.reason(), &message);
                all.insert(READY, assess(State::False));
                if let Some(condition) = failure.condition() {
                    all.insert(condition, assess(State::False));
                }
                let stalled = failure.advice() == Advice::Stalled;
                all.insert(if stalled { STALLED } else { RECONCILING }, assess(State::True));
                if !matches!(failure.advice(), Advice::Transient { .. }) {
                    // What was true before may have changed, and the next look is a whole interval away.
                    let unseen = format!("not checked: {message}");
                    for condition in owned {
                        all.entry(condition).or_insert_with(|| Assessment::new(State::Unknown, NOT_OBSERVED, &unseen));
                    }
                }
            }
        }
        if self.paused {
            let message =
                format!("nothing is changed at the provider while the annotation {} is set", crds::annotation::PAUSED);
            all.insert(RECONCILING, Assessment::new(State::True, reason::PAUSED, &message));
            // kstatus reads Stalled first, and paused is not stalled.
            all.remove(STALLED);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::error::Explain;

    const OWNED: &[&str] = &["CredentialsValid", "Online"];

    #[derive(Debug, thiserror::Error)]
    #[error("broken")]
    struct Broken(Advice);
    impl Explain for Broken {
        fn advice(&self) -> Advice {
            self.0
        }
        fn reason(&self) -> &'static str {
            "Broken"
        }
        fn condition(&self) -> Option<&'static str> {
            Some("CredentialsValid")
        }
    }

    fn summary(progress: &Progress<()>, outcome: &Result<(), Failure>) -> Vec<String> {
        progress
            .assess(outcome.as_ref().copied(), OWNED)
            .iter()
            .map(|(name, a)| format!("{name}={} {}", a.state.as_str(), a.reason))
            .collect()
    }

    #[test]
    fn each_outcome_reads_as_kstatus_expects() {
        let fresh = || Progress::new((), false);
        let failure = |advice| Err(Failure::from(Broken(advice)));
        let mut done = fresh();
        done.ready("");
        assert_eq!(summary(&done, &Ok(())), ["Ready=True Ready"]);

        let mut under_way = fresh();
        under_way.not_ready("UnderReview", "WhatsApp has not decided");
        assert_eq!(summary(&under_way, &Ok(())), ["Ready=False UnderReview", "Reconciling=True UnderReview"]);

        assert_eq!(
            summary(&fresh(), &failure(Advice::Stalled)),
            [
                "CredentialsValid=False Broken",
                "Online=Unknown NotObserved",
                "Ready=False Broken",
                "Stalled=True Broken"
            ],
        );
        assert_eq!(
            summary(&fresh(), &failure(Advice::Waiting { after: None })),
            [
                "CredentialsValid=False Broken",
                "Online=Unknown NotObserved",
                "Ready=False Broken",
                "Reconciling=True Broken"
            ],
        );
        // Conditions that were not checked stay unchanged, so that a transient failure does not make them all flap.
        assert_eq!(
            summary(&fresh(), &failure(Advice::Transient { not_before: None })),
            ["CredentialsValid=False Broken", "Ready=False Broken", "Reconciling=True Broken"],
        );
    }

    #[test]
    fn an_object_for_which_nothing_was_done_is_not_ready() {
        let undecided = summary(&Progress::new((), false), &Ok(()));
        assert_eq!(undecided, ["Ready=Unknown NotObserved", "Reconciling=True NotObserved"]);
    }

    #[test]
    fn a_pause_shows_whatever_the_outcome() {
        let mut paused = Progress::new((), true);
        paused.ready("");
        assert_eq!(summary(&paused, &Ok(())), ["Ready=True Ready", "Reconciling=True Paused"]);
        let stalled = summary(&paused, &Err(Failure::from(Broken(Advice::Stalled))));
        assert!(
            stalled.contains(&"Reconciling=True Paused".to_owned())
                && !stalled.iter().any(|c| c.starts_with("Stalled"))
        );
    }
}
