//! Asks the provider about messages that no callback brought to an end.
//!
//! A message whose attempt has no known outcome is looked for in the provider's log; one that the provider has accepted
//! is looked up by its id. Nothing here sends anything.

use std::time::Duration;

use messaging::address::Address;
use messaging::clock::after;
use messaging::content::OutboundContent;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{MessageFilter, ProviderMessage};
use tokio_util::sync::CancellationToken;

use super::DispatchContext;
use super::evidence::Trace;
use super::settlement::{Answer, Awaited, settle};
use crate::config::Sender;
use crate::store::StoreError;
use crate::store::queue::{ClaimUnsettled, Fenced, Settle, Settlement, Unsettled};

/// Each look is one indexed read when there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 32;
/// Questions are asked one after another, and each may take a provider's whole time-out.
const LEASE: Duration = Duration::from_secs(20 * 60);
/// The sender is not configured; the message waits, as it would in the queue.
const WITHOUT_CONFIG: Duration = Duration::from_secs(5 * 60);

/// Settles what is unsettled.
pub struct Reconciler {
    context: DispatchContext,
}

impl Reconciler {
    pub fn new(context: DispatchContext) -> Self {
        Self { context }
    }

    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.turn().await {
                Ok(0) => LOOK_EVERY,
                Ok(_) => Duration::ZERO,
                Err(error) => {
                    tracing::error!(%error, "unsettled messages cannot be settled while the store fails");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks about every message whose time to be asked about has come; answers how many there were.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let DispatchContext { store, clock, options, .. } = &self.context;
        let now = clock.now();
        let claim =
            ClaimUnsettled { now, owner: options.owner.clone(), lease_until: after(now, LEASE), limit: AT_ONCE };
        let claimed = store.claim_unsettled(claim).await?;
        let n = claimed.len();
        for unsettled in claimed {
            self.settle(unsettled).await?;
        }
        Ok(n)
    }

    async fn settle(&self, unsettled: Unsettled) -> Result<(), StoreError> {
        let DispatchContext { store, configs, clock, metrics, options, .. } = &self.context;
        let tenant = configs.get(&unsettled.message.tenant);
        let sender = tenant.as_ref().and_then(|tenant| tenant.sender(&unsettled.message.sender));
        let (settlement, repair, sinks) = match sender {
            None => (Settlement::AskAgain { at: after(clock.now(), WITHOUT_CONFIG) }, None, Vec::new()),
            Some(sender) => {
                let asked = self.ask(&unsettled, &sender).await?;
                let awaited = Awaited {
                    status: unsettled.message.status,
                    attempt_started_at: unsettled.attempt_started_at,
                    asked: unsettled.asked,
                };
                let (settlement, repair) = settle(awaited, &asked.answer(), options, clock.now());
                (settlement, repair, sender.sinks())
            }
        };
        let reached = reached(&settlement, unsettled.message.status);
        let settle = Settle { claim: unsettled.reference(), now: clock.now(), settlement, sinks };
        // Lost: a callback came in the meantime, and settled it better.
        if store.settle(settle).await? == Fenced::Done {
            if let Some(repair) = repair {
                metrics.repaired(repair);
                tracing::info!(message = %unsettled.message.id, ?repair, "settled a message that no callback settled");
            }
            if let Some(status) = reached {
                metrics.message_reached(status);
            }
        }
        Ok(())
    }

    async fn ask(&self, unsettled: &Unsettled, sender: &Sender<'_>) -> Result<Asked, StoreError> {
        if let Some(id) = &unsettled.message.provider_message_id {
            return Ok(match sender.provider.lookup(id).await {
                Ok(found) => Asked::Found(found.into_iter().collect()),
                Err(error) => Asked::Silent(error.to_string()),
            });
        }
        let trace = trace(unsettled, sender);
        let filter = MessageFilter { from: trace.from.clone(), to: Some(trace.to.clone()), since: trace.since() };
        let log = match sender.provider.list(&filter).await {
            Ok(log) => log,
            Err(error) => return Ok(Asked::Silent(error.to_string())),
        };
        let ids: Vec<String> = log.iter().map(|message| message.provider_message_id.clone()).collect();
        let known = self.context.store.known_provider_message_ids(&unsettled.message.tenant, &ids).await?;
        let fits = trace.candidates(&log, |id| known.iter().any(|known| known == id));
        Ok(Asked::Found(fits.into_iter().cloned().collect()))
    }
}

/// What the provider said.
enum Asked {
    Found(Vec<ProviderMessage>),
    Silent(String),
}

impl Asked {
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Silent(reason) => Answer::Silent(reason.clone()),
            Self::Found(found) => match found.as_slice() {
                [] => Answer::HasNot,
                [one] => Answer::Has(one),
                several => Answer::Several(several.len()),
            },
        }
    }
}

fn trace(unsettled: &Unsettled, sender: &Sender<'_>) -> Trace {
    let message = &unsettled.message;
    let from = Address::Phone(sender.config.phone_number.clone());
    Trace {
        to: message.to.clone(),
        from: message.messaging_service_sid.is_none().then_some(from),
        body: match &unsettled.content {
            Some(OutboundContent::Text { body }) => Some(body.clone()),
            Some(OutboundContent::Media { .. } | OutboundContent::Template { .. }) | None => None,
        },
        started_at: unsettled.attempt_started_at,
    }
}

fn reached(settlement: &Settlement, before: MessageStatus) -> Option<MessageStatus> {
    match settlement {
        Settlement::Found { status, .. } | Settlement::Ended { status, .. } if *status > before => Some(*status),
        _ => None,
    }
}
