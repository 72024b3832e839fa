use messaging::lifecycle::MessageStatus;
use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn trace() -> Trace {
    Trace {
        to: "+447700900123".parse().unwrap(),
        from: Some("+14155238886".parse().unwrap()),
        said: Said::Text("hello".into()),
        started_at: at(0),
        ended_at: Some(at(30)),
    }
}

fn saying(said: Said) -> Trace {
    Trace { said, ..trace() }
}

fn logged(id: &str) -> ProviderMessage {
    ProviderMessage {
        provider_message_id: id.into(),
        direction: Direction::Outbound,
        from: Some("+14155238886".parse().unwrap()),
        to: Some("+447700900123".parse().unwrap()),
        body: Some("hello".into()),
        files: Some(0),
        status: MessageStatus::Sent,
        failure: None,
        created_at: Some(at(1)),
    }
}

fn words(id: &str, body: Option<&str>) -> ProviderMessage {
    ProviderMessage { body: body.map(str::to_owned), ..logged(id) }
}

/// The verdict in short: an id, `absent`, or why it is unclear.
fn verdict(trace: &Trace, log: &[ProviderMessage], rivals: &[Trace]) -> String {
    match judge(trace, log, |id| id == "SM-known", rivals) {
        Verdict::Ours(message) => message.provider_message_id.clone(),
        Verdict::Absent => "absent".into(),
        Verdict::Unclear(Unclear::Several(n)) => format!("several: {n}"),
        Verdict::Unclear(Unclear::Claimed) => "claimed".into(),
        Verdict::Unclear(Unclear::OtherWords) => "other words".into(),
    }
}

#[test]
fn only_a_message_that_fits_in_every_respect_is_ours() {
    assert_eq!(verdict(&trace(), &[logged("SM1")], &[]), "SM1");
    assert_eq!(
        verdict(&trace(), &[ProviderMessage { from: None, ..logged("SM1") }], &[]),
        "SM1",
        "no sender picked yet"
    );
    for foreign in [
        ProviderMessage { direction: Direction::Inbound, ..logged("SM1") },
        ProviderMessage { to: Some("+447700900124".parse().unwrap()), ..logged("SM1") },
        ProviderMessage { to: None, ..logged("SM1") },
        ProviderMessage { from: Some("+14155238887".parse().unwrap()), ..logged("SM1") },
        ProviderMessage { files: Some(1), ..logged("SM1") },
        ProviderMessage { created_at: None, ..logged("SM1") },
        words("SM1", Some("hello!")),
        logged("SM-known"),
    ] {
        assert_eq!(verdict(&trace(), std::slice::from_ref(&foreign), &[]), "absent", "{foreign:?}");
    }
}

#[test]
fn the_window_is_the_call_and_a_little_more() {
    let fits = |ended_at: Option<i64>, created: i64| {
        let trace = Trace { ended_at: ended_at.map(at), ..trace() };
        let message = ProviderMessage { created_at: Some(at(created)), ..logged("SM1") };
        verdict(&trace, &[message], &[]) == "SM1"
    };
    for (ended_at, from, until) in [
        (Some(2), -5, 17),
        (Some(30), -5, 45),
        // The end was never written, or was written long after.
        (None, -5, 180),
        (Some(86_400), -5, 180),
    ] {
        assert!(fits(ended_at, from) && fits(ended_at, until), "{ended_at:?}");
        assert!(!fits(ended_at, from - 1) && !fits(ended_at, until + 1), "{ended_at:?}");
    }
}

#[test]
fn words_decide_the_fit_by_how_certain_they_are() {
    let rendered = || Said::Rendered(vec!["Your order 7 left.".into(), "Shop Your order 7 left.".into()]);
    let around = || Said::Around(vec!["483920".into()]);
    let file = |caption: Option<&str>| Said::File { caption: caption.map(str::to_owned) };
    for (said, body, files, expected) in [
        (Said::Text("a\n  b ".into()), Some(" a b"), None, "SM1"),
        (Said::Text("a b".into()), Some("A b"), None, "absent"),
        (Said::Text("a b".into()), None, None, "SM1"),
        (rendered(), Some("Your order 7\nleft."), None, "SM1"),
        (rendered(), Some("Shop\n\nYour order 7 left."), None, "SM1"),
        (rendered(), Some("Your order 8 left."), None, "other words"),
        (rendered(), None, None, "SM1"),
        (around(), Some("483920 is your code."), None, "SM1"),
        (around(), Some("483921 is your code."), None, "other words"),
        (Said::Around(vec![]), Some("Welcome"), None, "SM1"),
        (file(Some("invoice")), Some("invoice"), Some(1), "SM1"),
        (file(Some("invoice")), Some("receipt"), Some(1), "absent"),
        (file(None), None, Some(1), "SM1"),
        // A file that the provider has not fetched yet.
        (file(None), None, Some(0), "SM1"),
        (file(None), Some("invoice"), Some(1), "absent"),
        (Said::Unknown, Some("anything"), None, "SM1"),
    ] {
        let message = ProviderMessage { files, ..words("SM1", body) };
        assert_eq!(verdict(&saying(said.clone()), &[message], &[]), expected, "{said:?} {body:?} {files:?}");
    }
}

