//! Decides the next step towards one stream with one subscription, or towards none: pure.
//!
//! A stream that has our subscription was confirmed before: it is subscribed only after a test event came all the way.
//! So nothing has to be remembered, and a crash after any step is seen in what the provider has. What is there twice,
//! because an answer was lost and the list lagged, is removed when one is in place; so is what an old URL left.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use messaging::provider::admin::{Stream, StreamState, Subscription};

/// The first wait for a test event. Each further one is twice as long, up to [`LONGEST`].
const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_secs(300);

/// One of our streams, with every subscription to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenStream {
    pub stream: Stream,
    pub subscriptions: Vec<Subscription>,
}

/// What the next step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The name of whatever is ours, which holds the sender's uid.
    pub name: String,
    /// Where the events should go; `None`: nowhere.
    pub url: Option<String>,
    /// The streams of exactly that name.
    pub streams: Vec<SeenStream>,
    /// The stream that was just confirmed.
    pub confirmed: Option<String>,
    /// The ids of test events that arrived and were not refused, the newest first.
    pub arrived: Vec<String>,
    pub tests: Tests,
    pub now: Timestamp,
}

/// The test events that were asked for since the last confirmed one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tests {
    pub count: u32,
    pub last: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Create { url: String },
    Test { stream: String },
    Confirm { stream: String, test: String },
    Subscribe { stream: String },
    Unsubscribe { id: String },
    Delete { stream: String },
    Rest(Rest),
}

/// Nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Events arrive.
    InPlace { stream: String },
    /// A test event is under way, or lost.
    AwaitingTest { stream: String, until: Timestamp },
    /// Nothing of ours is left.
    Gone,
}

pub fn plan(seen: &Seen) -> Step {
    let Some(url) = &seen.url else {
        return remove(seen, seen.streams.iter()).unwrap_or(Step::Rest(Rest::Gone));
    };
    let usable = seen.streams.iter().filter(|one| one.stream.url == *url && one.stream.state != StreamState::Failed);
    let is_working = |one: &SeenStream| one.stream.state == StreamState::Active && subscribed(seen, one).is_some();
    let Some(current) = usable.min_by_key(|one| (!is_working(one), one.stream.id.clone())) else {
        return Step::Create { url: url.clone() };
    };
    let stream = current.stream.id.clone();
    match (current.stream.state, subscribed(seen, current)) {
        (StreamState::Active, Some(kept)) => {
            // The old one goes last, and so do doubles.
            let double = ours(seen, current).find(|subscription| subscription.id != kept.id);
            let others = seen.streams.iter().filter(|one| one.stream.id != stream);
            double
                .map(|double| Step::Unsubscribe { id: double.id.clone() })
                .or_else(|| remove(seen, others))
                .unwrap_or(Step::Rest(Rest::InPlace { stream }))
        }
        (StreamState::Active, None) if seen.confirmed.as_ref() == Some(&stream) => Step::Subscribe { stream },
        // Whatever has arrived was sent before the test that is needed now.
        (StreamState::Active, None) => Step::Test { stream },
        (StreamState::Validating | StreamState::Failed, _) => match (seen.arrived.first(), next_test(seen.tests)) {
            (Some(test), _) => Step::Confirm { stream, test: test.clone() },
            (None, Some(until)) if seen.now < until => Step::Rest(Rest::AwaitingTest { stream, until }),
            (None, _) => Step::Test { stream },
        },
    }
}

/// When the next test event is due; `None`: now.
fn next_test(Tests { count, last }: Tests) -> Option<Timestamp> {
    let doubled = FIRST.checked_mul(1 << count.saturating_sub(1).min(10)).unwrap_or(LONGEST);
    last?.checked_add(doubled.min(LONGEST)).ok()
}

/// Our subscriptions to one of our streams.
fn ours<'a>(seen: &'a Seen, one: &'a SeenStream) -> impl Iterator<Item = &'a Subscription> {
    one.subscriptions.iter().filter(|subscription| subscription.name == seen.name)
}

