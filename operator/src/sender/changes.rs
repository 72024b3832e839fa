//! Changes of a sender at the provider that a person should know of: whether it is online and why not, its quality, and
//! its limit. Pure: time is an argument.
//!
//! What was told last is in the status. So each change is told once, also by another process, what is seen first is no
//! change, and what goes back and forth is told at most every [`QUIET`], as the difference from what was told last.

use std::time::Duration;

use crds::ToldStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use messaging::provider::admin::SenderObservation;

/// The time between two tellings.
const QUIET: Duration = Duration::from_secs(600);

/// How many characters of a word of the provider's are kept, and how many reasons.
const LONGEST: usize = 200;
const MOST_REASONS: usize = 5;

/// What to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub is_bad: bool,
    pub text: String,
}

/// What was told after this, and the changes to tell now.
pub fn changes(told: Option<&ToldStatus>, sender: &SenderObservation, now: Timestamp) -> (ToldStatus, Vec<Change>) {
    let seen = seen(sender);
    let Some(told) = told else { return (seen, Vec::new()) };
    // What the provider leaves out for once is no change.
    let mut next = ToldStatus {
        online: seen.online,
        offline_reasons: seen.offline_reasons,
        quality: seen.quality.or_else(|| told.quality.clone()),
        messaging_limit: seen.messaging_limit.or_else(|| told.messaging_limit.clone()),
        at: told.at.clone(),
    };
    let changes: Vec<_> = [
        online(told, &next, &cut(&sender.status)),
        change("the quality rating", told.quality.as_ref(), next.quality.as_ref(), is_worse),
        change("the messaging limit", told.messaging_limit.as_ref(), next.messaging_limit.as_ref(), |_, _| false),
    ]
    .into_iter()
    .flatten()
    .collect();
    if changes.is_empty() {
        return (next, changes);
    }
    if told.at.as_ref().is_some_and(|at| now.duration_since(at.0) < QUIET.try_into().unwrap_or_default()) {
        // Told later, if it is still so then. What was not known before is known from now on.
        let known = ToldStatus {
            quality: told.quality.clone().or(next.quality),
            messaging_limit: told.messaging_limit.clone().or(next.messaging_limit),
            ..told.clone()
        };
        return (known, Vec::new());
    }
    next.at = Some(Time(now));
    (next, changes)
}

fn seen(sender: &SenderObservation) -> ToldStatus {
    let mut reasons: Vec<_> = sender.offline_reasons.iter().map(|reason| cut(reason)).collect();
    reasons.sort();
    reasons.truncate(MOST_REASONS);
    ToldStatus {
        online: sender.online,
        offline_reasons: if sender.online { Vec::new() } else { reasons },
        quality: sender.quality.as_deref().map(cut),
        messaging_limit: sender.messaging_limit.as_deref().map(cut),
        at: None,
    }
}

/// The provider's words, without what must not be shown, and not too many of them.
fn cut(text: &str) -> String {
    crate::reconcile::redact::redact(text).chars().take(LONGEST).collect()
}

fn online(told: &ToldStatus, next: &ToldStatus, status: &str) -> Option<Change> {
    if (told.online, &told.offline_reasons) == (next.online, &next.offline_reasons) {
        return None;
    }
    let text = if next.online {
        "the sender is online again".to_owned()
    } else {
        let reasons = match next.offline_reasons.as_slice() {
            [] => "the provider gives no reason".to_owned(),
            reasons => reasons.join("; "),
        };
        let was = if told.online { "was online" } else { "was offline for other reasons" };
        format!("the provider reports the sender as {status}, which {was}: {reasons}")
    };
    Some(Change { is_bad: !next.online, text })
}

fn change(
    what: &str,
    told: Option<&String>,
    next: Option<&String>,
    is_bad: impl Fn(&str, &str) -> bool,
) -> Option<Change> {
    let (told, next) = (told?, next?);
    (told != next).then(|| Change { is_bad: is_bad(told, next), text: format!("{what} changed from {told} to {next}") })
}

