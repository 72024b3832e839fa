//! `MessageTemplate`: submitted to every account that needs it, followed through its review, and kept serving while a
//! new revision is reviewed.
//!
//! A reconcile reads as a list: [`mod@dereference`] (which accounts), [`mod@validate`] (what to submit, under which
//! [`naming`]), [`mod@observe`] (what the accounts hold), [`mod@plan`] (what to do), [`mod@apply`] (do it, [`record`] it),
//! [`report`] (what it means), and [`mod@compile`] (what may be sent). The first and the third read; only [`hands`] change
//! anything; the rest is pure.

mod apply;
mod cleanup;
mod compile;
mod dereference;
pub mod hands;
mod naming;
mod observe;
mod plan;
mod record;
mod report;
#[cfg(test)]
mod tests;
mod trouble;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use crds::condition::{APPROVED, SYNCED};
use crds::{DeletionPolicy, MessageTemplate, MessageTemplateStatus};
use messaging::clock::Clock;

use self::hands::{RealHands, RecordIntents};
use crate::metrics::KindName;
use crate::publish::{Contributions, DataPlane};
use crate::reconcile::error::Failure;
use crate::reconcile::kind::{Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::sender::directory::SenderDirectory;

/// The provider's list is not asked more often than this for one template.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What a template's reconcile may use.
pub struct TemplateContext {
    pub clock: Arc<dyn Clock>,
    /// How often a template is compared with its providers although nothing changed.
    pub poll_interval: Duration,
    /// How often the templates of an account are listed while one of them is under review.
    pub template_poll: Duration,
    pub directory: Arc<SenderDirectory>,
    pub intents: Arc<dyn RecordIntents>,
    pub contributions: Arc<Contributions>,
    pub data_plane: Arc<DataPlane>,
}

impl Kind for MessageTemplate {
    type Context = TemplateContext;

    const NAME: KindName = KindName::Template;
    const PLURAL: &'static str = "messagetemplates";
    const CONDITIONS: &'static [&'static str] = &[SYNCED, APPROVED];

    fn needs_cleanup(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Delete
    }

    async fn reconcile(
        &self,
        context: &TemplateContext,
        progress: &mut Progress<MessageTemplateStatus>,
    ) -> Result<Next, Failure> {
        let (Some(tenant), Some(name)) = (tenant_of(self), name_of(self)) else { return Ok(Next::Poll) };
        // What is recorded can be sent, whatever becomes of the rest.
        context.contributions.set_template(&tenant, &name, compile::compile(&self.spec, &progress.status));

        let found = dereference::dereference(&context.directory, &tenant, self).await;
        let desired = validate::validate(self)?;
        let (seen, trouble) = observe::observe(context, &tenant, self, &desired.names, &found).await;
        let plan = plan::plan(&desired, &progress.status.locations, &seen);
        let look_again_at = plan.look_again_at;
        let hands = RealHands { intents: &*context.intents, template: self, accounts: &found.accounts };
        let applied = apply::apply(&hands, &desired, plan, progress, seen.now).await;
        let judged = report::judge(progress, &desired);
        context.contributions.set_template(&tenant, &name, compile::compile(&self.spec, &progress.status));

        // What needs a person is told first, then what is missing, then what passes.
        judged?;
        found.unresolved.map_or(Ok(()), Err)?;
        applied?;
        trouble.map_or(Ok(()), Err)?;
        let soon =
            look_again_at.map(|at| Duration::try_from(at.duration_since(seen.now)).unwrap_or_default().max(LOOK_AGAIN));
        let review = report::is_on_its_way(&progress.status).then_some(context.template_poll);
        Ok(soon.into_iter().chain(review).min().map_or(Next::Poll, Next::After))
    }

    async fn cleanup(
        &self,
        context: &TemplateContext,
        progress: &mut Progress<MessageTemplateStatus>,
    ) -> Result<(), Failure> {
        let (Some(tenant), Some(name)) = (tenant_of(self), name_of(self)) else { return Ok(()) };
        // Nothing more is sent with what is about to go.
        context.contributions.set_template(&tenant, &name, None);
        cleanup::cleanup(context, &tenant, self, progress).await
    }

    fn forget(&self, context: &TemplateContext) {
        if let (Some(tenant), Some(name)) = (tenant_of(self), name_of(self)) {
            context.contributions.forget_template(&tenant, &name);
        }
    }
}
