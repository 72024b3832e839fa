//! `WhatsAppSender`: checks its credentials, finds it at the provider, and points the provider's webhooks at the data
//! plane.
//!
//! A reconcile reads as a list: [`mod@dereference`] (the Secrets it names), [`mod@validate`] (what it should be),
//! [`mod@observe`] (what the provider has), [`mod@plan`] (what to do), [`mod@apply`] (do it) and [`mod@report`] (what
//! it means). [`mod@rotate`] lets the sender take part in the rotation of its credentials, and [`retiring`] keeps
//! replaced webhook keys for a time. [`mod@sandbox`] is the provider's number for trying things out.
//! [`mod@registration`] registers its number with WhatsApp, and [`mod@membership`] keeps it in the Messaging Service
//! that it names. [`alerts`] and [`changes`] tell what happens to a sender at its provider. [`rival`] decides between
//! senders that claim the same number, [`directory`] looks senders up for other kinds, and [`credentials`] triggers a
//! reconcile when one of a sender's Secrets changes.
//!
//! Nothing here gives up the number itself, or sends a message.

pub mod alerts;
pub mod apply;
pub mod changes;
pub mod credentials;
pub mod dereference;
pub mod directory;
pub mod grant;
pub mod invalid;
pub mod membership;
pub mod observe;
pub mod owner;
pub mod plan;
pub mod provider;
pub mod registration;
pub mod report;
pub mod retiring;
pub mod rival;
pub mod rotate;
pub mod sandbox;
pub mod secret;
#[cfg(test)]
pub(crate) mod testing;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use self::dereference::ReadSecrets;
use self::directory::SenderDirectory;
use self::membership::record::RecordMembership;
use self::membership::{Seen, Wish};
use self::owner::PoolOwners;
use self::provider::BaseUrls;
use self::registration::record::RecordRegistration;
use self::retiring::{Accepted, Before, Ends};
use crate::watch::Watched;
use crate::watch::edges::Awaited as _;
use crds::condition::{CREDENTIALS_VALID, ONLINE, PROVIDER_ALERTS, WEBHOOKS_CONFIGURED};
use crds::{DeletionPolicy, SandboxStatus, WhatsAppSender, WhatsAppSenderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use messaging::clock::Clock;
use messaging::config::{SenderConfig, SinkConfig};
use messaging::id::{PoolId, SenderName, TenantId};
use messaging::provider::AccountAdmin;
use messaging::provider::admin::{PoolObservation, Stage, WebhookTargets};
use messaging::public_address::is_private;
use observe::Observed;
use plan::{Plan, Publish, Trouble, Wanted, Webhooks};
use url::Url;
use validate::Desired;

use crate::accounts::Accounts;
use crate::metrics::KindName;
use crate::publish::{Contributions, Observer};
use crate::push::{self, Push};
use crate::reconcile::error::Failure;
use crate::reconcile::events;
use crate::reconcile::kind::{Id, Kind, name_of, tenant_of};
use crate::reconcile::progress::{Next, Progress};
use crate::rotation::Rotation;

/// How soon to look again after a change: some providers accept a change at once and show it later.
const LOOK_AFTER_CHANGE: Duration = Duration::from_secs(30);

/// How old the provider's word may be that it accepts the credentials.
const CHECKED: Duration = Duration::from_secs(30);

/// How old a list may be that something is done or reported about.
const FRESH: Duration = Duration::from_secs(2);

/// What a sender's reconcile needs.
pub struct SenderContext {
    pub settings: SenderSettings,
    pub secrets: Arc<dyn ReadSecrets>,
    pub accounts: Arc<Accounts>,
    pub contributions: Arc<Contributions>,
    pub directory: Arc<SenderDirectory>,
    pub watched: Watched,
    pub owners: Arc<dyn PoolOwners>,
    pub ends: Ends,
    pub rotation: Rotation,
    pub push: Push,
    pub memberships: Arc<dyn RecordMembership>,
    pub registrations: Arc<dyn RecordRegistration>,
    pub clock: Arc<dyn Clock>,
}

/// The settings that a sender depends on.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    /// The public URL of the data plane's webhook listener.
    pub public_base_url: Url,
    pub provider_base_urls: BaseUrls,
    /// Whether the data plane delivers events to private addresses.
    pub allow_private_sinks: bool,
    /// How often a sender is compared with its provider although nothing changed.
    pub poll_interval: Duration,
}

impl Kind for WhatsAppSender {
    type Name = SenderName;
    type Context = SenderContext;

