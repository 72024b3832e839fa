//! An accepted message leaves at most once and ends exactly once. Nothing else leaves.

use std::collections::{BTreeMap, BTreeSet};

use messaging::lifecycle::MessageStatus;

use super::{About, Broken, Violation, by, meaning};
use crate::logs::{Asked, Logs, Outbound, Stored};

/// Calls for one message, including the first.
const MAX_ATTEMPTS: usize = 8;

pub(super) fn judge(logs: &Logs) -> Vec<Violation> {
    let stored = by(&logs.stored, |s| (s.tenant.as_str(), s.key.as_str()));
    let taken = by(&logs.provider, |o| (o.tenant.as_str(), o.text.as_str()));
    let mut violations = Vec::new();
    for asked in &logs.asked {
        let messages = stored.get(&(asked.tenant.as_str(), asked.key.as_str())).map_or(&[][..], Vec::as_slice);
        let taken = taken.get(&(asked.tenant.as_str(), asked.text.as_str())).map_or(&[][..], Vec::as_slice);
        Story { asked, messages, taken }.judge(&mut violations);
    }
    violations.extend(unasked(logs));
    violations
}

/// Messages that no client requested.
fn unasked(logs: &Logs) -> Vec<Violation> {
    let keys: BTreeSet<_> = logs.asked.iter().map(|a| (a.tenant.as_str(), a.key.as_str())).collect();
    let texts: BTreeSet<_> = logs.asked.iter().map(|a| (a.tenant.as_str(), a.text.as_str())).collect();
    let mut violations = Vec::new();
    for message in logs.stored.iter().filter(|s| !keys.contains(&(s.tenant.as_str(), s.key.as_str()))) {
        let about = About::Message(message.id.clone());
        violations.push(Violation::new(Broken::StoredButNeverAsked, &message.tenant, about, "no client requested it"));
    }
    for outbound in logs.provider.iter().filter(|o| !texts.contains(&(o.tenant.as_str(), o.text.as_str()))) {
        let about = About::Sid(outbound.sid.clone());
        let detail = format!("no client requested {:?}", outbound.text);
        violations.push(Violation::new(Broken::SentWithoutAcceptance, &outbound.tenant, about, detail));
    }
    let mut attempts: BTreeMap<&str, &str> = BTreeMap::new();
    for outbound in &logs.provider {
        let Some(attempt) = &outbound.attempt else { continue };
        if let Some(other) = attempts.insert(attempt, &outbound.sid) {
            let detail = format!("attempt {attempt} made it and {other}");
            let about = About::Sid(outbound.sid.clone());
            violations.push(Violation::new(Broken::SentTwice, &outbound.tenant, about, detail));
        }
    }
    violations
}

/// Checks everything about one request.
struct Story<'a> {
    asked: &'a Asked,
    messages: &'a [&'a Stored],
    taken: &'a [&'a Outbound],
}

