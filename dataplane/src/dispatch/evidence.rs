//! What the provider's own log says about an attempt whose outcome is unknown: whether one of its messages is ours.
//!
//! The log carries none of our ids, so a message is recognised by its recipient, its time and its words. A wrong guess
//! would report one message's fate as another's, so nothing is guessed: a message is ours only when it is the only one
//! that fits and no other unresolved attempt could have produced it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use messaging::address::Address;
use messaging::content::OutboundContent;
use messaging::id::TemplateName;
use messaging::provider::{Direction, ProviderMessage};
use messaging::template::render::render;
use messaging::template::{LocalizedContent, TemplateCategory, TemplateConfig};

/// The provider's dates are whole seconds, and its clock is not ours.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_secs(5);
/// A call that we have given up may still be on its way through the provider.
const LANDS_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// A call is always given up long before this, even if that was written later.
const LONGEST_CALL: SignedDuration = SignedDuration::from_mins(3);

/// An attempt, as far as the log can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) to: Address,
    /// `None` when a Messaging Service picked the sender.
    pub(super) from: Option<Address>,
    pub(super) said: Said,
    /// When the call began.
    pub(super) started_at: Timestamp,
    /// When it was given up, where that is known.
    pub(super) ended_at: Option<Timestamp>,
}

/// What the log should show of an attempt's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// These words, without a file.
    Text(String),
    /// A file, with these words where it has a caption.
    File { caption: Option<String> },
    /// A template whose text is one of these. Only likely, because the text comes from the present config and another
    /// revision may have been sent.
    Rendered(Vec<String>),
    /// A template whose text the provider writes around these values.
    Around(Vec<String>),
    /// Nothing is known.
    Unknown,
}

impl Said {
    /// `None` is a content that retention has removed.
    pub(super) fn of(content: Option<&OutboundContent>, templates: &BTreeMap<TemplateName, TemplateConfig>) -> Self {
        match content {
            None => Self::Unknown,
            Some(OutboundContent::Text { body }) => Self::Text(body.clone()),
            Some(OutboundContent::Media { url: _, caption }) => Self::File { caption: caption.clone() },
            Some(OutboundContent::Template { name, language: _, values }) => match templates.get(name) {
                None => Self::Unknown,
                Some(template) if is_written_by_the_provider(template) => {
                    Self::Around(values.values().cloned().collect())
                }
                // Any language may have been sent: approvals may have changed since.
                Some(template) => Self::Rendered(
                    template
                        .localizations
                        .values()
                        .flat_map(|localization| readings(&render(&localization.content, values)))
                        .collect(),
                ),
            },
        }
    }
}

/// WhatsApp may have given an authentication template another category since, and its text stays WhatsApp's own.
fn is_written_by_the_provider(template: &TemplateConfig) -> bool {
    template.category == TemplateCategory::Authentication
        || template.localizations.values().any(|localization| localization.content.body.is_empty())
}

/// How a rendered template may read in one line of text. The provider does not document which parts its log shows.
fn readings(content: &LocalizedContent) -> Vec<String> {
    let LocalizedContent { body, header, footer, buttons: _ } = content;
    let mut readings = Vec::new();
    for header in [None, header.as_deref()] {
        for footer in [None, footer.as_deref()] {
            let parts: Vec<&str> = header.into_iter().chain([body.as_str()]).chain(footer).collect();
            readings.push(parts.join(" "));
        }
    }
    readings.dedup();
    readings
}

/// How well a message of the log fits an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Certainly not from this attempt.
    Foreign,
    /// To the same recipient at the same time, in other words than expected, where the expected words are only likely.
    OtherWords,
    /// Nothing contradicts it, but no words confirm it.
    Possible,
    /// Its words are the attempt's.
    Likely,
}

impl Trace {
    /// The earliest time that a message of this attempt can have in the log.
    pub(super) fn since(&self) -> Timestamp {
        self.started_at - CLOCKS_DIFFER_BY
    }

    /// The latest time that a message of this attempt can have in the log.
    pub(super) fn until(&self) -> Timestamp {
        let longest = self.started_at + LONGEST_CALL;
        self.ended_at.map_or(longest, |ended| (ended + LANDS_WITHIN + CLOCKS_DIFFER_BY).min(longest))
    }