#[test]
fn several_messages_that_fit_are_never_guessed_among() {
    let log = [logged("SM1"), logged("SM2"), logged("SM-known")];
    assert_eq!(verdict(&trace(), &log, &[]), "several: 2");
    assert_eq!(
        verdict(&trace(), &[logged("SM1"), words("SM2", None)], &[]),
        "several: 2",
        "the second may say the same"
    );
    assert_eq!(verdict(&trace(), &[logged("SM1"), words("SM2", Some("bye"))], &[]), "SM1");
    let template = saying(Said::Rendered(vec!["hello".into()]));
    assert_eq!(
        verdict(&template, &[logged("SM1"), words("SM2", Some("bye"))], &[]),
        "SM1",
        "the words distinguish them"
    );
    assert_eq!(verdict(&template, &[words("SM1", None), words("SM2", Some("bye"))], &[]), "several: 2");
}

#[test]
fn two_lost_attempts_with_the_same_words_never_share_one_message_of_the_log() {
    assert_eq!(verdict(&trace(), &[logged("SM1")], &[trace()]), "claimed");
    assert_eq!(verdict(&trace(), &[logged("SM1"), logged("SM2")], &[trace()]), "several: 2");
}

#[test]
fn two_lost_attempts_are_distinguished_by_words_time_and_sender() {
    for other in [
        saying(Said::Text("bye".into())),
        saying(Said::Rendered(vec!["bye".into()])),
        saying(Said::File { caption: None }),
        Trace { started_at: at(600), ended_at: Some(at(630)), ..trace() },
        Trace { from: Some("+14155238887".parse().unwrap()), ..trace() },
    ] {
        assert_eq!(verdict(&trace(), &[logged("SM1")], std::slice::from_ref(&other)), "SM1", "{other:?}");
    }
    assert_eq!(verdict(&trace(), &[logged("SM1")], &[saying(Said::Unknown)]), "claimed");
}

#[test]
fn without_words_nothing_is_taken_while_another_attempt_is_open() {
    let unknown = saying(Said::Unknown);
    assert_eq!(verdict(&unknown, &[words("SM1", None)], &[]), "SM1");
    for rival in [trace(), unknown.clone(), saying(Said::Rendered(vec!["bye".into()]))] {
        assert_eq!(verdict(&unknown, &[words("SM1", None)], std::slice::from_ref(&rival)), "claimed", "{rival:?}");
    }
    // The rival's config may have changed since, so that its words prove nothing.
    let rival = saying(Said::Rendered(vec!["bye".into()]));
    assert_eq!(verdict(&unknown, &[logged("SM1")], &[rival]), "claimed");
    // A rival that certainly said something else has no claim.
    assert_eq!(verdict(&unknown, &[words("SM1", Some("bye"))], &[trace()]), "SM1");
}

#[test]
fn a_template_is_expected_in_the_words_that_it_has_in_any_of_its_languages() {
    let templates: BTreeMap<TemplateName, TemplateConfig> = serde_json::from_value(json!({
        "shipped": { "category": "UTILITY", "fallbackLanguage": "en", "localizations": {
            "en": { "content": { "body": "Hi {{1}}", "footer": "Shop" } },
            "de": { "content": { "body": "Hallo {{1}}" } },
        }},
        "code": { "category": "AUTHENTICATION", "fallbackLanguage": "en", "localizations": {
            "en": { "content": { "body": "{{1}}" } },
        }},
        "recategorized-code": { "category": "MARKETING", "fallbackLanguage": "en", "localizations": {
            "en": { "content": { "body": "" } },
        }},
    }))
    .unwrap();
    let said = |content: serde_json::Value| {
        let content: OutboundContent = serde_json::from_value(content).unwrap();
        Said::of(Some(&content), &templates)
    };
    let template = |name: &str| said(json!({ "template": { "name": name, "values": { "1": "Ava" } } }));
    let readings = ["Hallo Ava", "Hi Ava", "Hi Ava Shop"].map(str::to_owned).to_vec();
    match template("shipped") {
        Said::Rendered(mut rendered) => {
            rendered.sort();
            rendered.dedup();
            assert_eq!(rendered, readings);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(template("code"), Said::Around(vec!["Ava".into()]));
    assert_eq!(template("recategorized-code"), Said::Around(vec!["Ava".into()]));
    assert_eq!(template("gone"), Said::Unknown);
    assert_eq!(Said::of(None, &templates), Said::Unknown);
    assert_eq!(said(json!({ "text": { "body": "x" } })), Said::Text("x".into()));
}
