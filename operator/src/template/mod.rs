//! `MessageTemplate`: submits it to every account that needs it, follows its review, and keeps the approved revision
//! serving while a new one is reviewed.
//!
//! A reconcile reads as a list: [`mod@dereference`] (which accounts), [`mod@validate`] (what to submit, and under
//! which [`naming`]), [`mod@observe`] (what the accounts hold), [`mod@plan`] (what to do), [`mod@apply`] (do it and
//! [`record`] it), [`report`] (what it means), and [`mod@compile`] (what may be sent). `dereference` and `observe`
//! read; only [`hands`] change anything; the rest is pure. [`cleanup`] deletes the revisions of a deleted template.

mod adopt;
mod apply;
mod category;
pub(crate) mod claims;
mod cleanup;
mod compile;
pub(crate) mod dereference;
pub mod hands;
pub mod holders;
pub(crate) mod naming;
mod observe;
mod plan;
mod record;
mod report;
#[cfg(test)]
pub(crate) mod tests;
mod trouble;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use crds::condition::{APPROVED, SYNCED};
use crds::{DeletionPolicy, MessageTemplate, MessageTemplateStatus};
use messaging::clock::Clock;
use messaging::id::TemplateName;
use parking_lot::Mutex;

use self::adopt::NotAdoptable;
use self::hands::{RealHands, RecordIntents};
use self::holders::Holders;
use crate::metrics::KindName;
use crate::publish::{Contributions, DataPlane};
use crate::push::board::Board;
use crate::reconcile::error::Failure;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::sender::directory::SenderDirectory;
use crate::watch::Objects;

/// One template looks at the provider's list at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// # Errors
/// With every fault of a template that its reconcile would report, by its field's path.
pub(crate) fn check(template: &MessageTemplate) -> Result<(), String> {
    validate::validate(template).map(drop).map_err(|invalid| invalid.to_string())
}

/// What a template's reconcile needs.
pub struct TemplateContext {
    pub clock: Arc<dyn Clock>,
    /// How often a template is compared with its providers although nothing changed.
    pub poll_interval: Duration,
    /// How often the templates of an account are listed while one of them is under review.
    pub template_poll: Duration,
    pub board: Arc<Board>,
    pub directory: Arc<SenderDirectory>,
    pub templates: Arc<Objects<MessageTemplate>>,
    pub holders: Arc<Holders>,
    pub intents: Arc<dyn RecordIntents>,
    pub contributions: Arc<Contributions>,
    pub data_plane: Arc<DataPlane>,
}

impl Kind for MessageTemplate {
    type Name = TemplateName;
    type Context = TemplateContext;

    const NAME: KindName = KindName::Template;
    const PLURAL: &'static str = "messagetemplates";
    const CONDITIONS: &'static [&'static str] = &[SYNCED, APPROVED];
    const PUTS_RIGHT: &'static [&'static str] = &[apply::event::CREATED, apply::event::SUBMITTED];

    fn needs_cleanup(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Delete
    }

    async fn reconcile(
        &self,
        Id { tenant, name }: &Id<TemplateName>,
        context: &TemplateContext,
        progress: &mut Progress<MessageTemplateStatus>,
    ) -> Result<Next, Failure> {
        // The recorded revisions can be sent, whatever the rest of this reconcile does.
        context.contributions.set_template(tenant, name, compile::compile(&self.spec, &progress.status));

        let found = dereference::dereference(&context.directory, tenant, self).await;
        let desired = validate::validate(self)?;
        let (seen, trouble) = observe::observe(context, tenant, name, self, &desired, &found).await;
        let mut plan = plan::plan(&desired, &progress.status.locations, &seen);
        let look_again_at = plan.look_again_at;
        let (taken, refused) = (std::mem::take(&mut plan.taken), std::mem::take(&mut plan.refused));
        let hands = RealHands {
            clock: &*context.clock,
            intents: &*context.intents,
            template: self,
            recorded: Mutex::default(),
            accounts: &found.accounts,
        };
        let applied = apply::apply(&hands, &desired, plan, progress, seen.now).await;
        let verdict = report::assess(progress, &desired, &taken);
        context.contributions.set_template(tenant, name, compile::compile(&self.spec, &progress.status));

        // What needs a person is reported first, then what is missing, then what is transient.
        verdict?;
        if !refused.is_empty() {
            return Err(NotAdoptable(refused).into());
        }
        found.unresolved.map_or(Ok(()), Err)?;
        applied?;
        trouble.map_or(Ok(()), Err)?;
        let soon =
            look_again_at.map(|at| Duration::try_from(at.duration_since(seen.now)).unwrap_or_default().max(LOOK_AGAIN));
        let review = report::is_under_way(&progress.status).then_some(context.template_poll);
        Ok(soon.into_iter().chain(review).min().map_or(Next::Poll, Next::After))
    }

    async fn cleanup(
        &self,
        Id { tenant, name }: &Id<TemplateName>,
        context: &TemplateContext,
        progress: &mut Progress<MessageTemplateStatus>,
    ) -> Result<(), Failure> {
        // Nothing may be sent with a template that is about to be deleted.
        context.contributions.set_template(tenant, name, None);
        cleanup::cleanup(context, tenant, name, self, progress).await
    }

    fn forget(&self, context: &TemplateContext) {
        if let (Some(tenant), Some(name)) = (tenant_of(self), name_of(self)) {
            context.contributions.forget_template(&tenant, &name);
        }
    }
}
