//! What is known about one contact of one sender: when they last wrote, what they agreed to, and what keeps messages
//! from them.
//!
//! This only keeps the facts; [`crate::policy`] decides what follows from them. The facts arrive late, repeated and out
//! of order, so each is a register that keeps its latest value. Any order and repetition of the same facts leaves the
//! same state, and two states of one person can be [joined](ContactState::join).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::opt_out::OptChange;

/// How long a contact counts as unreachable. Numbers join WhatsApp, so a refused one is worth another try after this.
pub const UNREACHABLE_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a contact counts as having blocked the sender, unless they write before. Providers do not report an
/// unblock.
pub const BLOCKED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Everything that policy must know about a contact. The default is a contact about whom nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct ContactState {
    /// When the contact last wrote; it opens the 24-hour window.
    pub last_inbound_at: Option<Timestamp>,
    pub consent: Option<ConsentRecord>,
    /// The latest cause of each reason to suppress the contact, whether it still holds or not.
    causes: BTreeMap<SuppressionReason, Cause>,
    /// When the contact last sent a start keyword.
    started_at: Option<Timestamp>,
    /// The tenant's latest word that the contact may be written to again. It does not undo an opt-out.
    lifted: Option<Lift>,
    /// The latest stop keyword that is recorded and has not taken effect yet. It suppresses already.
    heard: Option<Heard>,
}

/// Why the contact was suppressed, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Cause {
    at: Timestamp,
    detail: String,
}

/// A stop keyword that was heard and has not taken effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    /// What it will be the cause of.
    cause: Cause,
    /// When it was said, as far as the provider tells; else when its webhook was received, by the clock of the replica
    /// that received it.
    received_at: Timestamp,
}

/// A state as the store keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_inbound_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentRecord>,
    /// What replicas of the version before read and write: the one suppression that they know. It joins the causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    suppression: Option<Suppression>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    causes: BTreeMap<SuppressionReason, Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// What replicas of the version before read and write of `lifted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<Lift>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<Heard>,
}

impl From<Kept> for ContactState {
    fn from(kept: Kept) -> Self {
        let Kept { last_inbound_at, consent, suppression, causes, started_at, lifted_at, lifted, heard } = kept;
        let lifted = lifted.or_else(|| lifted_at.map(Lift::of_unknown_origin));
        let mut state = Self { last_inbound_at, consent, causes, started_at, lifted, heard };
        if let Some(suppression) = suppression {
            state.add(suppression);
        }
        state
    }
}

impl From<ContactState> for Kept {
    fn from(state: ContactState) -> Self {
        let suppression = state.unlapsed();
        let ContactState { last_inbound_at, consent, causes, started_at, lifted, heard } = state;
        let lifted_at = lifted.as_ref().map(|lift| lift.at);
        Self { last_inbound_at, consent, suppression, causes, started_at, lifted_at, lifted, heard }
    }
}

/// The tenant's decision that a contact may be written to again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lift {
    pub at: Timestamp,
    /// The person or program that decided.
    pub by: String,
    pub reason: String,
}

impl Lift {
    fn of_unknown_origin(at: Timestamp) -> Self {
        Self { at, by: String::new(), reason: String::new() }
    }
}

/// What a contact agreed to, and how that can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentRecord {
    pub status: ConsentStatus,
    /// When it was recorded here. Its age is counted from [`ConsentRecord::given_at`].
    pub recorded_at: Timestamp,
    pub evidence: Evidence,
}

impl ConsentRecord {
    /// When the contact consented (or revoked): what the evidence says, else when it was recorded. Evidence from after
    /// the recording counts from the recording, so that a date in the future can't stretch a consent.
    pub fn given_at(&self) -> Timestamp {
        self.evidence.at.map_or(self.recorded_at, |at| at.min(self.recorded_at))
    }

    /// The later record counts; of two from the same moment, the revocation.
    fn rank(&self) -> (Timestamp, bool, Evidence) {
        (self.recorded_at, self.status == ConsentStatus::Revoked, self.evidence.clone())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentStatus {
    Granted,
    Revoked,
}

/// How a consent can be shown to have been given or revoked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Where it was given, such as `checkout-form` or `call-centre`.
    pub source: String,
    /// What finds it again there: a form's submission, a ticket, a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why nothing is sent to a contact, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suppression {
    pub reason: SuppressionReason,
    pub at: Timestamp,
    /// A sentence for a person: the keyword, or what the provider said.
    pub detail: String,
}

/// The reasons to suppress a contact. Where several hold, the first one in this order is the one to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SuppressionReason {
    /// The contact sent a stop keyword, or the provider reports that they opted out. A later start keyword or a later
    /// consent lifts it.
    OptedOut,
    /// The tenant suppressed the contact. Only the tenant lifts it.
    Manual,
    /// The contact blocked the sender. A later message from them lifts it, and it lapses after [`BLOCKED_FOR`].
    Blocked,
    /// The address cannot get WhatsApp messages. A later message from it lifts it, and it lapses after
    /// [`UNREACHABLE_FOR`].
    Unreachable,
}