/// Ours that is to the right events.
fn subscribed<'a>(seen: &'a Seen, one: &'a SeenStream) -> Option<&'a Subscription> {
    ours(seen, one).filter(|subscription| subscription.has_approvals).min_by_key(|subscription| &subscription.id)
}

/// The next step to remove streams. A provider deletes no stream that has a subscription.
fn remove<'a>(seen: &'a Seen, mut streams: impl Iterator<Item = &'a SeenStream>) -> Option<Step> {
    let one = streams.next()?;
    Some(match ours(seen, one).next() {
        Some(subscription) => Step::Unsubscribe { id: subscription.id.clone() },
        None => Step::Delete { stream: one.stream.id.clone() },
    })
}

impl Step {
    /// What it does to what was seen, once the provider has done it. `created` is what it made.
    pub fn note(&self, seen: &mut Seen, created: Option<Created>) {
        match (self, created) {
            (Self::Create { .. }, Some(Created::Stream(stream))) => {
                seen.streams.push(SeenStream { stream, subscriptions: vec![] });
            }
            (Self::Test { stream }, _) => {
                set_state(seen, stream, StreamState::Validating);
                seen.tests = Tests { count: seen.tests.count.saturating_add(1), last: Some(seen.now) };
                // Only the last test event counts.
                seen.arrived.clear();
            }
            (Self::Confirm { stream, .. }, _) => {
                set_state(seen, stream, StreamState::Active);
                seen.confirmed = Some(stream.clone());
                seen.tests = Tests::default();
            }
            (Self::Subscribe { stream }, Some(Created::Subscription(subscription))) => {
                let one = seen.streams.iter_mut().find(|one| one.stream.id == *stream);
                one.into_iter().for_each(|one| one.subscriptions.push(subscription.clone()));
            }
            (Self::Unsubscribe { id }, _) => {
                seen.streams.iter_mut().for_each(|one| one.subscriptions.retain(|known| known.id != *id));
            }
            (Self::Delete { stream }, _) => seen.streams.retain(|one| one.stream.id != *stream),
            _ => {}
        }
    }
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    Stream(Stream),
    Subscription(Subscription),
}

fn set_state(seen: &mut Seen, stream: &str, state: StreamState) {
    let one = seen.streams.iter_mut().find(|one| one.stream.id == stream);
    one.into_iter().for_each(|one| one.stream.state = state);
}

