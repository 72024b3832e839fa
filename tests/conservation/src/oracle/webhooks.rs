//! A webhook that was answered with 2xx is on disk once, and takes effect.

use std::collections::{BTreeMap, BTreeSet};

use super::{About, Broken, Violation, by, meaning};
use crate::logs::{Logs, Outbound};

pub(super) fn judge(logs: &Logs) -> Vec<Violation> {
    let mut violations = inbound(logs);
    violations.extend(statuses(logs));
    violations
}

fn inbound(logs: &Logs) -> Vec<Violation> {
    let mut violations = Vec::new();
    let received: BTreeMap<_, _> = by(&logs.received, |r| {
        (r.application.as_str(), r.provider_message_id.as_deref().filter(|_| r.kind == "received").unwrap_or_default())
    });
    let stored = logs.stored_inbound.as_ref().map(|rows| by(rows, |row| (row.0.as_str(), row.1.as_str())));
    let webhooks = by(&logs.webhooks, |webhook| (webhook.tenant.as_str(), webhook.sid.as_str()));
    for (place, webhooks) in &webhooks {
        let (tenant, sid) = *place;
        let inbound: Vec<_> = webhooks.iter().filter(|webhook| webhook.is_inbound()).collect();
        if inbound.is_empty() {
            continue;
        }
        let violation = |broken, detail: String| Violation::new(broken, tenant, About::Sid(sid.to_owned()), detail);
        let acknowledged = inbound.iter().any(|webhook| webhook.was_acknowledged());
        let ids: BTreeSet<_> = received.get(place).into_iter().flatten().map(|r| r.id.as_str()).collect();
        if acknowledged && ids.is_empty() {
            let detail = "its webhook was answered with 2xx and its application never received it";
            violations.push(violation(Broken::AcknowledgedButNotPublished, detail.to_owned()));
        }
        if ids.len() > 1 {
            violations.push(violation(Broken::PublishedUnderSeveralIds, format!("its application got {ids:?}")));
        }
        if let Some(stored) = &stored {
            let rows = stored.get(place).map_or(0, Vec::len);
            if rows > 1 || (acknowledged && rows == 0) {
                let detail = format!("the database holds it {rows} times");
                violations.push(violation(Broken::AcknowledgedButNotStoredOnce, detail));
            }
        }
    }
    for ((tenant, sid), _) in received.iter().filter(|((_, sid), _)| !sid.is_empty()) {
        if !webhooks.get(&(*tenant, *sid)).is_some_and(|webhooks| webhooks.iter().any(|w| w.is_inbound())) {
            let detail = "an application received it, and no customer wrote it";
            let about = About::Sid((*sid).to_owned());
            violations.push(Violation::new(Broken::PublishedButNeverHappened, tenant, about, detail));
        }
    }
    violations
}

fn statuses(logs: &Logs) -> Vec<Violation> {
    let stored = by(&logs.stored, |s| (s.tenant.as_str(), s.provider_message_id.as_deref().unwrap_or_default()));
    let replaced = replaced(logs);
    let acknowledged = logs.webhooks.iter().filter(|webhook| {
        let place = (webhook.tenant.as_str(), webhook.sid.as_str());
        !webhook.is_inbound() && webhook.was_acknowledged() && !replaced.contains(&place)
    });
    let mut violations = Vec::new();
    for webhook in acknowledged {
        let Some(reported) = meaning(&webhook.reports) else { continue };
        let messages = stored.get(&(webhook.tenant.as_str(), webhook.sid.as_str()));
        let shown = messages.into_iter().flatten().map(|message| message.status).max();
        if shown.is_none_or(|shown| shown < reported) {
            let shown = shown.map_or("no message has its id".to_owned(), |shown| format!("its message shows {shown}"));
            violations.push(Violation::new(
                Broken::AcknowledgedStatusWithoutEffect,
                &webhook.tenant,
                About::Sid(webhook.sid.clone()),
                format!("{} was acknowledged, and {shown}", webhook.reports),
            ));
        }
    }
    violations
}

/// The provider's messages that a resend has replaced. Their outcome is not the message's.
fn replaced(logs: &Logs) -> BTreeSet<(&str, &str)> {
    let resent = logs.asked.iter().filter(|asked| asked.resends);
    let texts: BTreeSet<_> = resent.map(|asked| (asked.tenant.as_str(), asked.text.as_str())).collect();
    let known: BTreeSet<_> = logs.stored.iter().filter_map(|s| s.provider_message_id.as_deref()).collect();
    let is_replaced =
        |o: &&Outbound| texts.contains(&(o.tenant.as_str(), o.text.as_str())) && !known.contains(o.sid.as_str());
    let of_several = by(&logs.provider, |o| (o.tenant.as_str(), o.text.as_str()));
    let of_several = of_several.into_values().filter(|taken| taken.len() > 1).flatten();
    of_several.filter(is_replaced).map(|o| (o.tenant.as_str(), o.sid.as_str())).collect()
}