impl SuppressionReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted out",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Manual => "suppressed by hand",
        }
    }

    /// How long a cause holds when nothing lifts it; `None`: without end.
    fn lapses_after(self) -> Option<SignedDuration> {
        match self {
            Self::OptedOut | Self::Manual => None,
            Self::Blocked => Some(BLOCKED_FOR),
            Self::Unreachable => Some(UNREACHABLE_FOR),
        }
    }
}

impl ContactState {
    /// The contact after a message from them that was sent at `at`. The same message may be applied again.
    #[must_use]
    pub fn after_message(mut self, at: Timestamp, change: Option<OptChange>, keyword: &str) -> Self {
        self.last_inbound_at = self.last_inbound_at.max(Some(at));
        self.after_message_elsewhere(at, change, keyword)
    }

    /// The contact after a message from them to another number of the sender's pool: it opens no window here, and says
    /// nothing about a block. A keyword in it counts.
    #[must_use]
    pub fn after_message_elsewhere(mut self, at: Timestamp, change: Option<OptChange>, keyword: &str) -> Self {
        match change {
            Some(OptChange::Start) => self.started_at = self.started_at.max(Some(at)),
            Some(OptChange::Stop) => {
                let heard = self.heard.as_ref().filter(|heard| heard.received_at == at);
                let at = heard.map_or(at, |heard| heard.cause.at);
                self.add(Suppression { reason: SuppressionReason::OptedOut, at, detail: stop_detail(keyword) });
            }
            None => {}
        }
        // A stop makes up for those heard before it. Whatever else the message was, it has taken effect now.
        let took_effect =
            |heard: &Heard| heard.received_at == at || (heard.received_at < at && change == Some(OptChange::Stop));
        self.heard = self.heard.filter(|heard| !took_effect(heard));
        self
    }

    /// The contact after a stop keyword was recorded, until [`ContactState::after_message`] lets it take effect. It is
    /// newer than a start of the person, under whichever address, that has taken effect before it came, whatever the
    /// clocks of the replicas that received them say.
    #[must_use]
    pub fn heard_stop(self, person: &Self, received_at: Timestamp, keyword: &str) -> Self {
        let started_at = self.started_at.max(person.started_at);
        let at = started_at.map_or(received_at, |started| started.max(received_at));
        self.heard_stop_of(at, received_at, keyword)
    }

    /// As [`ContactState::heard_stop`], of a keyword that was sent at `said_at` by the provider's clock, which orders
    /// all words.
    #[must_use]
    pub fn heard_stop_said_at(self, said_at: Timestamp, keyword: &str) -> Self {
        self.heard_stop_of(said_at, said_at, keyword)
    }

    fn heard_stop_of(mut self, at: Timestamp, received_at: Timestamp, keyword: &str) -> Self {
        self.heard = self.heard.max(Some(Heard { cause: Cause { at, detail: stop_detail(keyword) }, received_at }));
        self
    }

    /// The contact as if no stop keyword waited to take effect.
    #[must_use]
    pub fn without_heard(mut self) -> Self {
        self.heard = None;
        self
    }

    #[must_use]
    pub fn suppressed(mut self, suppression: Suppression) -> Self {
        self.add(suppression);
        self
    }

    /// The contact after a consent was recorded. The latest record counts.
    #[must_use]
    pub fn consented(mut self, consent: ConsentRecord) -> Self {
        self.consent = self.consent.into_iter().chain([consent]).max_by_key(ConsentRecord::rank);
        self
    }

    /// The contact after the tenant lifted every suppression up to then, except an opt-out: only the contact takes that
    /// back, with a start keyword or with consent.
    #[must_use]
    pub fn lifted(mut self, lift: Lift) -> Self {
        self.lifted = self.lifted.max(Some(lift));
        self
    }

    /// The tenant's latest word that the contact may be written to again.
    pub fn lift(&self) -> Option<&Lift> {
        self.lifted.as_ref()
    }