/// When to look again at what rests; `None`: in the usual interval.
pub fn again(rest: &Rest, now: Timestamp) -> Option<Duration> {
    match rest {
        Rest::AwaitingTest { until, .. } => Some(until.duration_since(now).try_into().unwrap_or_default()),
        Rest::InPlace { .. } | Rest::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://wa.example.com/events";

    fn subscription(name: &str, has_approvals: bool) -> Subscription {
        Subscription { id: format!("DF-{name}-{has_approvals}"), name: name.to_owned(), has_approvals }
    }

    fn stream(id: &str, url: &str, state: StreamState, subscriptions: &[Subscription]) -> SeenStream {
        let stream = Stream { id: id.to_owned(), name: "ours".to_owned(), url: url.to_owned(), state };
        SeenStream { stream, subscriptions: subscriptions.to_vec() }
    }

    fn seen(url: Option<&str>, streams: Vec<SeenStream>) -> Seen {
        Seen {
            name: "ours".to_owned(),
            url: url.map(str::to_owned),
            streams,
            confirmed: None,
            arrived: vec![],
            tests: Tests::default(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_next_step_follows_from_what_the_provider_has() {
        use StreamState::{Active, Failed, Validating};
        let (ours, others) = (subscription("ours", true), subscription("theirs", true));
        let only = std::slice::from_ref::<Subscription>;
        let working = |id: &str| stream(id, URL, Active, only(&ours));
        let old = |subscriptions| stream("DG0", "https://old.example.com/", Active, subscriptions);
        let in_place = |id: &str| Step::Rest(Rest::InPlace { stream: id.to_owned() });
        let test = |id: &str| Step::Test { stream: id.to_owned() };
        let delete = |id: &str| Step::Delete { stream: id.to_owned() };
        let create = || Step::Create { url: URL.to_owned() };
        let unsubscribe = |one: &Subscription| Step::Unsubscribe { id: one.id.clone() };
        let elsewhere = subscription("ours", false);
        for (what, url, streams, step) in [
            ("there is none", Some(URL), vec![], create()),
            ("the provider gave it up", Some(URL), vec![stream("DG1", URL, Failed, &[])], create()),
            ("it goes to an old URL", Some(URL), vec![old(&[])], create()),
            ("nobody saw it confirmed", Some(URL), vec![stream("DG1", URL, Active, &[])], test("DG1")),
            ("somebody else subscribed", Some(URL), vec![stream("DG1", URL, Active, only(&others))], test("DG1")),
            ("ours is to other events", Some(URL), vec![stream("DG1", URL, Active, only(&elsewhere))], test("DG1")),
            ("it was never tested", Some(URL), vec![stream("DG1", URL, Validating, &[])], test("DG1")),
            ("it works", Some(URL), vec![working("DG1")], in_place("DG1")),
            (
                "somebody else's subscription stays",
                Some(URL),
                vec![stream("DG1", URL, Active, &[ours.clone(), others])],
                in_place("DG1"),
            ),
            (
                "a second one of ours goes",
                Some(URL),
                vec![stream("DG1", URL, Active, &[ours.clone(), elsewhere.clone()])],
                unsubscribe(&elsewhere),
            ),
            (
                "the one that works is kept",
                Some(URL),
                vec![stream("DG1", URL, Active, &[]), working("DG2")],
                delete("DG1"),
            ),
            ("the old one goes last", Some(URL), vec![old(only(&elsewhere)), working("DG1")], unsubscribe(&elsewhere)),
            ("the old one goes last of all", Some(URL), vec![old(&[]), working("DG1")], delete("DG0")),
            ("nobody asks for it", None, vec![working("DG1")], unsubscribe(&ours)),
            ("nobody asks for it, and nobody listens", None, vec![stream("DG1", URL, Failed, &[])], delete("DG1")),
            ("nobody asks, and there is none", None, vec![], Step::Rest(Rest::Gone)),
        ] {
            assert_eq!(plan(&seen(url, streams)), step, "{what}");
        }
    }

    #[test]
    fn a_stream_is_subscribed_only_once_its_last_test_event_came_all_the_way() {
        let mut seen = seen(Some(URL), vec![stream("DG1", URL, StreamState::Active, &[])]);
        seen.arrived = vec!["of an earlier test".to_owned()];
        let take = |seen: &mut Seen| {
            let step = plan(seen);
            step.note(seen, None);
            step
        };
        assert_eq!(take(&mut seen), Step::Test { stream: "DG1".to_owned() });
        let waits = |seen: &Seen, seconds: i64| {
            let until = seen.tests.last.unwrap() + SignedDuration::from_secs(seconds);
            Step::Rest(Rest::AwaitingTest { stream: "DG1".to_owned(), until })
        };
        assert_eq!(plan(&seen), waits(&seen, 10), "what arrived before is no proof");
        seen.now += SignedDuration::from_secs(10);
        assert_eq!(take(&mut seen), Step::Test { stream: "DG1".to_owned() });
        assert_eq!(plan(&seen), waits(&seen, 20));
        seen.arrived = vec!["TE2".to_owned(), "TE1".to_owned()];
        assert_eq!(take(&mut seen), Step::Confirm { stream: "DG1".to_owned(), test: "TE2".to_owned() });
        assert_eq!(plan(&seen), Step::Subscribe { stream: "DG1".to_owned() });
        assert_eq!(seen.tests, Tests::default());
    }

    #[test]
    fn test_events_become_rare_and_are_sent_at_least_every_five_minutes() {
        let after = |count| next_test(Tests { count, last: Some(Timestamp::UNIX_EPOCH) }).map(Timestamp::as_second);
        let seconds: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 100, u32::MAX].map(after).into_iter().flatten().collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300, 300, 300]);
        assert_eq!(next_test(Tests::default()), None);
    }
}
