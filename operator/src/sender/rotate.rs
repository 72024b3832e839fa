//! A sender's part in the rotation of its credentials.

use std::time::Duration;

use crds::condition::reason;
use crds::{WhatsAppSender, WhatsAppSenderStatus};
use messaging::config::{ProviderAccount, SenderConfig};
use messaging::id::SenderName;

use super::SenderContext;
use super::provider::SpecProvider;
use super::secret::Contents;
use super::validate::Desired;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::reconcile::kind::Id;
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
    // The Secret may be gone, or its token. The one that verified webhooks last may do everything.
    let kept = known.config.provider.webhook_key().map(|token| known.config.provider.called_with_token(token));
    let provider: ProviderAccount = kept.unwrap_or_else(|| known.config.provider.clone());
    let subject = Subject { tenant: tenant.clone(), secret };
    let contents = Contents::new();
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
