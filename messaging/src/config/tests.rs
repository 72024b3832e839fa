use proptest::prelude::*;

use super::*;
use crate::id::{PolicyName, PoolId};
use crate::routing::Route;
use crate::template::{
    AccountTemplate, Approval, LocalizationConfig, LocalizedContent, TemplateButton, TemplateCategory,
};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const SERVICE: &str = "MG00000000000000000000000000000001";

/// A config in which every field is set.
pub(super) fn full() -> TenantConfig {
    let url = |url: &str| Url::parse(url).expect("a URL");
    let sender = SenderConfig {
        phone_number: "+14155238886".parse().expect("a number"),
        provider: ProviderAccount::Twilio(TwilioAccount {
            account_sid: ACCOUNT.into(),
            username: "SK00000000000000000000000000000001".into(),
            password: Secret::new("hush-password"),
            webhook_keys: vec![Secret::new("hush-token-new"), Secret::new("hush-token-old")],
            messaging_service_sid: Some(SERVICE.into()),
            base_url: Some(url("http://sandbox.example:8080/")),
        }),
        limits: Limits { messages_per_second: 10, interval_millis: None, burst: 5, max_concurrency: 4 },
        opt_out: OptOutConfig {
            stop_reply: Some("Bye.".into()),
            start_reply: Some("Hi.".into()),
            ..Default::default()
        },
        consent: ConsentConfig { required: true, max_age_seconds: Some(31_536_000) },
        retention: Retention::default(),
        validity: Validity { authentication_seconds: 300, ..Validity::default() },
        events: vec![SinkConfig::Http(HttpSink {
            name: None,
            url: url("https://shop.example/events"),
            signing_secrets: vec![Secret::new("whsec_aHVzaC1zaWduaW5nLXNlY3JldC0wMDAx")],
        })],
        paused: true,
    };
    let template = TemplateConfig {
        category: TemplateCategory::Utility,
        variables: vec!["1".into()],
        fallback_language: "en_US".into(),
        localizations: BTreeMap::from([(
            "en_US".to_owned(),
            LocalizationConfig {
                content: LocalizedContent {
                    body: "Hi {{1}}, your order has left our house.".into(),
                    header: Some("Your order".into()),
                    footer: Some("The shop".into()),
                    buttons: vec![
                        TemplateButton::QuickReply { title: "Thanks".into(), id: "thanks".into() },
                        TemplateButton::Url { title: "Track".into(), url: "https://shop.example/o/{{1}}".into() },
                        TemplateButton::PhoneNumber { title: "Call".into(), phone: "+14155238886".into() },
                        TemplateButton::CopyCode { title: "Copy".into(), code: "SAVE10".into() },
                    ],
                },
                accounts: BTreeMap::from([
                    (ACCOUNT.to_owned(), AccountTemplate { handle: "HX1".into(), approval: Approval::Approved }.into()),
                    (
                        "AC2".to_owned(),
                        AccountTemplate {
                            handle: "HX2".into(),
                            approval: Approval::Rejected { reason: "INVALID_FORMAT".into() },
                        }
                        .into(),
                    ),
                ]),
            }
            .into(),
        )])
        .into(),
    };
    let name = SenderName::new("support").expect("a name");
    let target = |service: Option<&str>| Route { sender: name.clone(), via: service.map(PoolId::new) };
    let policy =
        RoutingConfig { default: target(None), by_country: BTreeMap::from([("GB".to_owned(), target(Some(SERVICE)))]) };
    TenantConfig {
        format: FORMAT,
        tenant: TenantId::new("shop").expect("a tenant"),
        cell: Some("eu-1".into()),
        public_base_url: url("https://wa.example.com"),
        senders: BTreeMap::from([(name.clone(), sender)]),
        templates: BTreeMap::from([(TemplateName::new("order-shipped").expect("a name"), template)]),
        policies: BTreeMap::from([(PolicyName::new("default").expect("a name"), policy)]),
        default_policy: Some(PolicyName::new("default").expect("a name")),
        pools: BTreeMap::from([(
            PoolId::new(SERVICE),
            PoolConfig { numbers: ["+14155238886", "+447700900999"].map(|n| n.parse().expect("a number")).into() },
        )]),
        api_keys: vec![ApiKeyConfig { name: "shop-app".into(), sha256: "0".repeat(64) }],
    }
}

