//! Twilio's own Sandbox for WhatsApp: a number that all accounts share, where only phones that have joined get
//! messages.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{approvals::Approval, contents::Content};

/// The number that all accounts share.
pub(crate) const NUMBER: &str = "+14155238886";
/// How long a phone takes part.
const MEMBERSHIP: SignedDuration = SignedDuration::from_hours(72);
/// The time between two messages.
const INTERVAL: SignedDuration = SignedDuration::from_secs(3);

/// One account's part of the Sandbox.
#[derive(Debug, Clone)]
pub(crate) struct TryOut {
    join_code: String,
    /// When each phone joined, by its bare address.
    joined: BTreeMap<String, Timestamp>,
    last_sent: Option<Timestamp>,
}

impl TryOut {
    pub(crate) fn new(join_code: String) -> Self {
        Self { join_code, joined: BTreeMap::new(), last_sent: None }
    }

    /// Whether this is how a phone joins.
    pub(crate) fn is_joined_by(&self, words: &str) -> bool {
        words.trim().to_lowercase().strip_prefix("join ").is_some_and(|code| code.trim() == self.join_code)
    }

    pub(crate) fn join(&mut self, phone: &str, now: Timestamp) {
        self.joined.insert(phone.to_owned(), now);
    }

    pub(crate) fn has_joined(&self, phone: &str, now: Timestamp) -> bool {
        self.joined.get(phone).is_some_and(|joined| now.duration_since(*joined) < MEMBERSHIP)
    }

    /// Whether a message may be sent now.
    pub(crate) fn is_free(&self, now: Timestamp) -> bool {
        self.last_sent.is_none_or(|last| now.duration_since(last) >= INTERVAL)
    }

    pub(crate) fn sends(&mut self, now: Timestamp) {
        self.last_sent = Some(now);
    }
}

/// The contents that the Sandbox sends to anybody who has joined. They belong to no account, and no list has them.
pub(crate) fn contents(now: Timestamp) -> impl Iterator<Item = Content> {
    CONTENTS.iter().map(move |&(sid, name, category, variables, body)| {
        let variables: Map<String, Value> =
            (1..).map(|n: u32| n.to_string()).zip(variables.iter().map(|&v| json!(v))).collect();
        Content {
            sid: sid.to_owned(),
            account: String::new(),
            friendly_name: name.to_owned(),
            language: "en".to_owned(),
            variables,
            types: [("twilio/text".to_owned(), json!({"body": body}))].into_iter().collect(),
            approval: Some(Approval {
                name: name.to_owned(),
                category: category.to_owned(),
                content_type: "twilio/text".to_owned(),
                status: "approved".to_owned(),
                rejection_reason: String::new(),
                allow_category_change: false,
                verdict: None,
            }),
            created: now,
            updated: now,
            number: 0,
        }
    })
}

type Row = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const CONTENTS: [Row; 3] = [
    (
        "HXb5b62575e6e4ff6129ad7c8efe1f983e",
        "appointment_reminders",
        "UTILITY",
        &["12/1", "3pm"],
        "Your appointment is coming up on {{1}} at {{2}}. If you need to change it, please reply back and let us know.",
    ),
    (
        "HX350d429d32e64a552466cafecbe95f3c",
        "order_notifications",
        "UTILITY",
        &["12/1", "3pm"],
        "Thank you for your order. Your delivery is scheduled for {{1}} at {{2}}. If you need to change it, please reply back and let us know.",
    ),
    (
        "HX229f5a04fd0510ce1b071852155d3e75",
        "verification_codes",
        "AUTHENTICATION",
        &["409173"],
        "{{1}} is your verification code. For your security, do not share this code.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_takes_part_for_three_days_after_it_joined() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let mut try_out = TryOut::new("plenty-tiger".to_owned());
        assert!(!try_out.is_joined_by("plenty-tiger") && !try_out.is_joined_by("join plenty-cat"));
        assert!(try_out.is_joined_by(" Join plenty-tiger "));
        assert!(!try_out.has_joined("+44", at(0)));
        try_out.join("+44", at(0));
        assert_eq!([0, 71, 72].map(|hour| try_out.has_joined("+44", at(hour))), [true, true, false]);
    }
}
