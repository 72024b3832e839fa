use std::path::PathBuf;

use messaging::config::ProviderAccount;
use messaging::secret::Secret;

use super::*;
use crate::sender::secret::Contents;

pub(crate) fn settings() -> SenderSettings {
    SenderSettings {
        public_base_url: "https://wa.example.com/".parse().unwrap(),
        provider_base_urls: Default::default(),
        allow_private_sinks: false,
        poll_interval: std::time::Duration::from_secs(300),
    }
}

/// The quickstart's sender, with which most tenants begin.
pub(crate) fn sender() -> WhatsAppSender {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/30-sender.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn id() -> Id<SenderName> {
    Id { tenant: "shop".parse().unwrap(), name: "support".parse().unwrap() }
}

fn contents(values: &[(&str, &str)]) -> Contents {
    values.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect()
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn found() -> Found {
    Found {
        credentials: contents(&[("authToken", TOKEN)]),
        signing: [("events".to_owned(), contents(&[("secret", "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHM=")]))].into(),
    }
}

fn refused(sender: &WhatsAppSender, found: &Found) -> String {
    validate(sender, &id(), found, &settings()).unwrap_err().to_string()
}

#[test]
fn the_quickstart_is_valid_and_its_auth_token_both_calls_and_verifies() {
    let desired = validate(&sender(), &id(), &found(), &settings()).unwrap();
    let ProviderAccount::Twilio(account) = &desired.config.provider;
    assert_eq!(account.username, account.account_sid);
    assert_eq!((account.password.expose(), account.webhook_keys[0].expose()), (TOKEN, TOKEN));
    assert_eq!(desired.config.events.len(), 1);
    assert!(!desired.config.paused);
}

#[test]
fn an_api_key_calls_and_the_auth_token_still_verifies() {
    let mut found = found();
    found
        .credentials
        .extend(contents(&[("apiKeySid", "SK11111111111111111111111111111111"), ("apiKeySecret", "secret")]));
    let desired = validate(&sender(), &id(), &found, &settings()).unwrap();
    let ProviderAccount::Twilio(account) = &desired.config.provider;
    assert_eq!(
        (account.username.as_str(), account.password.expose()),
        ("SK11111111111111111111111111111111", "secret")
    );
    assert_eq!(account.webhook_keys[0].expose(), TOKEN);
}

#[test]
fn a_token_that_will_be_promoted_verifies_and_calls_beside_the_one_in_use() {
    let secondary = "fedcba9876543210fedcba9876543210";
    let mut found = found();
    found.credentials.extend(contents(&[("secondaryAuthToken", secondary)]));
    let of = |found: &Found| validate(&sender(), &id(), found, &settings()).unwrap();
    let Desired { config, next: Some(next), .. } = of(&found) else { panic!("it has a next token") };
    assert_eq!(config.provider.caller()[3], TOKEN, "as long as nobody knows whether it is accepted");
    assert_eq!((config.provider.webhook_keys().len(), next.key), (1, "secondaryAuthToken"));
    assert_eq!((next.probe.caller()[3], next.if_accepted.caller()[3]), (secondary, secondary));
    let keys: Vec<_> = next.if_accepted.webhook_keys().iter().map(Secret::expose).collect();
    assert_eq!(keys, [TOKEN, secondary]);

    let key = "SK11111111111111111111111111111111";
    found.credentials.extend(contents(&[("apiKeySid", key), ("apiKeySecret", "secret")]));
    let Desired { next: Some(next), .. } = of(&found) else { panic!("it has a next token") };
    assert_eq!((next.probe.caller()[3], next.if_accepted.caller()[2]), (secondary, key));
}

#[test]
fn an_error_about_a_secret_does_not_reveal_it() {
    for (credentials, expected) in [
        (vec![], "has no authToken"),
        (vec![("authToken", "")], "has no authToken"),
        (vec![("authToken", "two words")], "expected 32 letters and digits"),
        (vec![("authToken", TOKEN), ("secondaryAuthToken", "two words")], "invalid secondaryAuthToken"),
        (vec![("authToken", TOKEN), ("apiKeySid", "SK1")], "without an apiKeySecret"),
        (vec![("authToken", TOKEN), ("apiKeySecret", "s")], "without an apiKeySid"),
        (vec![("authToken", TOKEN), ("apiKeySid", "AC1"), ("apiKeySecret", "s")], "expected SK"),
    ] {
        let error = refused(&sender(), &Found { credentials: contents(&credentials), ..found() });
        assert!(error.contains(expected) && error.contains("\"twilio\""), "{error}");
        assert!(!error.contains(TOKEN) && !error.contains("two words"), "{error}");
    }
}

#[test]
fn a_signing_secret_that_the_data_plane_would_refuse_is_refused_here() {
    for value in ["secret", "whsec_", "whsec_***", "whsec_c2hvcnQ="] {
        let signing = [("events".to_owned(), contents(&[("secret", value)]))].into();
        let error = refused(&sender(), &Found { signing, ..found() });
        assert!(
            error.starts_with("spec.events[0].http.signingSecretRef: ") && error.contains("24 to 64 bytes"),
            "{error}"
        );
    }
    let error = refused(&sender(), &Found { signing: [("events".to_owned(), contents(&[]))].into(), ..found() });
    assert!(error.contains("has no key \"secret\""), "{error}");
}

#[test]
fn a_url_that_would_receive_each_event_twice_is_refused() {
    let mut sender = sender();
    let mut again = sender.spec.events[0].clone();
    // Another spelling of the same URL.
    let url = again.http.as_mut().unwrap();
    url.url = url.url.replacen("http", "HTTP", 1);
    sender.spec.events.push(again);
    let error = refused(&sender, &found());
    assert!(error.starts_with("spec.events[1].http.url: "), "{error}");
}

#[test]
fn how_long_messages_are_valid_is_compiled_for_each_category() {
    let mut sender = sender();
    assert_eq!(validate(&sender, &id(), &found(), &settings()).unwrap().config.validity, Validity::default());
    sender.spec.validity.authentication = "2m".into();
    sender.spec.validity.marketing = "3d".into();
    let validity = validate(&sender, &id(), &found(), &settings()).unwrap().config.validity;
    let expected = Validity { authentication_seconds: 120, utility_seconds: 86_400, marketing_seconds: 3 * 86_400 };
    assert_eq!(validity, expected);
    sender.spec.validity.utility = "soon".into();
    let error = refused(&sender, &found());
    assert!(error.starts_with("spec.validity.utility: "), "{error}");
}

#[test]
fn a_paused_sender_sends_nothing() {
    let mut sender = sender();
    sender.annotations_mut().insert(crds::annotation::PAUSED.into(), "true".into());
    assert!(validate(&sender, &id(), &found(), &settings()).unwrap().config.paused);
}

fn rate(rate: Option<MessageRate>, is_sandbox: bool) -> Result<Limits, Invalid> {
    let mut sender = sender();
    sender.spec.limits.messages_per_second = rate;
    sender.spec.provider.twilio.as_mut().unwrap().sandbox = is_sandbox;
    validate(&sender, &id(), &found(), &settings()).map(|desired| desired.config.limits)
}

#[test]
fn a_rate_that_the_sandbox_does_not_take_is_refused_with_one_that_it_takes() {
    for too_fast in [MessageRate::Whole(80), MessageRate::Text("0.334".into())] {
        assert_eq!(
            rate(Some(too_fast), true).unwrap_err().to_string(),
            "spec.limits.messagesPerSecond: is more than the one message in 3 seconds that Twilio's Sandbox takes; leave it out, or set it to \"0.33\""
        );
    }
    let nonsense = rate(Some(MessageRate::Text("fast".into())), false).unwrap_err().to_string();
    assert!(
        nonsense.starts_with("spec.limits.messagesPerSecond: \"fast\" is not a rate: expected 0.01 to"),
        "{nonsense}"
    );
}

#[test]
fn a_sender_sends_80_a_second_by_default_and_the_sandbox_one_in_three() {
    let limits =
        |rate, millis, burst| Limits { messages_per_second: rate, interval_millis: millis, burst, ..Limits::default() };
    let text = |rate: &str| Some(MessageRate::Text(rate.into()));
    assert_eq!(rate(None, false).unwrap(), Limits::default());
    assert_eq!(rate(Some(MessageRate::Whole(10)), false).unwrap(), limits(10, None, 60));
    assert_eq!(rate(text("10"), false).unwrap(), limits(10, None, 60));
    assert_eq!(rate(text("2.5"), false).unwrap(), limits(1, Some(400), 60));
    assert_eq!(rate(text("0.5"), false).unwrap(), limits(1, Some(2000), 1));
    assert_eq!(rate(None, true).unwrap(), limits(1, Some(3250), 1));
    assert_eq!(rate(text("0.2"), true).unwrap(), limits(1, Some(5250), 1));
    // Its rate is strict, whatever is declared.
    let mut sender = sender();
    sender.spec.limits.burst = Some(20);
    let burst = |sender: &WhatsAppSender| validate(sender, &id(), &found(), &settings()).unwrap().config.limits.burst;
    assert_eq!(burst(&sender), 20);
    sender.spec.provider.twilio.as_mut().unwrap().sandbox = true;
    assert_eq!(burst(&sender), 1);
}
