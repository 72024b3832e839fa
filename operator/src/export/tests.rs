//! Promises about exports, from what an account has to the YAML.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use crds::{MessageTemplate, RoutingPolicy, WhatsAppSender};
use messaging::id::PoolId;
use messaging::provider::admin::{
    FoundContent, Inexpressible, ListedSender, PoolMember, PoolObservation, TemplateHandle, TemplateObservation,
    WebhookTargets,
};
use messaging::template::{Approval, LocalizedContent, TemplateButton, TemplateCategory};

use super::account::Contents;
use super::*;
use crate::template::tests::first_plan;
use crate::testing::FakeAdmin;
use crate::testing::senders::online_sender;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    export: Export,
}

fn options(arguments: &[&str]) -> Export {
    let all = ["export", "--account", ACCOUNT].into_iter().chain(arguments.iter().copied());
    Cli::try_parse_from(all).unwrap().export
}

fn template(handle: &str, name: &str, language: &str, body: &str) -> TemplateObservation {
    TemplateObservation {
        handle: TemplateHandle::new(handle),
        name: name.into(),
        language: language.into(),
        approval: Approval::Approved,
        category: Some(TemplateCategory::Utility),
        content: Ok(FoundContent {
            text: LocalizedContent { body: body.into(), header: None, footer: None, buttons: vec![] },
            examples: BTreeMap::new(),
            unusual_type: None,
        }),
    }
}

fn buttons(mut template: TemplateObservation, buttons: Vec<TemplateButton>) -> TemplateObservation {
    template.content.as_mut().unwrap().text.buttons = buttons;
    template
}

fn sender(number: &str, handle: &str) -> ListedSender {
    ListedSender { number: number.parse().unwrap(), seen: Ok(online_sender(handle)) }
}

fn service(id: &str, members: &[(&str, Option<&str>)]) -> PoolObservation {
    let member = |(handle, number): &(&str, Option<&str>)| PoolMember {
        handle: (*handle).into(),
        number: number.map(|number| number.parse().unwrap()),
    };
    PoolObservation {
        id: PoolId::new(id),
        senders: members.iter().map(member).collect(),
        defers_to_sender: true,
        webhooks: WebhookTargets::default(),
    }
}

/// The templates that are exported, and every line about what is not.
fn exported(templates: &[TemplateObservation]) -> (Vec<MessageTemplate>, Vec<String>) {
    let contents = Contents { templates: templates.to_vec(), ..Contents::default() };
    let Manifests { objects, left_out } = manifests(&options(&["--sender", "counter"]), &contents).unwrap();
    let objects = objects.into_iter().map(|object| serde_json::from_value(object).unwrap()).collect();
    (objects, left_out.iter().map(ToString::to_string).collect())
}

fn languages(template: &MessageTemplate) -> Vec<&str> {
    template.spec.localizations.iter().map(|localization| localization.language.as_str()).collect()
}

#[test]
fn languages_of_what_is_evidently_one_template_become_one_object() {
    let (objects, left_out) = exported(&[
        template("HX1", "order_shipped_en", "en_US", "Hello {{1}}, your parcel is on its way."),
        template("HX2", "order_shipped", "de", "Hallo {{1}}, dein Paket ist unterwegs zu dir."),
        template("HX3", "toys_parcel_sent_0123456789_de_0123456789", "de", "Das Paket ist da."),
        template("HX4", "toys_parcel_sent_0123456789_en_us_9876543210", "en_US", "The parcel is here."),
    ]);
    assert_eq!(left_out, Vec::<String>::new());
    let all: BTreeMap<_, _> = objects.iter().map(|o| (o.metadata.name.clone().unwrap(), languages(o))).collect();
    assert_eq!(
        all,
        [("order-shipped".to_owned(), vec!["de", "en_US"]), ("toys-parcel-sent".to_owned(), vec!["de", "en_US"]),]
            .into()
    );
    assert!(objects.iter().all(|object| object.spec.fallback_language == "en_US"));
}

#[test]
fn languages_whose_shapes_differ_stay_apart_under_names_of_their_own() {
    let reply = |title: &str| TemplateButton::QuickReply { title: title.into(), id: title.into() };
    let marketing = TemplateObservation {
        category: Some(TemplateCategory::Marketing),
        ..template("HX4", "news", "es", "Hola, hay noticias.")
    };
    let (objects, left_out) = exported(&[
        template("HX1", "news", "en", "Hello, there are news."),
        template("HX2", "news", "de", "Hallo {{1}}, es gibt Neues bei uns."),
        buttons(template("HX3", "news", "fr", "Il y a du nouveau."), vec![reply("Oui")]),
        marketing,
        template("HX5", "news", "en", "Hello, there are other news."),
        template("HX6", "news", "it", "Ci sono novità."),
    ]);
    assert_eq!(left_out, Vec::<String>::new());
    let names: BTreeSet<_> = objects.iter().map(|object| object.metadata.name.clone().unwrap()).collect();
    assert_eq!((objects.len(), names.len()), (5, 5));
    let together = objects.iter().find(|object| object.spec.localizations.len() > 1).unwrap();
    assert_eq!(languages(together), ["en", "it"]);
}

