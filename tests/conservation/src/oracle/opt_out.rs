//! A customer who has opted out gets no messages, and one who has opted in again may get them.
//!
//! Only certain cases count. While a keyword may or may not have taken effect, either outcome is allowed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use messaging::opt_out::OptChange;

use super::{About, Broken, Violation, by};
use crate::logs::{Asked, Keyword, Logs};

/// A call that began before an opt-out took effect has reached the provider well within this time, even if the network
/// froze in between.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn judge(logs: &Logs) -> Vec<Violation> {
    let keywords = by(&logs.keywords, |keyword| (keyword.tenant.as_str(), keyword.person.as_str()));
    let taken = by(&logs.provider, |outbound| (outbound.tenant.as_str(), outbound.text.as_str()));
    let mut violations = events(logs);
    for asked in &logs.asked {
        let Some(keywords) = keywords.get(&(asked.tenant.as_str(), asked.person.as_str())) else { continue };
        let violation = |broken, detail| Violation::new(broken, &asked.tenant, About::Key(asked.key.clone()), detail);
        let taken = taken.get(&(asked.tenant.as_str(), asked.text.as_str())).map_or(&[][..], Vec::as_slice);
        for span in spans(keywords, OptChange::Stop) {
            let reached = taken.iter().find(|outbound| {
                let surely_later = asked.asked_at >= span.from || outbound.taken_at >= span.from + IN_FLIGHT;
                surely_later && span.holds(outbound.taken_at)
            });
            if let Some(outbound) = reached {
                let detail = format!(
                    "requested at {}, it reached the provider at {} as {}; {} had opted out with {}, which took effect before {}",
                    asked.asked_at, outbound.taken_at, outbound.sid, asked.to, span.sid, span.from
                );
                violations.push(violation(Broken::SentAlthoughOptedOut, detail));
            }
        }
        for span in spans(keywords, OptChange::Start) {
            if let Some(at) = refused_as_suppressed(asked).filter(|at| asked.asked_at >= span.from && span.holds(*at)) {
                let detail = format!(
                    "requested at {} and refused at {at}; {} had opted in with {}, which took effect before {}",
                    asked.asked_at, asked.to, span.sid, span.from
                );
                violations.push(violation(Broken::RefusedAlthoughOptedIn, detail));
            }
        }
    }
    violations
}

/// How many requests were made while their recipient was certainly opted out.
pub fn asked_in_vain(asked: &[Asked], keywords: &[Keyword]) -> usize {
    let keywords = by(keywords, |keyword| (keyword.tenant.as_str(), keyword.person.as_str()));
    let is_in_vain = |asked: &&Asked| {
        let keywords = keywords.get(&(asked.tenant.as_str(), asked.person.as_str()));
        keywords.is_some_and(|keywords| spans(keywords, OptChange::Stop).iter().any(|span| span.holds(asked.asked_at)))
    };
    asked.iter().filter(is_in_vain).count()
}

fn refused_as_suppressed(asked: &Asked) -> Option<Timestamp> {
    asked.answers.iter().find(|a| a.status == Some(422) && a.words.contains("\"suppressed\"")).map(|a| a.at)
}

/// A period in which a keyword was certainly in force.
struct Span<'a> {
    sid: &'a str,
    from: Timestamp,
    /// `None`: until the end.
    until: Option<Timestamp>,
}

impl Span<'_> {
    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// From when a keyword is known to have taken effect until its opposite is written. A keyword that is sent while its
/// opposite is still in flight may be overtaken by it, and does not count.
fn spans<'a>(keywords: &[&'a Keyword], change: OptChange) -> Vec<Span<'a>> {
    let opposites = || keywords.iter().filter(|other| other.change != change);
    let span = |keyword: &'a Keyword| {
        let is_overtaken = opposites()
            .filter(|other| other.written_at <= keyword.written_at)
            .any(|other| other.heard_at.is_none_or(|heard_at| heard_at > keyword.written_at));
        let from = match change {
            OptChange::Stop => keyword.heard_at,
            // A keyword that changes nothing is still received: clocks differ, and it may appear to be the older one.
            OptChange::Start => keyword.changed_at,
        };
        let until = opposites().map(|other| other.written_at).filter(|at| *at > keyword.written_at).min();
        Some(Span { sid: &keyword.sid, from: from.filter(|_| !is_overtaken)?, until })
    };
    keywords.iter().filter(|keyword| keyword.change == change).filter_map(|keyword| span(keyword)).collect()
}

/// Whether applications received each change under one id, and nothing else.
fn events(logs: &Logs) -> Vec<Violation> {
    let written = by(&logs.keywords, |keyword| (keyword.tenant.as_str(), keyword.sid.as_str()));
    let published = logs.received.iter().filter(|event| matches!(event.kind.as_str(), "opted-out" | "opted-in"));
    let published: Vec<_> = published.collect();
    let published =
        by(&published, |event| (event.application.as_str(), event.provider_message_id.as_deref().unwrap_or_default()));
    let mut violations = Vec::new();
    for ((application, sid), events) in published {
        let violation = |broken, detail| Violation::new(broken, application, About::Sid(sid.to_owned()), detail);
        let ids: BTreeSet<_> = events.iter().map(|event| event.id.as_str()).collect();
        if ids.len() > 1 {
            violations.push(violation(Broken::PublishedUnderSeveralIds, format!("its application got {ids:?}")));
        }
        let change = written.get(&(application, sid)).and_then(|keywords| keywords.first()).map(|k| k.change);
        let fits = |kind: &str| match change {
            Some(OptChange::Stop) => kind == "opted-out",
            Some(OptChange::Start) => kind == "opted-in",
            None => false,
        };
        if let Some(event) = events.iter().find(|event| !fits(&event.kind)) {
            let detail = format!("an application received that a customer {}, without a keyword", event.kind);
            violations.push(violation(Broken::PublishedButNeverHappened, detail));
        }
    }
    violations
}
