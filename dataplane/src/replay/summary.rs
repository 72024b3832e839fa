//! What a replay found, for the person who ran it.

use std::fmt;

use jiff::Timestamp;
use messaging::id::SenderName;
use messaging::provider::WebhookEvent;

use super::Wanted;

/// What was read of the log, and with which result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub sender: SenderName,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Webhooks.
    pub read: u64,
    pub inbound: Counts,
    pub status: Counts,
    /// Events that still cannot be read.
    pub unreadable: u64,
    /// Events of another kind, or about another message, than requested.
    pub passed_over: u64,
}

/// Events of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// They take effect now, or would.
    pub new: u64,
    /// They are known, and have no effect again.
    pub duplicates: u64,
}

impl Summary {
    pub(super) fn of(wanted: &Wanted, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self {
            sender: wanted.sender.clone(),
            since,
            until,
            dry_run: wanted.dry_run,
            read: 0,
            inbound: Counts::default(),
            status: Counts::default(),
            unreadable: 0,
            passed_over: 0,
        }
    }

    pub(super) fn count_new(&mut self, event: &WebhookEvent) {
        if let Some(counts) = self.counts(event) {
            counts.new += 1;
        }
    }

    pub(super) fn count_duplicate(&mut self, event: &WebhookEvent) {
        if let Some(counts) = self.counts(event) {
            counts.duplicates += 1;
        }
    }

    fn counts(&mut self, event: &WebhookEvent) -> Option<&mut Counts> {
        match event {
            WebhookEvent::Inbound(_) => Some(&mut self.inbound),
            WebhookEvent::Status(_) => Some(&mut self.status),
            // Counted where it is read.
            WebhookEvent::UserIdChange(_) | WebhookEvent::OtherChannel { .. } | WebhookEvent::Unreadable { .. } => None,
        }
    }

    /// Events that are new, of both kinds.
    pub fn new_events(&self) -> u64 {
        self.inbound.new + self.status.new
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sender, since, until, dry_run, read, inbound, status, unreadable, passed_over } = self;
        let time = |at: &Option<Timestamp>| at.map_or_else(|| "ever".to_owned(), |at| at.to_string());
        writeln!(f, "read {read} webhooks of {sender}, received from {} until {}", time(since), time(until))?;
        writeln!(f, "             new  duplicate")?;
        for (name, counts) in [("inbound", inbound), ("status", status)] {
            writeln!(f, "{name:<9}{:>7}{:>11}", counts.new, counts.duplicates)?;
        }
        writeln!(f, "unreadable: {unreadable}; passed over by kind or message: {passed_over}")?;
        match (self.new_events(), dry_run) {
            (0, _) => write!(f, "no events are new; nothing was written"),
            (new, true) => write!(f, "{new} events would be new; nothing was written"),
            (new, false) => write!(f, "{new} events were recorded; a serving replica applies them"),
        }
    }
}