#[test]
fn of_templates_with_one_name_and_language_the_approved_one_has_the_name() {
    let of = |handle: &str, approval: Approval| TemplateObservation {
        approval,
        ..template(handle, "news", "en", "Hello, there are news.")
    };
    let paused = Approval::Paused { reason: "low quality".into() };
    let (objects, _) = exported(&[of("HX1", Approval::Pending), of("HX2", paused), of("HX3", Approval::Approved)]);
    let adopted: BTreeMap<_, _> = objects
        .iter()
        .map(|object| (object.metadata.name.clone().unwrap(), object.spec.localizations[0].adopt.concat()))
        .collect();
    let expected = [("news", "HX3"), ("news-2", "HX2"), ("news-3", "HX1")];
    assert_eq!(adopted, expected.map(|(name, handle)| (name.to_owned(), handle.to_owned())).into());
}

#[test]
fn every_exported_template_is_adopted_as_it_is() {
    let url = TemplateButton::Url { title: "Track".into(), url: "https://shop.example/{{2}}".into() };
    let code = TemplateButton::CopyCode { title: "Copy code".into(), code: "{{1}}".into() };
    let mut card = template("HX2", "card", "en", "Hello {{1}}, your parcel {{3}} is on its way.");
    {
        let content = card.content.as_mut().unwrap();
        content.text.footer = Some("Bye".into());
        content.unusual_type = Some("twilio/card".into());
        let examples = [("1", "Ava".to_owned()), ("2", "a\nb".to_owned()), ("3", "x".repeat(257))];
        content.examples = examples.map(|(key, sample)| (key.to_owned(), sample)).into();
    }
    let authentication = TemplateObservation {
        category: Some(TemplateCategory::Authentication),
        ..buttons(template("HX3", "login", "en", ""), vec![code])
    };
    let paused = TemplateObservation {
        approval: Approval::Paused { reason: "low quality".into() },
        ..template("HX4", "paused", "en", "We pause for a while.")
    };
    let pending = TemplateObservation {
        approval: Approval::Pending,
        ..template("HX5", "注文", "ja", "ご注文の品を発送しました。")
    };
    let listed = [
        template("HX1", "plain", "en", "Your parcel is on its way."),
        buttons(card, vec![url]),
        authentication,
        paused,
        pending,
    ];
    let (objects, left_out) = exported(&listed);
    assert_eq!((objects.len(), left_out), (listed.len(), vec![]));
    for object in objects {
        assert_eq!(object.spec.deletion_policy, crds::DeletionPolicy::Retain, "who deletes it, deletes nothing there");
        assert_eq!(first_plan(&object, ACCOUNT, listed.to_vec()), (vec![], vec![]), "{object:#?}");
        let examples: Vec<_> = object.spec.variables.iter().map(|variable| variable.example.as_str()).collect();
        if object.metadata.name.as_deref() == Some("card") {
            assert_eq!(examples, ["Ava", "example", "example"]);
        }
    }
}

#[test]
fn what_no_object_can_say_is_left_out_with_the_reason() {
    let state = |approval: Approval| TemplateObservation { approval, ..template("HX1", "greeting", "en", "Hello.") };
    let no = || "no".to_owned();
    for (listed, why) in [
        (
            TemplateObservation { content: Err(Inexpressible("has media".into())), ..state(Approval::Approved) },
            "it has media",
        ),
        (state(Approval::Unsubmitted), "never submitted for review"),
        (state(Approval::Rejected { reason: no() }), "WhatsApp rejected it: no"),
        (state(Approval::Disabled { reason: no() }), "WhatsApp disabled it: no"),
        (state(Approval::Unknown { word: "odd".into() }), "does not know its state, \"odd\""),
        (TemplateObservation { category: None, ..state(Approval::Approved) }, "no category that this version knows"),
        (
            TemplateObservation { category: Some(TemplateCategory::Authentication), ..state(Approval::Approved) },
            "its category, AUTHENTICATION, do not go together",
        ),
        (template("HX1", "greeting", "en", "Hello {{name}}, all is well."), "\"name\" is not a number"),
        (template("HX1", "greeting", "xx", "Hello."), "spec.localizations[0].language: \"xx\" is not a language"),
        (
            // The linter takes any letter case, and the API server does not.
            buttons(
                template("HX1", "greeting", "en", "Hello."),
                vec![TemplateButton::Url { title: "Go".into(), url: "HTTPS://shop.example".into() }],
            ),
            "must be an http or https URL",
        ),
    ] {
        let (objects, left_out) = exported(&[listed]);
        assert_eq!((objects.len(), left_out.len()), (0, 1), "{why}: {left_out:?}");
        assert!(left_out[0].starts_with("the template \"greeting\" (") && left_out[0].contains(why), "{}", left_out[0]);
    }
}

