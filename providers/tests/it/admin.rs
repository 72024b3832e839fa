//! The operator's calls to Twilio on the wire: pages, credentials, webhooks and templates.

use messaging::failure::FailureClass;
use messaging::id::PoolId;
use messaging::provider::admin::{
    AccountAdmin as _, BusinessProfile, CodeBy, FoundPool, Labelled, PoolAdmin as _, PoolMember, PoolObservation,
    Registered, Registration, RegistrationAdmin as _, SenderAdmin as _, SenderObservation, Stage, TemplateAdmin as _,
    TemplateHandle, TemplateRevision, Verified, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{MessageFilter, MessageLog as _};
use messaging::secret::Secret;
use messaging::template::{LocalizedContent, TemplateCategory};
use serde_json::{Value, json};

use crate::account::twilio_at;
use crate::scripted::{Act, Scripted, answer, json as json_answer};

fn page(rows: &[&str], next: Option<&str>) -> Act {
    let rows: Vec<Value> = rows.iter().map(|sid| json!({"sid": sid, "friendly_name": sid})).collect();
    Act::Say(json_answer(200, &json!({"contents": rows, "meta": {"next_page_url": next, "key": "contents"}})))
}

fn lines(requests: &[String]) -> Vec<&str> {
    requests.iter().map(|request| request.lines().next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_page_is_read_from_the_configured_host_wherever_the_links_point() {
    let peer = Scripted::start(vec![
        page(
            &["HX1", "HX2"],
            Some("https://content.twilio.com/v1/ContentAndApprovals?PageSize=2&Page=1&PageToken=PAHX2"),
        ),
        page(&["HX3"], Some("https://evil.example/v1/ContentAndApprovals?Page=2")),
        page(&[], None),
    ])
    .await;
    let templates = twilio_at(&peer.url).list_templates().await.expect("a list").rows;
    assert_eq!(templates.iter().map(|template| template.handle.as_str()).collect::<Vec<_>>(), ["HX1", "HX2", "HX3"]);
    let requests = peer.requests();
    assert_eq!(
        lines(&requests)[1..],
        [
            "GET /v1/ContentAndApprovals?PageSize=2&Page=1&PageToken=PAHX2 HTTP/1.1",
            "GET /v1/ContentAndApprovals?Page=2 HTTP/1.1"
        ]
    );
    assert!(requests.iter().all(|request| request.to_ascii_lowercase().contains("authorization: basic ")));
}

#[tokio::test]
async fn a_list_that_does_not_end_is_an_error_and_not_a_loop() {
    let next = "https://content.twilio.com/v1/ContentAndApprovals?Page=1";
    let peer = Scripted::start(vec![page(&["HX1"], Some(next))]).await;
    let error = twilio_at(&peer.url).list_templates().await.expect_err("endless");
    assert!(error.failure.message.contains("does not end"), "{error}");
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn the_log_is_read_by_day_and_once_without_a_date_because_waiting_messages_have_none() {
    let row = |sid: &str| json!({"sid": sid, "status": "queued", "direction": "outbound-api", "date_created": "Fri, 21 Nov 2025 12:00:02 +0000"});
    let of = |sids: &[&str]| {
        let rows: Vec<_> = sids.iter().map(|sid| row(sid)).collect();
        Act::Say(json_answer(200, &json!({"messages": rows, "next_page_uri": null})))
    };
    let peer = Scripted::start(vec![of(&["SM1"]), of(&["SM2", "SM1"])]).await;
    let filter = MessageFilter {
        from: Some("+14155238886".parse().expect("an address")),
        to: Some("+447700900123".parse().expect("an address")),
        since: "2025-11-21T11:00:00Z".parse().expect("a time"),
    };
    let found = twilio_at(&peer.url).list(&filter).await.expect("a list");
    assert_eq!(found.len(), 2);
    let requests = peer.requests();
    let query = "Messages.json?To=whatsapp%3A%2B447700900123&From=whatsapp%3A%2B14155238886&PageSize=200";
    assert!(lines(&requests)[0].ends_with(&format!("{query}&DateSent%3E=2025-11-21 HTTP/1.1")), "{requests:?}");
    assert!(lines(&requests)[1].ends_with(&format!("{query} HTTP/1.1")), "{requests:?}");
}

#[tokio::test]
async fn what_the_account_does_not_have_is_none_and_not_an_error() {
    let missing = Act::Say(json_answer(404, &json!({"code": 20404, "message": "not found", "status": 404})));
    let peer = Scripted::start(vec![missing]).await;
    let twilio = twilio_at(&peer.url);
    assert_eq!(twilio.lookup("SM/../1").await, Ok(None));
    assert_eq!(twilio.find_pool(&PoolId::new("MG1")).await, Ok(FoundPool { pool: None, requests: 1 }));
    assert_eq!(twilio.delete_template(&TemplateHandle::new("HX1")).await, Ok(()));
    assert!(lines(&peer.requests())[0].contains("/Messages/SM%2F%2E%2E%2F1.json "));
}

#[tokio::test]
async fn a_failed_read_may_be_repeated_and_a_failed_write_is_unknown() {
    let peer = Scripted::start(vec![Act::Close]).await;
    let twilio = twilio_at(&peer.url);
    assert_eq!(twilio.list_templates().await.map_err(|error| error.failure.class), Err(FailureClass::Retry));
    assert_eq!(
        twilio.create_template(&revision()).await.map_err(|error| error.failure.class),
        Err(FailureClass::Ambiguous)
    );
    let peer = Scripted::start(vec![Act::Say(answer(502, "", ""))]).await;
    let twilio = twilio_at(&peer.url);
    assert_eq!(twilio.check_credentials().await.map_err(|error| error.failure.class), Err(FailureClass::Retry));
    assert_eq!(
        twilio.submit_template(&TemplateHandle::new("HX1"), &revision()).await.map_err(|error| error.failure.class),
        Err(FailureClass::Ambiguous)
    );
}

fn revision() -> TemplateRevision {
    TemplateRevision {
        name: "Shop.order-1".into(),
        language: "en".into(),
        category: TemplateCategory::Utility,
        content: LocalizedContent { body: "Hi {{1}}".into(), header: None, footer: None, buttons: vec![] },
        examples: [("1".to_owned(), "Ava".to_owned())].into(),
    }
}

#[tokio::test]
async fn a_template_that_is_already_submitted_counts_as_submitted() {
    let peer =
        Scripted::start(vec![Act::Say(json_answer(400, &json!({"code": 92009, "message": "already submitted"})))])
            .await;
    assert_eq!(twilio_at(&peer.url).submit_template(&TemplateHandle::new("HX1"), &revision()).await, Ok(()));
    assert!(peer.requests()[0].ends_with(r#"{"name":"shop_order_1","category":"UTILITY"}"#));
}

#[tokio::test]
async fn webhooks_are_set_where_they_take_effect_and_an_absent_one_stays() {
    let peer = Scripted::start(vec![Act::Say(json_answer(202, &json!({})))]).await;
    let twilio = twilio_at(&peer.url);
    let sender = SenderObservation {
        handle: "XE1".into(),
        online: true,
        status: "ONLINE".into(),
        stage: Stage::Settled,
        quality: None,
        messaging_limit: None,
        offline_reasons: vec![],
        webhooks: WebhookTargets::default(),
    };
    let service = |senders: &[&str], defers_to_sender| PoolObservation {
        id: PoolId::new("MG1"),
        senders: senders.iter().map(|&sid| PoolMember { handle: sid.to_owned(), number: None }).collect(),
        defers_to_sender,
        webhooks: WebhookTargets::default(),
    };
    let (base, tenant, name) =
        ("https://h".parse().expect("a URL"), "shop".parse().expect("a tenant"), "support".parse().expect("a sender"));
    let targets = twilio.webhook_targets(&WebhookHome { public_base_url: &base, tenant: &tenant, sender: &name });
    let only_status = WebhookTargets { inbound: None, ..targets.clone() };
    for (service, targets) in [
        (None, &targets),
        (Some(service(&[], false)), &targets),
        (Some(service(&["XE1"], true)), &targets),
        (Some(service(&["XE1"], false)), &targets),
        (Some(service(&["XE1"], false)), &only_status),
    ] {
        twilio.configure_webhooks(&sender, service.as_ref(), targets).await.expect("configured");
    }
    let requests = peer.requests();
    let (sender, service) = ("POST /v2/Channels/Senders/XE1 HTTP/1.1", "POST /v1/Services/MG1 HTTP/1.1");
    assert_eq!(lines(&requests), [sender, sender, sender, service, service]);
    assert!(requests[0].ends_with(
        r##"{"webhook":{"callback_url":"https://h/webhooks/shop/support/twilio/inbound#rc=5&rp=all","callback_method":"POST","status_callback_url":"https://h/webhooks/shop/support/twilio/status#rc=5&rp=all","status_callback_method":"POST"}}"##
    ));
    assert!(
        requests[3]
            .contains("InboundRequestUrl=https%3A%2F%2Fh%2Fwebhooks%2Fshop%2Fsupport%2Ftwilio%2Finbound%23rc%3D5%26rp%3Dall&InboundMethod=POST&StatusCallback=")
    );
    assert!(!requests[4].contains("Inbound"));
}

/// With everything that can be declared.
fn registration() -> Registration {
    let labelled = |value: &str, label: &str| vec![Labelled { value: value.into(), label: label.into() }];
    Registration {
        number: "+447700900123".parse().expect("a number"),
        code_by: CodeBy::Call,
        business_account: Some("12345".into()),
        profile: BusinessProfile {
            name: "Shop".into(),
            about: Some("a".into()),
            address: Some("b".into()),
            description: Some("c".into()),
            logo_url: Some("https://h/logo.png".into()),
            vertical: Some("Automotive".into()),
            websites: labelled("https://h", "Website"),
            emails: labelled("a@h", "Email"),
        },
        webhooks: WebhookTargets { inbound: Some("https://h/in".into()), status: Some("https://h/st".into()) },
    }
}

#[tokio::test]
async fn a_number_is_registered_with_its_webhooks_and_with_nothing_that_is_not_declared() {
    let peer = Scripted::start(vec![Act::Say(json_answer(202, &json!({"sid": "XE1", "status": "CREATING"})))]).await;
    let profile = BusinessProfile { name: "Shop".into(), ..BusinessProfile::default() };
    let least = Registration {
        code_by: CodeBy::Sms,
        business_account: None,
        profile,
        webhooks: WebhookTargets::default(),
        ..registration()
    };
    for registration in [&least, &registration()] {
        assert_eq!(twilio_at(&peer.url).register(registration).await, Ok(Registered::Begun));
    }
    let requests = peer.requests();
    assert_eq!(lines(&requests), ["POST /v2/Channels/Senders HTTP/1.1"; 2]);
    let body = |request: &str| -> serde_json::Value {
        serde_json::from_str(request.lines().last().expect("a body")).expect("JSON")
    };
    let expected = json!({
        "sender_id": "whatsapp:+447700900123", "configuration": {"verification_method": "sms"}, "webhook": {},
        "profile": {"name": "Shop"},
    });
    assert_eq!(body(&requests[0]), expected);
    let expected = json!({
        "sender_id": "whatsapp:+447700900123",
        "configuration": {"verification_method": "voice", "waba_id": "12345"},
        "webhook": {
            "callback_url": "https://h/in", "callback_method": "POST",
            "status_callback_url": "https://h/st", "status_callback_method": "POST",
        },
        "profile": {
            "name": "Shop", "about": "a", "address": "b", "description": "c", "logo_url": "https://h/logo.png",
            "vertical": "Automotive", "websites": [{"website": "https://h", "label": "Website"}],
            "emails": [{"email": "a@h", "label": "Email"}],
        },
    });
    assert_eq!(body(&requests[1]), expected);
}

#[tokio::test]
async fn a_number_that_is_taken_or_locked_is_told_apart_from_other_refusals() {
    for (status, code, registered) in [
        (409, 20409, Some(Registered::IsTaken)),
        (400, 63110, Some(Registered::IsTaken)),
        (400, 63114, Some(Registered::TooOften)),
        (400, 63100, None),
    ] {
        let answer = json_answer(status, &json!({"code": code, "message": "no"}));
        let peer = Scripted::start(vec![Act::Say(answer)]).await;
        let answered = twilio_at(&peer.url).register(&registration()).await;
        assert_eq!(answered.as_ref().ok().copied(), registered, "{code}: {answered:?}");
        if code == 63114 {
            assert_eq!(twilio_at(&peer.url).verify("XE1", &Secret::new("123456")).await, Ok(Verified::TooOften));
        }
    }
}

#[tokio::test]
async fn no_error_shows_a_code() {
    let answer = json_answer(400, &json!({"code": 63113, "message": "the code 123456 is wrong"}));
    let peer = Scripted::start(vec![Act::Say(answer)]).await;
    let error = twilio_at(&peer.url).verify("XE1", &Secret::new("123456")).await.expect_err("a refusal");
    assert_eq!(error.to_string(), "provider error 63113: the code [redacted] is wrong");
    assert!(peer.requests()[0].ends_with(r#"{"configuration":{"verification_code":"123456"}}"#));
}

#[tokio::test]
async fn a_service_whose_webhook_is_not_posted_is_not_where_it_should_be() {
    let observed = async |method: &str| {
        let service = json!({
            "sid": "MG1", "inbound_request_url": "https://h/in", "inbound_method": method,
            "status_callback": "https://h/st", "use_inbound_webhook_on_number": false,
        });
        let members = json!({"senders": [], "meta": {"next_page_url": null}});
        let peer = Scripted::start([&service, &members].map(|body| Act::Say(json_answer(200, body))).to_vec()).await;
        twilio_at(&peer.url).find_pool(&PoolId::new("MG1")).await.expect("an answer").pool.expect("it").webhooks
    };
    let wanted = WebhookTargets { inbound: Some("https://h/in".into()), status: Some("https://h/st".into()) };
    assert!(observed("POST").await.same_as(&wanted));
    assert!(!observed("PUT").await.same_as(&wanted));
}