    const NAME: KindName = KindName::Sender;
    const PLURAL: &'static str = "whatsappsenders";
    const CONDITIONS: &'static [&'static str] = &[CREDENTIALS_VALID, ONLINE, WEBHOOKS_CONFIGURED, PROVIDER_ALERTS];
    const PUTS_RIGHT: &'static [&'static str] = &[events::reason::WEBHOOKS_CONFIGURED];

    /// With `Retain`, webhooks at the provider stay as they are. Keys and streams that the operator made never stay.
    fn needs_cleanup(&self) -> bool {
        let has_keys = self.status.as_ref().is_some_and(|status| status.rotation.is_some());
        let has_stream = push::act::needs_cleanup(self);
        self.spec.deletion_policy == DeletionPolicy::Delete
            || self.spec.credential_rotation.is_some()
            || has_keys
            || has_stream
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
        let mut desired = validate::validate(self, id, &found, &context.settings)?;
        // Needs the provider.
        let ages = ages(self, context.settings.poll_interval);
        observe::check(&mut desired, &context.accounts, ages.check, progress).await?;
        // Needs the cluster and the provider.
        let rotated = rotate::rotate(self, &mut desired, &found.credentials, context, progress).await?;
        let account = context.accounts.get(&desired.config.provider);
        // Needs the cluster, after a restart.
        let old_keys_until = keep_old_keys(&mut desired, id, context, progress).await?;
        let (mut observed, mut plan, mut of_service) =
            (Observed::default(), Plan::default(), WebhookTargets::default());
        for max_age in ages.lists {
            observed = match observe::observe(&desired, &account, max_age).await {
                Err(refused) if refused.is_refusal() && !ages.check.is_zero() => {
                    // They may be refused since they were checked, and that comes first.
                    observe::check(&mut desired, &context.accounts, Duration::ZERO, progress).await?;
                    return Err(refused.into());
                }
                seen => seen?,
            };
            // Needs the cluster.
            let pool_of_another = pool_of_another(self, &desired, &observed, context).await?;
            // Needs nothing.
            let wanted = wanted(self, &desired, &*account, context, pool_of_another, progress.paused);
            plan = plan::plan(&wanted, &observed);
            of_service = wanted.of_service;
            if plan.is_nothing() {
                break;
            }
        }
        let Plan { webhooks, publish, trouble } = plan;
        let provider = desired.config.provider.clone();
        let wish = Wish { pool: desired.pool.clone(), is_managed: desired.manages_membership, of_service };
        tell_changes(&observed, context.clock.now(), progress);
        // Needs the provider.
        let own = apply::targets(&*account, &context.settings, &desired.tenant, &desired.name);
        let number = registration::Wish {
            number: desired.number.clone(),
            registration: desired.registration.clone(),
            webhooks: own.clone(),
            keys: desired.config.provider.webhook_keys().to_vec(),
        };
        let max_age = context.settings.poll_interval / 2;
        alerts::follow(&account, max_age, &own, &observed, context.clock.now(), progress).await;
        // Needs the provider.
        let applied = apply::apply(&webhooks, &observed, &*account, progress).await;
        // Needs nothing.
        progress.status.sandbox = sandbox_status(&desired, &webhooks);
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
        // Needs the provider and the cluster. The data plane must know the sender, and nothing else depends on it.
        let pushed = push::act::configure(self, id, &provider, context, progress).await;
        applied?;
        // Needs the provider and the cluster.
        let seen = Seen { observed: &observed, webhooks: &webhooks, trouble: trouble.as_ref() };
        let moved = membership::follow(self, &wish, seen, &account, context, progress).await?;
        // Needs the provider and the cluster.
        let seen = (&observed, trouble.as_ref());
        let following = registration::follow(self, &number, seen, &account, context, progress);
        let registered = Box::pin(following).await?;
        let is_resolved = |trouble: &Trouble| {
            (moved.is_some() && membership::resolves(trouble))
                || (registered.is_some() && registration::resolves(trouble))
        };
        if let Some(trouble) = trouble.filter(|trouble| !is_resolved(trouble)) {
            return Err(trouble.into());
        }
        let old_keys_end = old_keys_until.and_then(|until| until.duration_since(context.clock.now()).try_into().ok());
        let after_change = progress.has_changed().then_some(LOOK_AFTER_CHANGE);
        let soonest = [old_keys_end, rotated, pushed, moved, registered, after_change].into_iter().flatten().min();
        let poll = context.settings.poll_interval;
        Ok(soonest.filter(|soonest| *soonest < poll).map_or(Next::Poll, Next::After))
    }

    /// Revokes the keys that the operator made, takes the sender out of the Messaging Service that the operator added
    /// it to, and unsets the sender's own webhooks that still point to us.
    ///
    /// A Messaging Service's webhooks are left as they are. Without an inbound URL Twilio drops what customers write
    /// to any sender of the service, and does not even log it.
    async fn cleanup(
        &self,
        id: &Id<SenderName>,
        context: &SenderContext,
        progress: &mut Progress<WhatsAppSenderStatus>,
    ) -> Result<(), Failure> {
        push::act::clean_up(self, id, context, progress).await?;
        rotate::clean_up(self, id, context, progress).await?;
        if self.spec.deletion_policy == DeletionPolicy::Retain {
            return Ok(());
        }
        membership::clean_up(self, id, context, progress).await?;
        apply::clean_up(self, id, context, progress).await
    }

    fn forget(&self, context: &SenderContext) {
        if let (Some(tenant), Some(name)) = (tenant_of(self), name_of::<_, SenderName>(self)) {
            context.contributions.forget_sender(&tenant, &name);
        }
        push::act::forget(self, context);
        rotate::forget(self, context);
    }
}

