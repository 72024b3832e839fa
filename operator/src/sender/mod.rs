//! `WhatsAppSender`: checks its credentials, finds it at the provider, and points the provider's webhooks at the data
//! plane.
//!
//! A reconcile reads as a list: [`mod@dereference`] (the Secrets it names), [`mod@validate`] (what it should be),
//! [`mod@observe`] (what the provider has), [`mod@plan`] (what to do), [`mod@apply`] (do it) and [`mod@report`] (what
//! it means). [`rival`] decides between senders that claim the same number, [`directory`] looks senders up for other
//! kinds, and [`credentials`] triggers a reconcile when one of a sender's Secrets changes.
//!
//! Nothing here registers or gives up the number itself, or sends a message.

pub mod apply;
pub mod credentials;
pub mod dereference;
pub mod directory;
pub mod invalid;
pub mod observe;
pub mod owner;
pub mod plan;
pub mod provider;
pub mod report;
pub mod rival;
pub mod secret;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use self::dereference::ReadSecrets;
use self::directory::SenderDirectory;
use self::owner::PoolOwners;
use self::provider::BaseUrls;
use crate::watch::Watched;
use crate::watch::edges::Awaited as _;
use crds::condition::{CREDENTIALS_VALID, ONLINE, WEBHOOKS_CONFIGURED};
use crds::{DeletionPolicy, WhatsAppSender, WhatsAppSenderStatus};
use kube::ResourceExt;
use messaging::clock::Clock;
use messaging::config::SenderConfig;
use messaging::id::{SenderName, TenantId};
use messaging::provider::AccountAdmin;
use observe::Observed;
use plan::{Plan, Publish, Wanted};
use url::Url;
use validate::Desired;

use crate::accounts::Accounts;
use crate::metrics::KindName;
use crate::publish::{Contributions, Observer};
use crate::reconcile::error::Failure;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};

/// How soon to look again after a change: some providers accept a change at once and show it later.
const LOOK_AFTER_CHANGE: Duration = Duration::from_secs(30);

/// What a sender's reconcile needs.
pub struct SenderContext {
    pub settings: SenderSettings,
    pub secrets: Arc<dyn ReadSecrets>,
    pub accounts: Arc<Accounts>,
    pub contributions: Arc<Contributions>,
    pub directory: Arc<SenderDirectory>,
    pub watched: Watched,
    pub owners: Arc<dyn PoolOwners>,
    pub clock: Arc<dyn Clock>,
}

/// The settings that a sender depends on.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    /// The public URL of the data plane's webhook listener.
    pub public_base_url: Url,
    pub provider_base_urls: BaseUrls,
    /// How often a sender is compared with its provider although nothing changed.
    pub poll_interval: Duration,
}

impl Kind for WhatsAppSender {
    type Name = SenderName;
    type Context = SenderContext;

    const NAME: KindName = KindName::Sender;
    const PLURAL: &'static str = "whatsappsenders";
    const CONDITIONS: &'static [&'static str] = &[CREDENTIALS_VALID, ONLINE, WEBHOOKS_CONFIGURED];

    /// With `Retain`, webhooks at the provider stay as they are.
    fn needs_cleanup(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Delete
    }

    async fn reconcile(
        &self,
        id: &Id<SenderName>,
        context: &SenderContext,
        progress: &mut Progress<WhatsAppSenderStatus>,
    ) -> Result<Next, Failure> {
        // Needs the cluster.
        let found = dereference::dereference(self, &*context.secrets).await?;
        // Needs nothing.
        let desired = validate::validate(self, id, &found, &context.settings)?;
        // Needs the provider.
        let account = context.accounts.get(&desired.config.provider);
        let max_age = context.settings.poll_interval / 2;
        let observed = observe::observe(&desired, &account, max_age, progress).await?;
        // Needs the cluster.
        let pool_owner = claim_pool(self, &desired, &observed, context).await?;
        // Needs nothing.
        let wanted = wanted(self, &desired, &*account, context, pool_owner, progress.paused);
        let Plan { webhooks, publish, trouble } = plan::plan(&wanted, &observed);
        // Needs the provider.
        let applied = apply::apply(&webhooks, &observed, &*account, progress).await;
        // Needs nothing.
        report::report(desired.config.provider.provider(), &observed, &webhooks, applied.is_ok(), progress);
        if publish != Publish::No {
            let paused = desired.config.paused || publish == Publish::Stopped;
            let config = SenderConfig { paused, ..desired.config };
            let observer = Observer::Sender(desired.name.clone());
            context.contributions.set_pools(&desired.tenant, &observer, observed.pools());
            if context.contributions.set_sender(&desired.tenant, &desired.name, config) {
                self.wake_waiting(&context.watched);
            }
        }
        applied?;
        trouble.map_or(Ok(()), Err)?;
        let poll = context.settings.poll_interval;
        Ok(if progress.has_changed() { Next::After(LOOK_AFTER_CHANGE.min(poll)) } else { Next::Poll })
    }

    /// Unsets the sender's own webhooks that still point to us.
    ///
    /// A Messaging Service's webhooks are left as they are. Without an inbound URL Twilio drops what customers write
    /// to any sender of the service, and does not even log it.
    async fn cleanup(
        &self,
        id: &Id<SenderName>,
        context: &SenderContext,
        progress: &mut Progress<WhatsAppSenderStatus>,
    ) -> Result<(), Failure> {
        apply::clean_up(self, id, context, progress).await
    }

    fn forget(&self, context: &SenderContext) {
        if let (Some(tenant), Some(name)) = (tenant_of(self), name_of::<_, SenderName>(self)) {
            context.contributions.forget_sender(&tenant, &name);
        }
    }
}

/// The other namespace that owns the pool of a sender, if any.
async fn claim_pool(
    sender: &WhatsAppSender,
    desired: &Desired,
    observed: &Observed,
    context: &SenderContext,
) -> Result<Option<TenantId>, Failure> {
    let Some(service) = &observed.service else { return Ok(None) };
    let older = rival::older_elsewhere(sender, &context.watched.senders.stores.all());
    let now = context.clock.now();
    Ok(owner::claim(&*context.owners, &service.id, &desired.tenant, older.as_ref(), now).await?)
}

/// What a sender's plan depends on besides the observation.
fn wanted(
    sender: &WhatsAppSender,
    desired: &Desired,
    account: &dyn AccountAdmin,
    context: &SenderContext,
    pool_owner: Option<TenantId>,
    paused: bool,
) -> Wanted {
    let all = context.watched.senders.stores.all();
    let targets = |of: &SenderName| apply::targets(account, &context.settings, &desired.tenant, of);
    let bearer = rival::bearer(sender, &all).parse().unwrap_or_else(|_| desired.name.clone());
    let taken_by = rival::first(sender, &all).map(|first| {
        // The names of another tenant's objects are not disclosed.
        if first.namespace() == sender.namespace() {
            format!("the WhatsAppSender {:?}", first.name_any())
        } else {
            "a WhatsAppSender of another namespace".to_owned()
        }
    });
    Wanted {
        own: targets(&desired.name),
        of_service: targets(&bearer),
        pool: desired.pool.clone(),
        pool_owner,
        paused,
        taken_by,
    }
}