#[test]
fn a_sender_is_paused_and_names_its_service_where_it_has_one() {
    let contents = Contents {
        senders: vec![sender("+14155238886", "XE1"), sender("+447700900123", "XE2"), sender("+491701234567", "XE3")],
        services: vec![
            service(
                "MG00000000000000000000000000000001",
                &[("XE1", Some("+14155238886")), ("XE2", Some("+447700900123"))],
            ),
            service("MG00000000000000000000000000000002", &[("XE2", Some("+447700900123"))]),
            service("MG00000000000000000000000000000003", &[("MB1", None)]),
        ],
        templates: vec![template("HX1", "greeting", "en", "Hello.")],
    };
    let options = options(&["--namespace", "toys", "--secret", "whatsapp"]);
    let Manifests { objects, left_out } = manifests(&options, &contents).unwrap();
    let senders: Vec<WhatsAppSender> =
        objects[..3].iter().map(|o| serde_json::from_value(o.clone()).unwrap()).collect();
    for sender in &senders {
        assert_eq!(sender.metadata.annotations.as_ref().unwrap()[crds::annotation::PAUSED], "true");
        assert_eq!(sender.metadata.namespace.as_deref(), Some("toys"));
    }
    let twilio: Vec<_> = senders.iter().map(|sender| sender.spec.provider.twilio.clone().unwrap()).collect();
    let services: Vec<_> = twilio.iter().map(|twilio| twilio.messaging_service_sid.as_deref()).collect();
    assert_eq!(services, [Some("MG00000000000000000000000000000001"), None, None]);
    let memberships = twilio.iter().map(|twilio| twilio.messaging_service_membership);
    assert_eq!(memberships.collect::<Vec<_>>(), [Some(crds::ServiceMembership::Managed), None, None]);
    assert_eq!(twilio[0].credentials_secret_ref.name, "whatsapp");
    let lines: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    for expected in [
        "the Messaging Service of the sender +447700900123: it is in MG00000000000000000000000000000001 and MG00000000000000000000000000000002",
        "the Messaging Service MG00000000000000000000000000000003: it has no WhatsApp sender",
        "the Messaging Service MG00000000000000000000000000000001: the account does not say which countries",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} in {lines:#?}");
    }
    // Templates are submitted through the first.
    let template: MessageTemplate = serde_json::from_value(objects.last().unwrap().clone()).unwrap();
    assert_eq!(template.spec.sender_refs[0].name, "sender-14155238886");
}

#[test]
fn a_sender_that_cannot_be_read_is_left_out_with_the_reason() {
    let failure = messaging::failure::Failure::new(messaging::failure::FailureClass::Request, "it has no sid");
    let unread = messaging::provider::ProviderError { failure, http_status: None, retry_after: None };
    let number = "+491701234567".parse().unwrap();
    let senders = vec![ListedSender { number, seen: Err(unread) }, sender("+14155238886", "XE1")];
    let Manifests { objects, left_out } =
        manifests(&options(&[]), &Contents { senders, ..Contents::default() }).unwrap();
    assert_eq!((objects.len(), left_out.len()), (1, 1));
    let left_out = left_out[0].to_string();
    assert!(
        left_out.starts_with("the sender +491701234567: it can't be read: ") && left_out.contains("no sid"),
        "{left_out}"
    );
}

