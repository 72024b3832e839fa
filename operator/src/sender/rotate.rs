//! A sender's part in the rotation of its credentials.

use std::time::Duration;

use crds::condition::reason;
use crds::{WhatsAppSender, WhatsAppSenderStatus};
use messaging::config::{ProviderAccount, SenderConfig};
use messaging::id::SenderName;
use messaging::provider::AccountAdmin as _;

use super::SenderContext;
use super::provider::SpecProvider;
use super::secret::Contents;
use super::validate::Desired;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::kind::{Id, tenant_of};
use crate::reconcile::progress::Progress;
use crate::rotation::records::Subject;
use crate::rotation::wish::Group;
use crate::rotation::{Turn, Turned};

/// How soon to look again whether the replicas have let go of a key.
const SOON: Duration = Duration::from_secs(2);

/// The replicas may still use a key that the operator made.
#[derive(Debug, thiserror::Error)]
#[error("the deletion waits until the rotated credentials are gone: {0}")]
struct StillInUse(String);

impl Explain for StillInUse {
    fn advice(&self) -> Advice {
        Advice::Waiting { after: Some(SOON) }
    }
    fn reason(&self) -> &'static str {
        reason::DELETING
    }
}

/// Goes on with the rotation, and puts the credentials to use into the config. Returns when to look again.
pub async fn rotate(
    sender: &WhatsAppSender,
    desired: &mut Desired,
    contents: &Contents,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<Option<Duration>, Failure> {
    // The API server admits no sender without a provider.
    let Some(spec) = SpecProvider::of(sender) else { return Ok(None) };
    let provider = desired.config.provider.clone();
    let turn = Turn {
        sender,
        subject: Subject { tenant: desired.tenant.clone(), secret: desired.secret.clone() },
        group: Group::of(sender, &context.watched.senders.stores.all()),
        provider: &provider,
        contents,
        token_keys: spec.token_keys(),
        now: context.clock.now(),
    };
    let Turned { provider, again, .. } = context.rotation.turn(&turn, progress).await?;
    desired.config.provider = provider;
    Ok(again)
}

/// Revokes the keys that the operator made for the last sender of a Secret, once no replica uses them.
pub async fn clean_up(
    sender: &WhatsAppSender,
    Id { tenant, name }: &Id<SenderName>,
    context: &SenderContext,
    progress: &mut Progress<WhatsAppSenderStatus>,
) -> Result<(), Failure> {
    let group = Group::of(sender, &context.watched.senders.stores.all());
    // Another sender of the Secret goes on with the rotation.
    if group.staying().next().is_some() || !group.is_led_by(sender) {
        return Ok(());
    }
    // Without accepted credentials no key was ever made.
    let (Some(spec), Some(known)) = (SpecProvider::of(sender), context.directory.find(tenant, name).await?) else {
        return Ok(());
    };
    let secret = spec.credentials_secret().to_owned();
    // The Secret may be gone, or its token.
    let provider = with_accepted_token(&known.config.provider, context).await?;
    let contents = context.secrets.read(tenant.as_str(), &secret).await?.unwrap_or_else(Contents::new);
    let subject = Subject { tenant: tenant.clone(), secret };
    let (token_keys, now) = (spec.token_keys(), context.clock.now());
    let turn = Turn { sender, subject, group, provider: &provider, contents: &contents, token_keys, now };
    let Turned { is_over, refused, .. } = context.rotation.turn(&turn, progress).await?;
    if is_over {
        return Ok(());
    }
    if let Some(why) = refused {
        // The account is closed, or its token was replaced. No retry could succeed, and the namespace could never be
        // deleted.
        tracing::warn!(%tenant, sender = %name, why, "keys that the operator made stay at the provider");
        return context.rotation.forget(&turn).await;
    }
    let config = SenderConfig { provider, ..known.config };
    context.contributions.set_sender(tenant, name, config);
    let standing = progress.status.rotation.as_ref().map(|rotation| rotation.summary.clone());
    Err(StillInUse(standing.unwrap_or_default()).into())
}

/// The account, called with the first of the tokens that verify its webhooks that the provider accepts: after a
/// promotion it is not the first of all. The token may do everything.
async fn with_accepted_token(
    provider: &ProviderAccount,
    context: &SenderContext,
) -> Result<ProviderAccount, StillInUse> {
    for token in provider.webhook_keys() {
        let mut with_token = provider.called_with_token(token);
        // The current one is the first.
        with_token.webhook_keys_mut().sort_by_key(|key| key != token);
        match context.accounts.get(&with_token).check_credentials().await {
            Ok(()) => return Ok(with_token),
            Err(error) if error.is_unauthorized() => {}
            Err(error) => return Err(StillInUse(error.to_string())),
        }
    }
    // It will be told that the provider refuses it.
    Ok(provider.webhook_key().map_or_else(|| provider.clone(), |token| provider.called_with_token(token)))
}

/// Forgets what this process knows about the rotation of a sender that is gone. Another sender of the Secret learns it
/// again.
pub fn forget(sender: &WhatsAppSender, context: &SenderContext) {
    if let (Some(tenant), Some(spec)) = (tenant_of(sender), SpecProvider::of(sender)) {
        let secret = spec.credentials_secret().to_owned();
        context.rotation.unrecorded.lock().remove(&Subject { tenant, secret });
    }
}