#[test]
fn the_format_on_disk_changes_only_on_purpose() {
    insta::assert_snapshot!(String::from_utf8(full().to_json()).expect("UTF-8"));
}

#[test]
fn a_config_reads_back_as_it_was_written() {
    let config = full();
    assert_eq!(TenantConfig::from_json(&config.tenant, &config.to_json()), Ok(config));
}

#[test]
fn the_config_of_a_tenant_without_pools_is_the_same_as_before_there_were_any() {
    let without = TenantConfig { pools: BTreeMap::new(), ..full() };
    assert!(!String::from_utf8(without.to_json()).expect("UTF-8").contains("pools"));
}

#[test]
fn senders_of_one_pool_are_each_others_however_a_message_leaves() {
    let mut config = full();
    let support = config.senders.values().next().expect("a sender").clone();
    let sender = |number: &str, declared: bool| {
        let mut sender = SenderConfig { phone_number: number.parse().expect("a number"), ..support.clone() };
        let ProviderAccount::Twilio(account) = &mut sender.provider;
        account.messaging_service_sid = declared.then(|| SERVICE.into());
        sender
    };
    let name = |name: &str| SenderName::new(name).expect("a name");
    // One is declared to be in the pool, one was observed there, and one is neither.
    config.senders.insert(name("declared"), sender("+14155238887", true));
    config.senders.insert(name("observed"), sender("+447700900999", false));
    config.senders.insert(name("alone"), sender("+14155238888", false));
    let others = |sender: &str, via: Option<&str>| {
        let others = config.others_in_pool(&Route { sender: name(sender), via: via.map(PoolId::new) });
        others.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(others("support", None), ["declared", "observed"]);
    assert_eq!(others("observed", Some(SERVICE)), ["declared", "support"]);
    assert_eq!(others("alone", Some(SERVICE)), ["declared", "observed", "support"]);
    assert_eq!(others("alone", None), [""; 0]);
}

#[test]
fn the_senders_of_a_pool_are_those_that_have_one_of_its_numbers() {
    let config = full();
    let names = |pool: &str| config.senders_in(&PoolId::new(pool)).map(SenderName::as_str).collect::<Vec<_>>();
    assert_eq!((names(SERVICE), names("MG2")), (vec!["support"], vec![]));
}

#[test]
fn a_config_with_the_default_validity_reads_in_a_data_plane_that_does_not_know_the_field() {
    let mut config = full();
    config.senders.values_mut().for_each(|sender| sender.validity = Validity::default());
    let written = String::from_utf8(config.to_json()).expect("UTF-8");
    assert!(!written.contains("validity"), "{written}");
    assert_eq!(TenantConfig::from_json(&config.tenant, written.as_bytes()), Ok(config));
}

#[test]
fn a_rate_in_whole_messages_reads_as_before_there_were_others() {
    let mut config = full();
    assert!(!String::from_utf8(config.to_json()).expect("UTF-8").contains("intervalMillis"));
    config.senders.values_mut().for_each(|sender| sender.limits.interval_millis = Some(3000));
    assert_eq!(TenantConfig::from_json(&config.tenant, &config.to_json()), Ok(config.clone()));
    config.senders.values_mut().for_each(|sender| sender.limits.interval_millis = Some(0));
    let findings: Vec<_> = config.validate().iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [
            "senders.support.limits.intervalMillis: is 0; expected at least 1, or none for a whole number of messages per second"
        ]
    );
}

#[test]
fn each_category_has_a_validity_and_free_form_text_has_that_of_utility() {
    let validity = Validity { authentication_seconds: 1, utility_seconds: 2, marketing_seconds: 3 };
    let seconds = |category| validity.of(category).as_secs();
    assert_eq!(seconds(Some(TemplateCategory::Authentication)), 1);
    assert_eq!((seconds(Some(TemplateCategory::Utility)), seconds(None)), (2, 2));
    assert_eq!(seconds(Some(TemplateCategory::Marketing)), 3);
}