#[test]
fn more_languages_than_an_object_may_have_become_two_and_too_many_variables_none() {
    let languages = messaging::template::languages::LANGUAGES.iter().take(33).copied().collect::<Vec<_>>();
    let templates: Vec<_> = languages
        .iter()
        .map(|language| template(&format!("HX{language}"), "news", language, "Hello, there are news."))
        .collect();
    let (objects, left_out) = exported(&templates);
    assert_eq!(left_out, Vec::<String>::new());
    let sizes: Vec<_> = objects.iter().map(|object| object.spec.localizations.len()).collect();
    assert_eq!(sizes, [32, 1]);

    let body: Vec<_> = (1..=65).map(|n| format!("{{{{{n}}}}} and")).collect();
    let (objects, left_out) = exported(&[template("HX1", "long", "en", &format!("Hello {} more.", body.join(" ")))]);
    assert_eq!((objects.len(), left_out.len()), (0, 1));
    assert!(left_out[0].contains("spec.variables: has 65 entries; expected at most 64"), "{left_out:?}");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_named_and_wrong_credentials_are_told_apart_from_an_outage() {
    for (operation, list) in [
        ("list_senders", "the account's WhatsApp senders can't be listed"),
        ("list_messaging_services", "the account's Messaging Services can't be listed"),
        ("list_templates", "the account's templates can't be listed"),
    ] {
        let admin = FakeAdmin::default();
        admin.fail_operation(operation, 1);
        assert_eq!(account::read(&admin).await.unwrap_err().to_string(), list);
        admin.refuse(operation);
        let refused = account::read(&admin).await.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{list}: the credentials are wrong")), "{refused}");
    }
}

#[test]
fn the_only_service_becomes_the_policy_of_messages_that_name_no_sender() {
    let only = service("MG00000000000000000000000000000001", &[("XE1", Some("+14155238886"))]);
    let contents = Contents { services: vec![only], ..Contents::default() };
    let Manifests { objects, left_out } = manifests(&options(&[]), &contents).unwrap();
    assert_eq!((objects.len(), left_out), (1, vec![]));
    let policy: RoutingPolicy = serde_json::from_value(objects[0].clone()).unwrap();
    assert_eq!(policy.metadata.name.as_deref(), Some("default"));
    assert_eq!(policy.spec.default.messaging_service_sid.as_deref(), Some("MG00000000000000000000000000000001"));
}

#[test]
fn templates_without_a_sender_to_name_are_not_guessed() {
    let contents = Contents { templates: vec![template("HX1", "greeting", "en", "Hello.")], ..Contents::default() };
    let error = manifests(&options(&[]), &contents).unwrap_err().to_string();
    assert!(error.contains("1 templates and no WhatsApp sender") && error.contains("--sender"), "{error}");
}

#[test]
fn the_yaml_reads_back_as_the_objects_and_no_name_can_break_out_of_its_comment() {
    let left_out = [LeftOut::new("the template \"a\nkind: Secret\"", "it\u{85}---\u{2028}breaks")];
    let body = "Hello {{1}}: \"yes\", 'no' # and\nthen # {more} – on: off.";
    let contents = Contents { templates: vec![template("HX1", "on", "nb", body)], ..Contents::default() };
    let options = options(&["--sender", "counter"]);
    let objects = manifests(&options, &contents).unwrap().objects;
    let text = yaml::write(&options, &objects, &left_out).unwrap();
    let (comment, rest) = text.split_once("---\n").unwrap();
    assert!(comment.lines().all(|line| line.starts_with('#')), "{comment}");
    assert!(comment.contains("# Left out (1):\n#   - the template \"a kind: Secret\": it --- breaks\n"), "{comment}");
    let read: Value = serde_yaml::from_str(rest).unwrap();
    assert_eq!(read, objects[0]);
    assert_eq!(read["spec"]["localizations"][0]["body"], body);
}

#[test]
fn credentials_come_from_the_environment_and_are_never_repeated() {
    let of = |variables: &[(&str, &str)]| {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        credentials::of(&options(&[]), &|name| variables.get(name).cloned())
    };
    let caller = |variables| of(variables).unwrap().caller().join(" ");
    assert!(caller(&[("TWILIO_AUTH_TOKEN", "token\n")]).contains(&format!("{ACCOUNT} token")));
    let key = [("TWILIO_API_KEY", "SK1"), ("TWILIO_API_SECRET", "hush"), ("TWILIO_AUTH_TOKEN", "token")];
    assert!(caller(&key).contains("SK1 hush"));
    for (variables, expected) in [
        (&[][..], "TWILIO_AUTH_TOKEN is not set: set it to"),
        (&[("TWILIO_API_KEY", "SK1")], "TWILIO_API_KEY is set and TWILIO_API_SECRET is not"),
        (&[("TWILIO_API_SECRET", "hush")], "TWILIO_API_SECRET is set and TWILIO_API_KEY is not"),
        (&[("TWILIO_AUTH_TOKEN", "hush hush")], "TWILIO_AUTH_TOKEN has blanks"),
        (&[("TWILIO_API_KEY", "hush"), ("TWILIO_API_SECRET", "hush")], "TWILIO_API_KEY is not the SID of an API key"),
    ] {
        let error = of(variables).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    let error = Cli::try_parse_from(["export", "--account", "hush"]).unwrap_err().to_string();
    assert!(error.contains("--account") && error.contains("AC and 32") && !error.contains("hush"), "{error}");
}
