//! Asks the provider about messages that no callback brought to an end.
//!
//! A message whose attempt has no known outcome is looked for in the provider's log; one that the provider has accepted
//! is looked up by its id. Nothing here sends anything.

use std::sync::Arc;
use std::time::Duration;

use messaging::address::Address;
use messaging::clock::after;
use messaging::content::OutboundContent;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{MessageFilter, ProviderMessage};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::DispatchContext;
use super::evidence::Trace;
use super::settlement::{Answer, Awaited, settle};
use crate::config::Sender;
use crate::store::StoreError;
use crate::store::queue::{ClaimUnsettled, Fenced, Settle, Settlement, Unsettled};

/// Each look is one indexed read when there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Questions to providers at once. One that does not answer holds up only those about its own messages.
const AT_ONCE: usize = 64;
/// A question may take a provider's whole time-out, and it reads every page of an answer.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// The sender is not configured; the message waits, as it would in the queue.
const WITHOUT_CONFIG: Duration = Duration::from_secs(5 * 60);

/// Settles what is unsettled.
pub struct Reconciler {
    inquirer: Arc<Inquirer>,
    questions: JoinSet<()>,
}

struct Inquirer {
    context: DispatchContext,
}

impl Reconciler {
    pub fn new(context: DispatchContext) -> Self {
        Self { inquirer: Arc::new(Inquirer { context }), questions: JoinSet::new() }
    }

    /// Looks until told to stop. Questions that are open then are given up: nothing is lost by asking again.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
                Some(ended) = self.questions.join_next() => question_ended(ended),
            }
            if let Err(error) = self.turn().await {
                tracing::error!(%error, "unsettled messages cannot be settled while the store fails");
            }
        }
    }

    /// Begins to ask about the messages whose time to be asked about has come.
    pub async fn turn(&mut self) -> Result<(), StoreError> {
        let DispatchContext { store, clock, options, .. } = &self.inquirer.context;
        let now = clock.now();
        let limit = u32::try_from(AT_ONCE.saturating_sub(self.questions.len())).unwrap_or(0);
        if limit == 0 {
            return Ok(());
        }
        let claim = ClaimUnsettled { now, owner: options.owner.clone(), lease_until: after(now, LEASE), limit };
        for unsettled in store.claim_unsettled(claim).await? {
            let inquirer = Arc::clone(&self.inquirer);
            self.questions.spawn(async move {
                let message = unsettled.message.id;
                if let Err(error) = inquirer.settle(unsettled).await {
                    tracing::error!(%message, %error, "an unsettled message could not be settled; it is asked about again");
                }
            });
        }
        Ok(())
    }

    /// Waits until no question is open.
    pub async fn settle_down(&mut self) {
        while let Some(ended) = self.questions.join_next().await {
            question_ended(ended);
        }
    }
}

/// A question that panicked wrote nothing; when its lease ends it is asked again.
fn question_ended(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "asking about a message ended abnormally; it is asked about again");
    }
}

impl Inquirer {
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