#[test]
fn no_debug_output_of_a_config_shows_a_secret() {
    let config = full();
    for shown in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(shown.contains("[redacted]"));
        for secret in ["hush", "aHVzaC"] {
            assert!(!shown.contains(secret), "{secret} is shown");
        }
    }
    let in_clear = String::from_utf8(config.to_json()).expect("UTF-8");
    assert!(in_clear.contains("hush-password"), "the compiled config must carry it");
}

#[test]
fn a_config_of_another_format_or_tenant_is_distinguished_from_a_broken_one() {
    let mut config = full();
    let tenant = config.tenant.clone();
    let other = TenantId::new("bank").expect("a tenant");
    let wrong = TenantConfig::from_json(&other, &config.to_json());
    assert_eq!(wrong, Err(InvalidConfig::WrongTenant { expected: other, found: tenant.clone() }));
    config.format = 2;
    let newer = TenantConfig::from_json(&tenant, &config.to_json());
    assert_eq!(newer, Err(InvalidConfig::UnknownFormat { found: 2 }));
    for broken in ["", "null", "[]", "{}", "{\"format\": 1}", "{\"format\": \"1\"}", "\u{0}"] {
        let result = TenantConfig::from_json(&tenant, broken.as_bytes());
        assert!(matches!(result, Err(InvalidConfig::Malformed(_))), "{broken:?}: {result:?}");
    }
}

#[test]
fn a_good_config_has_no_findings() {
    assert_eq!(full().validate(), []);
}

#[test]
fn what_a_config_cannot_mean_is_found_with_its_path() {
    let mut config = full();
    let (name, mut sender) = config.senders.pop_first().expect("one sender");
    config.senders.insert(SenderName::new("again").expect("a name"), sender.clone());
    sender.limits.burst = 0;
    sender.validity.marketing_seconds = 9;
    let SinkConfig::Http(sink) = &mut sender.events[0];
    sink.signing_secrets = vec![Secret::new("whsec_short")];
    sink.url = Url::parse("ftp://shop.example").expect("a URL");
    let ProviderAccount::Twilio(account) = &mut sender.provider;
    account.webhook_keys.clear();
    account.messaging_service_sid = Some("MG1".into());
    config.senders.insert(name, sender);
    let policy = config.policies.values_mut().next().expect("one policy");
    policy.default.sender = SenderName::new("gone").expect("a name");
    policy.by_country.insert("gb".into(), policy.by_country["GB"].clone());
    config.templates.values_mut().next().expect("one template").fallback_language = "de".into();
    config.api_keys[0].sha256 = "the key itself".into();
    let findings: Vec<_> = config.validate().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(findings.join("\n"), @r#"
    senders.support.provider.twilio.webhookKeys: has no key, or an empty one; expected the account's auth token, or no webhook can be verified
    senders.support.provider.twilio.messagingServiceSid: "MG1" is not a SID of this kind; expected MG and 32 hexadecimal digits
    senders.support.limits.burst: is 0; expected at least 1, or paused: true to send nothing
    senders.support.validity.marketingSeconds: is 9; expected 10 to 2592000
    senders.support.events[0].http.url: "ftp" is not the scheme of a web URL; expected https://…
    senders.support.events[0].http.signingSecrets[0]: is not a Standard Webhooks secret; expected whsec_ and the base64 of 24 to 64 bytes
    senders.support.phoneNumber: is already the number of senders.again at the same account
    templates.order-shipped.fallbackLanguage: "de" has no entry in localizations (known: en_US)
    policies.default.default.sender: gone has no entry in senders (known: again, support)
    policies.default.byCountry.gb: is not a country; expected two upper-case letters, such as GB
    apiKeys[0].sha256: is not a SHA-256 digest; expected 64 lower-case hexadecimal digits
    "#);
}

proptest! {
    #[test]
    fn no_damage_to_a_config_breaks_its_reader(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let config = full();
        let mut bytes = config.to_json();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(read) = TenantConfig::from_json(&config.tenant, &bytes) {
            read.validate();
        }
    }
}