impl Story<'_> {
    fn judge(&self, violations: &mut Vec<Violation>) {
        let asked = self.asked;
        let mut broken = |broken, detail: String| {
            violations.push(Violation::new(broken, &asked.tenant, About::Key(asked.key.clone()), detail));
        };
        let accepted: BTreeSet<_> = asked.answers.iter().filter_map(|answer| answer.message.as_deref()).collect();
        let refused = asked.answers.iter().any(|answer| answer.status.is_some_and(is_refusal));
        let stored: BTreeSet<_> = self.messages.iter().map(|message| message.id.as_str()).collect();
        if accepted.is_empty() && !refused {
            broken(Broken::NeverAnswered, format!("{} requests got no answer that decides", asked.answers.len()));
        }
        for id in accepted.difference(&stored) {
            broken(Broken::AcceptedButNotStored, format!("{id} was answered with 202 and does not exist"));
        }
        if accepted.union(&stored).count() > 1 {
            broken(Broken::KeyHasSeveralMessages, format!("answered: {accepted:?}, stored: {stored:?}"));
        }
        let sids: BTreeSet<_> = self.taken.iter().map(|taken| taken.sid.as_str()).collect();
        if sids.len() > 1 && !asked.resends {
            broken(Broken::SentTwice, format!("the provider has {sids:?}"));
        }
        let (again, resent) = (sids.len().saturating_sub(1), self.messages.iter().map(|m| times_resent(m)).sum());
        if (resent > 0 && !asked.resends) || (asked.resends && again > resent) {
            let detail =
                format!("it went back into the queue unresolved {resent} times, and the provider has {sids:?}");
            broken(Broken::SentAgainUnasked, detail);
        }
        if let Some(other) = self.taken.iter().find(|taken| taken.template != asked.template) {
            let detail = format!("{} has template {:?}, asked was {:?}", other.sid, other.template, asked.template);
            broken(Broken::SentOtherContent, detail);
        }
        if accepted.is_empty() && !sids.is_empty() {
            broken(Broken::SentWithoutAcceptance, format!("the provider has {sids:?}, and no client got a 202"));
        }
        let withdrawn = asked.withdrawals.iter().flatten().any(|status| (200..300).contains(status));
        if withdrawn && !sids.is_empty() {
            broken(Broken::SentAlthoughCanceled, format!("the provider has {sids:?}"));
        }
        for message in self.messages {
            self.judge_end(message, withdrawn, &mut broken);
        }
    }

    fn judge_end(&self, message: &Stored, withdrawn: bool, broken: &mut impl FnMut(Broken, String)) {
        let id = &message.id;
        if !message.status.is_terminal() {
            return broken(Broken::NotTerminal, format!("{id} is still {}", message.status));
        }
        if self.was_given_up_too_early(message) {
            let reason = message.reason.as_deref().unwrap_or_default();
            broken(Broken::GivenUpInsteadOfResent, format!("{id} is {}: {reason}", message.status));
        }
        let needs_reason = !matches!(message.status, MessageStatus::Delivered | MessageStatus::Read);
        if needs_reason && message.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            broken(Broken::EndedWithoutReason, format!("{id} is {}", message.status));
        }
        let ends: BTreeSet<_> = message.timeline.iter().map(|line| line.status).filter(|s| s.is_terminal()).collect();
        let read = ends.iter().eq([MessageStatus::Delivered, MessageStatus::Read].iter());
        if (ends.len() != 1 && !read) || !ends.contains(&message.status) {
            broken(Broken::SeveralTerminalStates, format!("{id} is {} and has been {ends:?}", message.status));
        }
        let ended = self.taken.iter().flat_map(|taken| &taken.statuses).filter_map(|status| meaning(status)).max();
        if let Some(contradiction) = contradiction(message.status, ended, self.taken.is_empty(), withdrawn) {
            broken(Broken::ContradictsProvider, format!("{id} is {}, and {contradiction}", message.status));
        }
    }

    /// Whether it ended without proof that it was sent, while it could still be sent again.
    fn was_given_up_too_early(&self, message: &Stored) -> bool {
        let unproven = message.reason.as_ref().is_some_and(|reason| reason.starts_with("unconfirmed: "));
        let attempts: BTreeSet<_> = message.timeline.iter().filter_map(|line| line.attempt.as_ref()).collect();
        let may_be_resent = self.asked.resends && !self.asked.expires && attempts.len() < MAX_ATTEMPTS;
        may_be_resent && message.status == MessageStatus::Failed && unproven
    }
}

/// How often it went back into the queue with an attempt of unknown outcome behind it.
pub fn times_resent(message: &Stored) -> usize {
    let back = [MessageStatus::Unconfirmed, MessageStatus::Queued];
    message.timeline.windows(2).filter(|lines| lines.iter().map(|line| line.status).eq(back)).count()
}

/// Final: a 4xx that is not temporary, as that of a tenant that was removed for a while.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 408 | 429)
}

/// Whether a message can have ended this way, given the furthest status that the provider recorded.
fn contradiction(
    status: MessageStatus,
    ended: Option<MessageStatus>,
    never_taken: bool,
    withdrawn: bool,
) -> Option<String> {
    use MessageStatus::{Canceled, Delivered, Failed, Read};
    let is_delivered = matches!(status, Delivered | Read);
    match ended {
        Some(Delivered | Read) if !is_delivered => Some("the provider delivered it".to_owned()),
        Some(Failed) if is_delivered => Some("the provider did not deliver it".to_owned()),
        None if is_delivered => Some("the provider never sent it".to_owned()),
        _ if status == Canceled && !never_taken => Some("the provider has it".to_owned()),
        _ if status != Canceled && withdrawn => Some("its withdrawal was confirmed".to_owned()),
        _ => None,
    }
}
