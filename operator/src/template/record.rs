//! Records the outcome of a step in the locations of a template: pure.

use crds::{RevisionState, RevisionStatus, TemplateLocationStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::ProviderError;
use messaging::provider::admin::TemplateHandle;

use super::plan::Step;
use crate::reconcile::error::may_have_been_done;

/// The step, a creation, is about to be taken.
pub(super) fn intended(locations: &mut [TemplateLocationStatus], step: &Step, now: Timestamp) {
    if let Step::Create { account, language } = step
        && let Some(revision) = newest(locations, account, language)
    {
        revision.last_action_at = Some(Time(now));
    }
}

/// The revision was created.
pub(super) fn created(
    locations: &mut [TemplateLocationStatus],
    account: &str,
    language: &str,
    handle: &TemplateHandle,
) {
    if let Some(revision) = newest(locations, account, language) {
        revision.handle = Some(handle.clone());
        revision.state = RevisionState::Unsubmitted;
    }
}

/// The revision was submitted.
pub(super) fn submitted(locations: &mut [TemplateLocationStatus], account: &str, language: &str, now: Timestamp) {
    if let Some(revision) = newest(locations, account, language) {
        revision.state = RevisionState::Pending;
        revision.last_action_at = Some(Time(now));
    }
}

/// The creation failed. Unless the revision may exist all the same, the intent is withdrawn, and the next try need not
/// wait.
pub(super) fn not_created(
    locations: &mut [TemplateLocationStatus],
    account: &str,
    language: &str,
    error: &ProviderError,
) {
    if !may_have_been_done(error) {
        not_begun(locations, account, language);
    }
}

/// The step was not taken. The intent of a creation is withdrawn, so the next try need not wait.
pub(super) fn not_taken(locations: &mut [TemplateLocationStatus], step: &Step) {
    if let Step::Create { account, language } = step {
        not_begun(locations, account, language);
    }
}

fn not_begun(locations: &mut [TemplateLocationStatus], account: &str, language: &str) {
    if let Some(revision) = newest(locations, account, language) {
        revision.last_action_at = None;
    }
}

fn newest<'a>(
    locations: &'a mut [TemplateLocationStatus],
    account: &str,
    language: &str,
) -> Option<&'a mut RevisionStatus> {
    locations
        .iter_mut()
        .find(|location| location.account == account && location.language == language)
        .and_then(|location| location.newest.as_mut())
}