/// How old what the senders of an account share may be.
struct Ages {
    /// That the credentials are accepted.
    check: Duration,
    /// The lists, at the first look and at the next. Nothing is written, and nothing is reported, on the word of an old
    /// one.
    lists: Vec<Duration>,
}

fn ages(sender: &WhatsAppSender, poll_interval: Duration) -> Ages {
    let requested = sender.annotations().get(crds::annotation::RECONCILE_REQUESTED_AT);
    let handled = sender.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    if requested.is_some() && requested != handled {
        return Ages { check: Duration::ZERO, lists: vec![Duration::ZERO] };
    }
    Ages { check: CHECKED.min(poll_interval / 2), lists: vec![poll_interval / 2, FRESH] }
}

/// Lets the webhook keys verify that were replaced a short time ago, and tells until when.
async fn keep_old_keys(
    desired: &mut Desired,
    id: &Id<SenderName>,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<Option<Timestamp>, Failure> {
    let known = context.directory.find(&desired.tenant, &desired.name).await?;
    let before = known.iter().flat_map(|known| known.config.provider.webhook_keys()).cloned().collect::<Vec<_>>();
    let told = progress.status.old_webhook_keys_until.as_ref().map(|until| until.0);
    let current = desired.config.provider.webhook_keys_mut();
    let before = Before { keys: &before, until: told };
    let Accepted { keys, until, is_news } = retiring::accepted(id, current, before, &context.ends, context.clock.now());
    *current = keys;
    if let Some(until) = until.filter(|_| is_news) {
        let text = format!("webhooks that are signed with the key before are accepted until {until}");
        progress.tell(events::reason::WEBHOOK_KEY_REPLACED, text);
    }
    progress.status.old_webhook_keys_until = until.map(Time);
    Ok(until)
}

/// The pool of a sender that another namespace owns, and that namespace. A pool that the spec names is claimed.
async fn pool_of_another(
    sender: &WhatsAppSender,
    desired: &Desired,
    observed: &Observed,
    context: &SenderContext,
) -> Result<Option<(PoolId, TenantId)>, Failure> {
    let (owners, now) = (&*context.owners, context.clock.now());
    if let Some(PoolObservation { id, .. }) = &observed.service {
        let older = rival::older_elsewhere(sender, &context.watched.senders.stores.all());
        if let Some(owner) = owner::claim(owners, id, &desired.tenant, older.as_ref(), now).await? {
            return Ok(Some((id.clone(), owner)));
        }
    }
    if let Some(PoolObservation { id, .. }) = &observed.unnamed_service {
        let owner = owner::other_owner(owners, id, &desired.tenant, now).await?;
        return Ok(owner.map(|owner| (id.clone(), owner)));
    }
    Ok(None)
}

/// Tells what changed at the provider since it was told last.
fn tell_changes(observed: &Observed, now: Timestamp, progress: &mut Progress<WhatsAppSenderStatus>) {
    // A registration is told of elsewhere.
    let Some(sender) = observed.sender.as_ref().filter(|sender| sender.stage == Stage::Settled) else { return };
    let (told, changes) = changes::changes(progress.status.told.as_ref(), sender, now);
    progress.status.told = Some(told);
    for changes::Change { is_bad, text } in changes {
        if is_bad {
            progress.warn(events::reason::SENDER_CHANGED, text);
        } else {
            progress.tell(events::reason::SENDER_CHANGED, text);
        }
    }
}

/// How to use the provider's sandbox, where the sender is that.
fn sandbox_status(desired: &Desired, webhooks: &Webhooks) -> Option<SandboxStatus> {
    let (Some(sandbox), Webhooks::ByHand(targets)) = (&desired.sandbox, webhooks) else { return None };
    Some(sandbox::status(&desired.number, sandbox.join_code.as_deref(), targets))
}

/// The index and the host of the first sink that the data plane never calls, because its address is a private one.
fn private_sink(config: &SenderConfig, settings: &SenderSettings) -> Option<(usize, String)> {
    let mut urls = config.events.iter().map(|SinkConfig::Http(http)| &http.url).enumerate();
    let private = urls.find(|(_, url)| !settings.allow_private_sinks && is_private(url));
    private.map(|(index, url)| (index, url.host_str().unwrap_or_default().to_owned()))
}

/// What a sender's plan depends on besides the observation.
fn wanted(
    sender: &WhatsAppSender,
    desired: &Desired,
    account: &dyn AccountAdmin,
    context: &SenderContext,
    pool_of_another: Option<(PoolId, TenantId)>,
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
        pool_of_another,
        is_sandbox: desired.sandbox.is_some(),
        private_sink: private_sink(&desired.config, &context.settings),
        paused,
        taken_by,
    }
}

#[cfg(test)]
mod tests;