    fn fit(&self, message: &ProviderMessage) -> Fit {
        let in_time = message.created_at.is_some_and(|at| at >= self.since() && at <= self.until());
        // The provider leaves `from` empty until a sender is picked.
        let from_fits = match (&self.from, &message.from) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        // The provider may spell the recipient's number in its own way.
        let to_fits = message.to.as_ref().is_some_and(|to| to.canonical() == self.to.canonical());
        if message.direction != Direction::Outbound || !to_fits || !from_fits || !in_time {
            return Fit::Foreign;
        }
        self.said.fit(message.body.as_deref(), message.files)
    }
}

impl Said {
    fn fit(&self, body: Option<&str>, files: Option<u32>) -> Fit {
        let body = body.map(plain).filter(|body| !body.is_empty());
        let same = |text: &String| body.as_ref() == Some(&plain(text));
        match (self, &body) {
            // A log neither removes files nor adds them.
            (Self::Text(_), _) if files.is_some_and(|files| files > 0) => Fit::Foreign,
            (Self::File { caption: None }, None) if files.is_some_and(|files| files > 0) => Fit::Likely,
            (Self::File { caption: None }, Some(_)) => Fit::Foreign,
            // The text was redacted, or is not composed yet.
            (_, None) => Fit::Possible,
            (Self::Unknown, Some(_)) => Fit::Possible,
            (Self::Text(text) | Self::File { caption: Some(text) }, Some(_)) => {
                if same(text) {
                    Fit::Likely
                } else {
                    Fit::Foreign
                }
            }
            (Self::Rendered(readings), Some(_)) => likely(readings.iter().any(same)),
            (Self::Around(values), Some(_)) if values.is_empty() => Fit::Possible,
            (Self::Around(values), Some(body)) => likely(values.iter().all(|value| body.contains(&plain(value)))),
        }
    }
}

fn likely(fits: bool) -> Fit {
    if fits { Fit::Likely } else { Fit::OtherWords }
}

/// A text without what providers may change in it: line breaks and runs of spaces.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the log says about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict<'a> {
    /// This message is the attempt's.
    Ours(&'a ProviderMessage),
    /// No message fits.
    Absent,
    Unclear(Unclear),
}

/// Why the log does not decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("{0} messages of the provider's log fit the attempt")]
    Several(usize),
    #[error("the message of the provider's log that fits may come from another unresolved attempt to this recipient")]
    Claimed,
    #[error("the provider's log has a message to this recipient at that time, in other words than expected")]
    OtherWords,
}

/// Judges an attempt by the log. `belongs` says whether a message's owner is known. `rivals` are the other attempts of
/// unknown outcome.
pub(super) fn judge<'a>(
    trace: &Trace,
    log: &'a [ProviderMessage],
    belongs: impl Fn(&str) -> bool,
    rivals: &[Trace],
) -> Verdict<'a> {
    let of = |wanted: Fit| -> Vec<&'a ProviderMessage> {
        log.iter().filter(|m| !belongs(&m.provider_message_id) && trace.fit(m) == wanted).collect()
    };
    let claimed = |message: &ProviderMessage, from: Fit| rivals.iter().any(|rival| rival.fit(message) >= from);
    match (of(Fit::Likely).as_slice(), of(Fit::Possible).as_slice(), of(Fit::OtherWords).len()) {
        ([], [], 0) => Verdict::Absent,
        ([], [], _) => Verdict::Unclear(Unclear::OtherWords),
        // The words are ours, so an attempt with other words has no claim.
        ([one], [], _) if !claimed(one, Fit::Possible) => Verdict::Ours(one),
        // No words prove it, so no other attempt may be possible at all.
        ([], [one], 0) if !claimed(one, Fit::OtherWords) => Verdict::Ours(one),
        ([_], [], _) | ([], [_], 0) => Verdict::Unclear(Unclear::Claimed),
        (likely, possible, other) => Verdict::Unclear(Unclear::Several(likely.len() + possible.len() + other)),
    }
}

#[cfg(test)]
mod tests;
