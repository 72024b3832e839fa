//! The whole story of a violation, from every log, for the person who investigates it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::logs::Logs;
use crate::oracle::{About, Violation};

/// Everything that the logs hold about it.
pub fn of(logs: &Logs, violation: &Violation) -> String {
    let mut names = BTreeSet::new();
    match &violation.about {
        About::Key(name) | About::Message(name) | About::Sid(name) | About::Event(name) => names.insert(name.clone()),
    };
    // Twice, because each name leads to others: a key to its message, and the message to the provider's id and its
    // webhooks.
    for _ in 0..2 {
        names = related(logs, &violation.tenant, names);
    }
    let is_named = |candidates: &[Option<&str>]| candidates.iter().flatten().any(|name| names.contains(*name));
    let mut story = format!("{violation}\n");
    section(&mut story, "the clients' requests and responses", logs.asked.iter().filter(|a| is_named(&[Some(&a.key)])));
    section(&mut story, "the data plane's record", logs.stored.iter().filter(|s| is_named(&[Some(&s.id)])));
    section(&mut story, "what the provider accepted", logs.provider.iter().filter(|o| is_named(&[Some(&o.sid)])));
    section(&mut story, "the provider's webhooks", logs.webhooks.iter().filter(|w| is_named(&[Some(&w.sid)])));
    section(
        &mut story,
        "what its application received, in order",
        logs.received.iter().filter(|r| is_named(&[Some(&r.id), Some(&r.subject), r.provider_message_id.as_deref()])),
    );
    story
}

fn related(logs: &Logs, tenant: &str, mut names: BTreeSet<String>) -> BTreeSet<String> {
    let mut link = |group: &[Option<&str>]| {
        let group = || group.iter().flatten().filter(|name| !name.is_empty());
        if group().any(|name| names.contains(*name)) {
            names.extend(group().map(|name| (*name).to_owned()));
        }
    };
    for asked in logs.asked.iter().filter(|a| a.tenant == tenant) {
        let mut group = vec![Some(asked.key.as_str()), Some(asked.text.as_str())];
        group.extend(asked.answers.iter().map(|answer| answer.message.as_deref()));
        link(&group);
    }
    for stored in logs.stored.iter().filter(|s| s.tenant == tenant) {
        link(&[Some(&stored.id), Some(&stored.key), stored.provider_message_id.as_deref()]);
    }
    for outbound in logs.provider.iter().filter(|o| o.tenant == tenant) {
        link(&[Some(&outbound.sid), Some(&outbound.text)]);
    }
    for event in logs.received.iter().filter(|r| r.tenant == tenant) {
        link(&[Some(&event.id), Some(&event.subject), event.provider_message_id.as_deref()]);
    }
    names
}

fn section<T: Debug>(story: &mut String, title: &str, items: impl Iterator<Item = T>) {
    let lines: Vec<String> = items.map(|item| format!("    {item:?}\n")).collect();
    story.push_str(&format!("  {title}:\n"));
    story.push_str(&if lines.is_empty() { "    nothing\n".to_owned() } else { lines.concat() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Answer, Asked, Received, Webhook};
    use crate::oracle::Broken;

    #[test]
    fn a_story_follows_a_key_through_every_log() {
        let tenant = || "shop".to_owned();
        let answer = Answer { message: Some("msg_1".into()), ..Answer::default() };
        let event = |subject: &str, sid: &str| Received {
            tenant: tenant(),
            subject: subject.into(),
            provider_message_id: Some(sid.into()),
            ..Received::default()
        };
        let logs = Logs {
            asked: vec![Asked { tenant: tenant(), key: "k1".into(), answers: vec![answer], ..Asked::default() }],
            received: vec![event("msg_1", "SM1"), event("msg_2", "SM2")],
            webhooks: ["SM1", "SM2"].map(|sid| Webhook { sid: sid.into(), ..Webhook::default() }).into(),
            ..Logs::default()
        };
        let violation = Violation {
            broken: Broken::NotTerminal,
            tenant: tenant(),
            about: About::Key("k1".into()),
            detail: "it is still sent".into(),
        };
        let story = of(&logs, &violation);
        assert!(story.contains("SM1") && story.contains("msg_1") && story.contains("it is still sent"), "{story}");
        assert!(!story.contains("SM2") && !story.contains("msg_2"), "{story}");
    }
}