/// Whether WhatsApp's second rating is worse than its first. A word that is not known counts as worse than none.
fn is_worse(first: &str, second: &str) -> bool {
    let rank = |word: &str| match word.to_ascii_uppercase().as_str() {
        "HIGH" | "GREEN" => 3,
        "MEDIUM" | "YELLOW" => 2,
        "LOW" | "RED" => 1,
        _ => 0,
    };
    rank(second) < rank(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::senders::online_sender;

    fn sender(status: &str, quality: Option<&str>, limit: Option<&str>) -> SenderObservation {
        SenderObservation {
            online: status.starts_with("ONLINE"),
            status: status.into(),
            quality: quality.map(Into::into),
            messaging_limit: limit.map(Into::into),
            ..online_sender("XE1")
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// What is told of each sight in turn, with its minute.
    fn told(sights: &[(i64, SenderObservation)]) -> Vec<(i64, bool, String)> {
        let mut known = None;
        let mut all = Vec::new();
        for (minute, sender) in sights {
            let (next, changes) = changes(known.as_ref(), sender, at(*minute));
            known = Some(next);
            all.extend(changes.into_iter().map(|change| (*minute, change.is_bad, change.text)));
        }
        all
    }

    #[test]
    fn what_is_seen_first_and_what_stays_is_not_told() {
        let online = || sender("ONLINE", Some("HIGH"), None);
        let limited = || sender("ONLINE", Some("HIGH"), Some("1K"));
        let silent = || sender("ONLINE:UPDATING", None, None);
        assert_eq!(told(&[(0, online()), (5, online()), (10, limited()), (15, silent()), (20, limited())]), []);
    }

    #[test]
    fn each_change_is_told_once_with_what_it_was_before() {
        let mut offline = sender("OFFLINE", Some("LOW"), Some("10K"));
        offline.offline_reasons = vec!["63020: Business Manager error".into()];
        let mut other = offline.clone();
        other.offline_reasons = vec!["63001: locked".into()];
        let sights = [
            (0, sender("ONLINE", Some("HIGH"), Some("1K"))),
            (5, offline.clone()),
            (10, offline),
            (20, other),
            (30, sender("ONLINE", Some("MEDIUM"), Some("10K"))),
        ];
        let expected = [
            (5, true, "the provider reports the sender as OFFLINE, which was online: 63020: Business Manager error"),
            (5, true, "the quality rating changed from HIGH to LOW"),
            (5, false, "the messaging limit changed from 1K to 10K"),
            (
                20,
                true,
                "the provider reports the sender as OFFLINE, which was offline for other reasons: 63001: locked",
            ),
            (30, false, "the sender is online again"),
            (30, false, "the quality rating changed from LOW to MEDIUM"),
        ];
        assert_eq!(told(&sights), expected.map(|(minute, is_bad, text)| (minute, is_bad, text.to_owned())));
    }

    #[test]
    fn what_goes_back_and_forth_is_told_every_ten_minutes_at_most_and_its_end_is_not_lost() {
        let word = |minute: i64| if minute % 2 == 0 { "HIGH" } else { "LOW" };
        let sights: Vec<_> = (0..60).map(|minute| (minute, sender("ONLINE", Some(word(minute)), None))).collect();
        let told = told(&sights);
        assert!(told.len() <= 6, "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 10), "{told:?}");

        let high = sender("ONLINE", Some("HIGH"), None);
        let low = sender("ONLINE", Some("LOW"), None);
        let end = super::tests::told(&[(0, high.clone()), (1, low), (2, high.clone()), (3, high.clone()), (11, high)]);
        assert_eq!(end.iter().map(|(minute, ..)| *minute).collect::<Vec<_>>(), [1, 11], "{end:?}");
    }

    #[test]
    fn the_providers_words_are_cut() {
        let mut offline = sender("OFFLINE", None, None);
        offline.offline_reasons = vec!["x".repeat(5000); 50];
        let (known, changes) = changes(Some(&seen(&sender("ONLINE", None, None))), &offline, at(0));
        assert!(changes[0].text.len() < 1500 && known.offline_reasons.len() == 5, "{}", changes[0].text.len());
    }
}