    /// Everything that either state knows: the state of a person whom both are about.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        let Self { last_inbound_at, consent, causes, started_at, lifted, heard } = other;
        self.last_inbound_at = self.last_inbound_at.max(last_inbound_at);
        self.consent = self.consent.into_iter().chain(consent).max_by_key(ConsentRecord::rank);
        for (reason, Cause { at, detail }) in causes {
            self.add(Suppression { reason, at, detail });
        }
        self.started_at = self.started_at.max(started_at);
        self.lifted = self.lifted.max(lifted);
        self.heard = self.heard.max(heard);
        self
    }

    /// What an address knows of whoever had it in a period. What permits a message or lifts a suppression counts when
    /// it is from the period; a suppression counts in any case, unless it was lifted before. So who gets an address
    /// inherits what is suppressed, and no consent and no window.
    #[must_use]
    pub fn of_period(mut self, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        if let Some(since) = since {
            let before = self.clone().permitting(|at| at < since);
            self.causes.retain(|reason, cause| before.holds(*reason, cause));
        }
        // A cause from after the period may have replaced one from within: a suppression too many is better than one
        // too few.
        self.permitting(|at| since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until))
    }

    /// What somebody leaves to the next holder of their number: what suppressed them then.
    #[must_use]
    pub fn passed_on(mut self, at: Timestamp) -> Self {
        let then = self.clone().permitting(|fact| fact < at);
        self.causes.retain(|reason, cause| cause.at < at && then.holds(*reason, cause));
        let heard = self.heard.filter(|heard| heard.cause.at < at);
        Self { causes: self.causes, heard, ..Self::default() }
    }

    /// What counts for a message through another sender of the same pool: what suppresses the person, and that they
    /// revoked consent or said START. What permits a message counts for the sender that it was given to.
    #[must_use]
    pub fn for_the_pool(mut self) -> Self {
        let known = self.clone();
        self.causes.retain(|reason, cause| known.holds(*reason, cause));
        let consent = self.consent.filter(|consent| consent.status == ConsentStatus::Revoked);
        Self { causes: self.causes, started_at: self.started_at, heard: self.heard, consent, ..Self::default() }
    }

    /// Without what permits a message or lifts a suppression, except from these times.
    fn permitting(mut self, counts: impl Fn(Timestamp) -> bool) -> Self {
        let counted = |at: &Timestamp| counts(*at);
        self.last_inbound_at = self.last_inbound_at.filter(counted);
        self.started_at = self.started_at.filter(counted);
        self.lifted = self.lifted.filter(|lift| counts(lift.at));
        let is_revoked = |consent: &ConsentRecord| consent.status == ConsentStatus::Revoked;
        self.consent = self.consent.filter(|consent| is_revoked(consent) || counts(consent.given_at()));
        self
    }

    /// Why nothing may be sent to the contact now, if anything.
    pub fn suppression(&self, now: Timestamp) -> Option<Suppression> {
        let heard = self.heard.as_ref().map(|heard| &heard.cause);
        let heard = heard.filter(|cause| self.holds(SuppressionReason::OptedOut, cause)).map(|Cause { at, detail }| {
            Suppression { reason: SuppressionReason::OptedOut, at: *at, detail: detail.clone() }
        });
        let in_force = self.first(|reason, cause| {
            reason.lapses_after().is_none_or(|lapses| now.duration_since(cause.at) < lapses)
                // A cause from the future was written by a clock that was ahead.
                && (reason.lapses_after().is_none() || cause.at.duration_since(now) < SignedDuration::from_hours(1))
        });
        match in_force {
            Some(suppression) if heard.is_none() || suppression.reason == SuppressionReason::OptedOut => {
                Some(suppression)
            }
            _ => heard,
        }
    }

    fn unlapsed(&self) -> Option<Suppression> {
        self.first(|_, _| true)
    }

    fn first(&self, counts: impl Fn(SuppressionReason, &Cause) -> bool) -> Option<Suppression> {
        let holds =
            |(reason, cause): &(&SuppressionReason, &Cause)| self.holds(**reason, cause) && counts(**reason, cause);
        let (reason, Cause { at, detail }) = self.causes.iter().find(holds)?;
        Some(Suppression { reason: *reason, at: *at, detail: detail.clone() })
    }

    /// Whether nothing lifted a cause since. Of a stop and a start from the same moment the stop counts.
    fn holds(&self, reason: SuppressionReason, cause: &Cause) -> bool {
        let is_lifted = self.lifted.as_ref().is_some_and(|lift| lift.at >= cause.at);
        match reason {
            SuppressionReason::Manual => !is_lifted,
            SuppressionReason::OptedOut => {
                let granted = self.consent.as_ref().filter(|consent| consent.status == ConsentStatus::Granted);
                self.started_at.is_none_or(|started| started <= cause.at)
                    && granted.is_none_or(|consent| consent.given_at() <= cause.at)
            }
            SuppressionReason::Blocked | SuppressionReason::Unreachable => {
                !is_lifted && self.last_inbound_at.is_none_or(|wrote| wrote < cause.at)
            }
        }
    }

    fn add(&mut self, Suppression { reason, at, detail }: Suppression) {
        let cause = Cause { at, detail };
        let kept = self.causes.entry(reason).or_insert_with(|| cause.clone());
        if *kept < cause {
            *kept = cause;
        }
    }
}

fn stop_detail(keyword: &str) -> String {
    format!("the contact sent {:?}", keyword.trim())
}

#[cfg(test)]
mod tests;
