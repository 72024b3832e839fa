//! Whether to call a provider account that may be away: it refuses connections, answers with errors of its own, or not at
//! all. Pure: what became of calls comes in, with the time.
//!
//! ```text
//! closed ─ failures in a row, or too many of unknown outcome ─> open ─ a probe is answered, or there is none ─> trial
//!   ^                                                            ^─── a probe, or the trial's message, fails ───┘  │
//!   └──────────────────────────────────── the trial's message is answered ──────────────────────────────────────────┘
//! ```
//!
//! A call of unknown outcome may not be repeated, so while nothing is answered only few calls begin. From the first unknown
//! outcome on, however much was under way and whatever is answered in between, few calls are under way at once, and at most
//! [`MOST_UNANSWERED`] outcomes become unknown before it opens. Calls that were under way already cannot be taken back. It
//! trusts the provider again after many answers in a row; until then one more unknown outcome after an outage opens it.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{after, is_overlong};

/// Calls that may begin before one of them is answered.
pub const MOST_UNANSWERED: u32 = 10;
/// Calls in a row that fail before no more begin.
const OPENS_AFTER: u32 = 5;
/// Answers in a row, without an unknown outcome among them, after which the provider is trusted again.
const TRUSTED_AFTER: u32 = 20;
/// The pause before the first probe. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between probes: what an outage costs, and how soon its end is noticed.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause after a message of unknown outcome, where probes are answered or there are none.
const LONGEST_TRIAL_PAUSE: Duration = Duration::from_secs(5 * 60);

/// How long after a probe was due, and nothing waited for it, an open breaker is stale.
const STALE_AFTER: Duration = Duration::from_secs(60 * 60);

/// The breaker of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// Since when no call was answered, once it has opened.
    away_since: Option<Timestamp>,
    /// Calls that have begun and not ended.
    under_way: u32,
    /// Calls begun since the last answer.
    unanswered: u32,
    /// Calls of unknown outcome since the provider was last trusted.
    unknown: u32,
    /// Answers since the last of them.
    answers: u32,
    /// Calls failed since the last answer.
    failures: u32,
    /// Probes failed since the last answer.
    probes: u32,
    /// Trials of unknown outcome since the last answer.
    trials: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    /// No call begins before a probe, which is due then.
    Open { until: Timestamp },
    /// One call begins.
    Trial,
}

/// What may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// So many calls; none until an earlier one is answered.
    Calls(u32),
    /// A probe, and no call before it is answered.
    Probe,
    /// Nothing before this.
    Nothing { again_at: Timestamp },
}

impl Breaker {
    /// What may begin now. `has_probe`: the provider has a harmless read; without one, a message takes its place.
    pub fn passage(&self, has_probe: bool, now: Timestamp) -> Passage {
        match self.state {
            State::Closed if self.unknown > 0 => {
                Passage::Calls(MOST_UNANSWERED.saturating_sub(self.unanswered.max(self.under_way)))
            }
            State::Closed | State::Trial => Passage::Calls(MOST_UNANSWERED.saturating_sub(self.unanswered)),
            State::Open { .. } => match self.open_until(now) {
                Some(again_at) => Passage::Nothing { again_at },
                None if has_probe => Passage::Probe,
                None => Passage::Calls(1),
            },
        }
    }

    /// Until when no call may begin, if none may.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            // A longer pause was set by a clock that was ahead.
            State::Open { until } if until > now && !is_overlong(until, LONGEST_TRIAL_PAUSE, now) => Some(until),
            State::Open { .. } | State::Closed | State::Trial => None,
        }
    }

    /// Since when the provider is away, as far as is known.
    pub fn away_since(&self) -> Option<Timestamp> {
        self.away_since
    }

    /// Whether nothing has asked for so long that what it remembers says nothing of the present.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Open { until } if after(until, STALE_AFTER) <= now)
    }

    /// Whether it remembers nothing that a new one would not know.
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// A call is about to begin.
    pub fn begins(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.begin_trial();
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.under_way = self.under_way.saturating_add(1);
    }

    /// A call that was about to begin does not.
    pub fn withdrawn(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A call was answered, whatever the answer says of its message.
    pub fn answered(&mut self) {
        let under_way = self.under_way.saturating_sub(1);
        let (unknown, answers) = match self.state {
            // It began before others failed: it shows no more than a probe.
            State::Open { .. } => {
                self.under_way = under_way;
                return self.begin_trial();
            }
            State::Trial => (MOST_UNANSWERED - 1, 0),
            State::Closed if self.answers + 1 >= TRUSTED_AFTER => (0, 0),
            State::Closed if self.unknown > 0 => (self.unknown, self.answers + 1),
            State::Closed => (0, 0),
        };
        *self = Self { under_way, unknown, answers, ..Self::default() };
    }

    /// A call was not answered. `has_left`: its request may have been received.
    pub fn failed(&mut self, has_left: bool, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        self.failures = self.failures.saturating_add(1);
        if has_left {
            self.unknown = self.unknown.saturating_add(1);
            self.answers = 0;
        }
        match self.state {
            State::Open { .. } => {}
            State::Closed if self.failures >= OPENS_AFTER || self.unknown >= MOST_UNANSWERED => {
                self.open(FIRST_PAUSE, now);
            }
            State::Closed => {}
            State::Trial if has_left => {
                self.trials = self.trials.saturating_add(1);
                let pause = LONGEST_PAUSE.saturating_mul(2_u32.saturating_pow(self.trials));
                self.open(pause.min(LONGEST_TRIAL_PAUSE), now);
            }
            State::Trial => self.open(LONGEST_PAUSE, now),
        }
    }

    /// A probe is about to begin. It counts as failed until it is answered.
    pub fn probe_begins(&mut self, now: Timestamp) {
        self.probes = self.probes.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.probes));
        self.open(pause.min(LONGEST_PAUSE), now);
    }

    /// A probe was answered: a message may be tried.
    pub fn probe_answered(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.begin_trial();
        }
    }

    fn begin_trial(&mut self) {
        self.state = State::Trial;
        self.unanswered = MOST_UNANSWERED - 1;
    }

    fn open(&mut self, pause: Duration, now: Timestamp) {
        self.state = State::Open { until: after(now, pause) };
        self.away_since.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
