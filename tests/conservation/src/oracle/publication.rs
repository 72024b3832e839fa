//! Each tenant receives the events of its own messages, in order, under stable ids.

use std::collections::{BTreeMap, BTreeSet};

use messaging::lifecycle::MessageStatus;

use super::{About, Broken, Violation, by};
use crate::logs::{Logs, Received};

pub(super) fn judge(logs: &Logs) -> Vec<Violation> {
    let mut violations = events(logs);
    violations.extend(statuses(logs));
    violations
}

/// What must hold for each event on its own.
fn events(logs: &Logs) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &logs.received {
        let violation = |broken, detail| Violation::new(broken, &event.tenant, About::Event(event.id.clone()), detail);
        if event.application != event.tenant {
            let detail = format!("it reached the application of {}", event.application);
            violations.push(violation(Broken::ReachedAnotherTenant, detail));
        }
        if *bodies.entry(&event.id).or_insert(&event.body) != event.body {
            let detail = "its redelivery had another body".to_owned();
            violations.push(violation(Broken::EventChanged, detail));
        }
    }
    violations
}

/// Whether a status is published. Applications know that they queued a message, and an attempt without an outcome is
/// not news.
fn is_published(status: MessageStatus) -> bool {
    !matches!(status, MessageStatus::Queued | MessageStatus::Submitted)
}

/// Whether each message's statuses arrived in the order in which they happened.
fn statuses(logs: &Logs) -> Vec<Violation> {
    let mut violations = Vec::new();
    let published = by(&logs.received, |r| (r.application.as_str(), r.subject.as_str()));
    let mut known = BTreeSet::new();
    for message in &logs.stored {
        let place = (message.tenant.as_str(), message.id.as_str());
        known.insert(place);
        let violation =
            |broken, detail| Violation::new(broken, &message.tenant, About::Message(message.id.clone()), detail);
        let arrived = first_arrivals(published.get(&place).map_or(&[], Vec::as_slice));
        let order: Vec<MessageStatus> = arrived.iter().map(|(status, _)| *status).collect();
        if !order.is_sorted() {
            violations.push(violation(Broken::StatusOutOfOrder, format!("its application got {order:?}")));
        }
        let reached: BTreeSet<_> = message.timeline.iter().map(|line| line.status).collect();
        for status in reached.iter().filter(|status| is_published(**status)) {
            let ids: BTreeSet<_> = arrived.iter().filter(|(s, _)| s == status).map(|(_, id)| id).collect();
            match ids.len() {
                0 => {
                    let detail = format!("it reached {status} and its application got {order:?}");
                    violations.push(violation(Broken::StatusNotPublished, detail));
                }
                // A message that is sent again may reach a status again, and each time is published.
                published if published <= message.timeline.iter().filter(|line| line.status == *status).count() => {}
                _ => {
                    let detail = format!("{status} was published as {ids:?}");
                    violations.push(violation(Broken::PublishedUnderSeveralIds, detail));
                }
            }
        }
        if let Some(status) = order.iter().find(|status| !reached.contains(status)) {
            let detail = format!("its application got {status}, which it never reached");
            violations.push(violation(Broken::PublishedButNeverHappened, detail));
        }
    }
    for ((application, subject), events) in published {
        if !known.contains(&(application, subject)) && !first_arrivals(&events).is_empty() {
            let detail = "its application received an event about a message that does not exist";
            let about = About::Message(subject.to_owned());
            violations.push(Violation::new(Broken::PublishedButNeverHappened, application, about, detail));
        }
    }
    violations
}

/// The statuses, in the order in which each event first arrived.
fn first_arrivals<'a>(events: &[&'a Received]) -> Vec<(MessageStatus, &'a str)> {
    let mut seen = BTreeSet::new();
    events
        .iter()
        .filter(|event| seen.insert(event.id.as_str()))
        .filter_map(|event| Some((event.kind.parse().ok()?, event.id.as_str())))
        .collect()
}
