use proptest::prelude::*;

use super::*;
use crate::template::TemplateButton;

fn content(body: &str) -> LocalizedContent {
    LocalizedContent { body: body.into(), header: None, footer: None, buttons: vec![] }
}

fn draft(variables: &[&str], localizations: Vec<(&str, LocalizedContent)>) -> Draft {
    Draft {
        variables: variables.iter().map(|&key| Variable { key: key.into(), example: "Ava".into() }).collect(),
        localizations: localizations.into_iter().map(|(l, c)| (l.to_owned(), c)).collect(),
        fallback_language: "en_US".into(),
    }
}

fn findings(draft: &Draft) -> Vec<String> {
    lint(draft).iter().map(ToString::to_string).collect()
}

/// What is found in one body, without its path.
fn in_body(variables: &[&str], body: &str) -> Vec<String> {
    let found = findings(&draft(variables, vec![("en_US", content(body))]));
    found.into_iter().map(|f| f.trim_start_matches("spec.localizations[0]").to_owned()).collect()
}

fn in_buttons(buttons: Vec<TemplateButton>) -> Vec<String> {
    let used = buttons.iter().any(|b| matches!(b, TemplateButton::Url { url, .. } if url.contains("{{1}}")));
    let variables: &[&str] = if used { &["1"] } else { &[] };
    findings(&draft(variables, vec![("en_US", LocalizedContent { buttons, ..content("Hello there") })]))
}

#[test]
fn a_good_template_has_no_findings() {
    let full = LocalizedContent {
        body: "Hi {{1}}, your order {{2}} has left our house today.\n\nThank you for your trust!".into(),
        header: Some("Order {{2}}".into()),
        footer: Some("Reply STOP to hear no more".into()),
        buttons: vec![
            TemplateButton::QuickReply { title: "Thanks".into(), id: "thanks".into() },
            TemplateButton::Url { title: "Track it".into(), url: "https://shop.example/o/{{2}}".into() },
            TemplateButton::PhoneNumber { title: "Call us".into(), phone: "+447700900123".into() },
            TemplateButton::CopyCode { title: "Copy".into(), code: "SAVE10".into() },
        ],
    };
    let shorter = content("Hallo {{1}}, deine Bestellung ist unterwegs.");
    assert_eq!(findings(&draft(&["1", "2"], vec![("en_US", full), ("de", shorter)])), [""; 0]);
    assert_eq!(in_body(&["1"], "您的验证码是{{1}}，请勿泄露。"), [""; 0], "no spaces, so no words to count");
}

#[test]
fn a_text_that_whatsapp_writes_itself_needs_no_body() {
    let code = TemplateButton::CopyCode { title: "Copy code".into(), code: "{{1}}".into() };
    let content = LocalizedContent { buttons: vec![code], ..content("") };
    assert_eq!(findings(&draft(&["1"], vec![("en_US", content)])), [""; 0]);
}

