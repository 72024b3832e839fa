//! What one reconcile has found so far, and what that means for the conditions in the end.
//!
//! A kind's steps write down what they learn as they go, so that an error in a late step does not hide what the early
//! ones found. The judgement at the end is the same for every kind.

use crds::condition::{READY, RECONCILING, STALLED, reason};
use std::time::Duration;

use crate::reconcile::conditions::{Assessment, Assessments, NOT_OBSERVED, State};
use crate::reconcile::error::{Advice, Failure};
use crate::reconcile::events::Note;

/// When to look again although nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// In the usual interval, to find drift.
    Poll,
    /// Sooner, because something is on its way at the provider.
    After(Duration),
}

/// The notes of one reconcile. `S` is the kind's status.
#[derive(Debug, Clone)]
pub struct Progress<S> {
    /// The status to report. It begins as the last one. Leave `conditions`, `observedGeneration`,
    /// `lastHandledReconcileAt` and `dataPlane` alone: the driver fills them in.
    pub status: S,
    /// Nothing may be written at the provider, because of the annotation `paused`. Observing and publishing go on.
    pub paused: bool,
    assessed: Assessments,
    not_ready: Option<Assessment>,
    ready_message: String,
    changed: bool,
    notes: Vec<Note>,
}

impl<S> Progress<S> {
    pub fn new(status: S, paused: bool) -> Self {
        Self {
            status,
            paused,
            assessed: Assessments::new(),
            not_ready: None,
            ready_message: String::new(),
            changed: false,
            notes: Vec::new(),
        }
    }

    /// One of the kind's own conditions.
    pub fn set(&mut self, condition: &'static str, state: State, reason: &'static str, message: &str) {
        self.assessed.insert(condition, Assessment::new(state, reason, message));
    }

    /// All went well and the object is on its way, but not there.
    pub fn not_ready(&mut self, reason: &'static str, message: &str) {
        self.not_ready = Some(Assessment::new(State::False, reason, message));
    }

    /// What `Ready` says when all is well.
    pub fn ready_message(&mut self, message: &str) {
        message.clone_into(&mut self.ready_message);
    }

    /// Something was written at the provider; it is told as an Event.
    pub fn changed(&mut self, reason: &'static str, text: impl Into<String>) {
        self.changed = true;
        self.notes.push(Note { warning: false, reason, text: text.into() });
    }

    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// What is to be told as Events.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The conditions that follow from how the reconcile ended. `owned` are the kind's own.
    pub fn judge(&self, outcome: Result<(), &Failure>, owned: &[&'static str]) -> Assessments {
        let mut all = self.assessed.clone();
        match (outcome, &self.not_ready) {
            (Ok(()), None) => {
                all.insert(READY, Assessment::new(State::True, reason::READY, &self.ready_message));
            }
            (Ok(()), Some(why)) => {
                all.insert(READY, why.clone());
                all.insert(RECONCILING, Assessment { state: State::True, ..why.clone() });
            }
            (Err(failure), _) => {
                let message = failure.message();
                let assess = |state| Assessment::new(state, failure.reason(), &message);
                all.insert(READY, assess(State::False));
                if let Some(condition) = failure.condition() {
                    all.insert(condition, assess(State::False));
                }
                let stalled = failure.advice() == Advice::Stalled;
                all.insert(if stalled { STALLED } else { RECONCILING }, assess(State::True));
                if stalled {
                    // What was true before it broke may no longer be, and nobody will look.
                    let unseen = format!("not looked at: {message}");
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
            .judge(outcome.as_ref().copied(), OWNED)
            .iter()
            .map(|(name, a)| format!("{name}={} {}", a.state.as_str(), a.reason))
            .collect()
    }

    #[test]
    fn each_ending_is_what_kstatus_expects() {
        let fresh = || Progress::new((), false);
        let failure = |advice| Err(Failure::from(Broken(advice)));
        assert_eq!(summary(&fresh(), &Ok(())), ["Ready=True Ready"]);

        let mut on_its_way = fresh();
        on_its_way.not_ready("UnderReview", "WhatsApp has not decided");
        assert_eq!(summary(&on_its_way, &Ok(())), ["Ready=False UnderReview", "Reconciling=True UnderReview"]);

        assert_eq!(
            summary(&fresh(), &failure(Advice::Stalled)),
            [
                "CredentialsValid=False Broken",
                "Online=Unknown NotObserved",
                "Ready=False Broken",
                "Stalled=True Broken"
            ],
        );
        // What was not looked at is left as it was: trouble that passes must not make everything flap.
        assert_eq!(
            summary(&fresh(), &failure(Advice::Transient { not_before: None })),
            ["CredentialsValid=False Broken", "Ready=False Broken", "Reconciling=True Broken"],
        );
    }

    #[test]
    fn a_pause_can_be_seen_whatever_else_is_so() {
        let paused = Progress::new((), true);
        assert_eq!(summary(&paused, &Ok(())), ["Ready=True Ready", "Reconciling=True Paused"]);
        let stalled = summary(&paused, &Err(Failure::from(Broken(Advice::Stalled))));
        assert!(
            stalled.contains(&"Reconciling=True Paused".to_owned())
                && !stalled.iter().any(|c| c.starts_with("Stalled"))
        );
    }
}