#[test]
fn each_finding_names_the_field_and_what_would_be_right() {
    let bad = draft(
        &["1", "2", "2", "x"],
        vec![
            ("en_US", content("Hi {{1}}, how are you doing today")),
            ("de-DE", content("Hallo {{3}}, wie geht es dir heute")),
        ],
    );
    insta::assert_snapshot!(findings(&Draft { fallback_language: "fr".into(), ..bad }).join("\n"), @r#"
    spec.variables[1]: no localization uses {{2}}; remove it, or use it
    spec.variables[2].key: "2" is already declared in spec.variables[1]
    spec.variables[3].key: "x" is not a number; expected "1", "2", and so on
    spec.variables[3]: no localization uses {{x}}; remove it, or use it
    spec.localizations[1].language: "de-DE" is not a language of WhatsApp's; expected one of de, de_AT, de_CH
    spec.fallbackLanguage: "fr" has no entry in spec.localizations (known: de-DE, en_US)
    spec.localizations[1].body: {{3}} has no entry in spec.variables (known: 1, 2, x)
    spec.localizations[1]: uses {{3}}, but not {{1}}; number the placeholders 1, 2, … without a gap
    "#);
}

#[test]
fn placeholders_need_words_around_them() {
    assert_eq!(
        in_body(&["1"], "{{1}}, your order has left our house"),
        [".body: begins with {{1}}; put words before it"]
    );
    assert_eq!(in_body(&["1"], "We have shipped your order {{1}} "), [".body: ends with {{1}}; put words after it"]);
    for side_by_side in ["To {{1}}{{2}} we say hello and good morning", "To {{1}} {{2}} we say hello and good morning"]
    {
        assert_eq!(
            in_body(&["1", "2"], side_by_side),
            [".body: {{1}} and {{2}} are side by side; put words between them"]
        );
    }
    assert_eq!(in_body(&["1", "2"], "Dear {{1}}, {{2}} is the code of today"), [""; 0]);
}

#[test]
fn a_body_needs_twice_as_many_words_as_variables_and_one() {
    assert_eq!(in_body(&["1"], "Hi {{1}} there you"), [""; 0]);
    assert_eq!(
        in_body(&["1"], "Hi {{1}}, there!"),
        [".body: has 2 words for 1 variables; WhatsApp wants at least 3 (twice the variables and one)"]
    );
}

#[test]
fn broken_braces_are_found() {
    assert_eq!(
        in_body(&[], "Hi {{ 1 }}, how are you"),
        [".body: \"{{ 1 }}\" is not a placeholder; expected {{1}}, with no space inside"]
    );
    assert_eq!(in_body(&[], "Hi {{1, how are you doing my friend").len(), 1);
}

#[test]
fn texts_have_limits_in_characters() {
    assert_eq!(in_body(&[], &"ü".repeat(1024)), [""; 0]);
    assert_eq!(in_body(&[], &"ü".repeat(1025)), [".body: has 1025 characters; expected at most 1024"]);
    assert_eq!(in_body(&[], " "), [".body: is empty; expected 1 to 1024 characters"]);
    let content = LocalizedContent {
        header: Some("{{1}} and {{2}}".into()),
        footer: Some(format!("{{{{1}}}}{}", "a".repeat(60))),
        ..content("Dear {{1}} and dear {{2}}, we wish you a good day")
    };
    insta::assert_snapshot!(findings(&draft(&["1", "2"], vec![("en_US", content)])).join("\n"), @r"
    spec.localizations[0].header: has more than one placeholder; WhatsApp allows at most one in a header
    spec.localizations[0].footer: has 65 characters; expected at most 60
    spec.localizations[0].footer: has a placeholder; WhatsApp allows none here
    ");
}

#[test]
fn buttons_are_few_short_and_point_somewhere() {
    let url = |url: &str| vec![TemplateButton::Url { title: "Open".into(), url: url.into() }];
    for good in ["https://shop.example", "https://shop.example/o/{{1}}", "http://shop.example/?o={{1}}"] {
        assert_eq!(in_buttons(url(good)), [""; 0], "{good}");
    }
    for bad in ["shop.example", "ftp://shop.example", "https://{{1}}.example/x", "{{1}}", "javascript:alert(1)"] {
        assert!(!in_buttons(url(bad)).is_empty(), "{bad}");
    }
    let reply = |title: &str| TemplateButton::QuickReply { title: title.into(), id: "id".into() };
    let phone = |phone: &str| TemplateButton::PhoneNumber { title: "Call".into(), phone: phone.into() };
    insta::assert_snapshot!(
        in_buttons(vec![reply("Yes"), phone("0800 1"), reply("Yes"), phone("+447700900123"), reply(&"a".repeat(26))]).join("\n"),
        @r#"
    spec.localizations[0].buttons: has 2 phoneNumber buttons; WhatsApp allows at most 1
    spec.localizations[0].buttons: mixes quick replies with other buttons; put all quick replies first or last
    spec.localizations[0].buttons[1].phoneNumber.phone: "0800 1" is not a phone number in E.164: + and 7 to 15 digits, such as +447700900123
    spec.localizations[0].buttons[2].quickReply.title: "Yes" is the title of another button
    spec.localizations[0].buttons[3].phoneNumber.title: "Call" is the title of another button
    spec.localizations[0].buttons[4].quickReply.title: has 26 characters; expected at most 25
    "#);
    let many = (0..11).map(|n| reply(&format!("Reply {n}"))).collect();
    assert_eq!(in_buttons(many), ["spec.localizations[0].buttons: has 11 entries; expected at most 10"]);
}

#[test]
fn an_example_must_be_a_value_that_may_be_sent() {
    let mut draft = draft(&["1"], vec![("en_US", content("Hi {{1}}, how are you"))]);
    draft.variables[0].example = "a\nb".into();
    assert_eq!(
        findings(&draft),
        [
            "spec.variables[0].example: \"a\\nb\" is not a value that WhatsApp accepts; expected a value without line breaks, tabs and control characters"
        ]
    );
}

#[test]
fn headers_footers_and_buttons_are_one_line_without_emoji_and_a_body_may_have_both() {
    let content = LocalizedContent {
        header: Some("*Big* news 🎉".into()),
        footer: Some("The shop\n♥️".into()),
        buttons: vec![TemplateButton::QuickReply { title: "Yes 👍🏽".into(), id: "yes".into() }],
        ..content("Hello 👋\nhow are you?")
    };
    insta::assert_snapshot!(findings(&draft(&[], vec![("en_US", content)])).join("\n"), @r"
    spec.localizations[0].header: has the emoji 🎉; WhatsApp allows none here
    spec.localizations[0].header: has an asterisk; WhatsApp allows no formatting in a header
    spec.localizations[0].footer: has a line break; WhatsApp allows none here
    spec.localizations[0].footer: has the emoji ♥️; WhatsApp allows none here
    spec.localizations[0].buttons[0].quickReply.title: has the emoji 👍; WhatsApp allows none here
    ");
}

proptest! {
    #[test]
    fn no_text_breaks_the_linter(
        body in r"(\PC|\{\{|\}\}|\{\{1\}\}|\s){0,40}",
        url in r"(\PC|\{\{|\}\}|\{\{1\}\}|https://){0,20}",
        key in r"\PC{0,4}",
        language in r"\PC{0,6}",
    ) {
        let buttons = vec![TemplateButton::Url { title: body.clone(), url: url.clone() }, TemplateButton::PhoneNumber { title: key.clone(), phone: url }];
        let content = LocalizedContent { header: Some(body.clone()), footer: Some(body.clone()), body, buttons };
        lint(&draft(&[key.as_str()], vec![(language.as_str(), content)]));
    }
}
