//! The operator's calls to Twilio on the wire: pages, credentials, webhooks and templates.

use messaging::failure::FailureClass;
use messaging::id::PoolId;
use messaging::provider::admin::{
    AccountAdmin as _, FoundPool, PoolAdmin as _, PoolMember, PoolObservation, SenderAdmin as _, SenderObservation,
    TemplateAdmin as _, TemplateHandle, TemplateRevision, WebhookTargets,
};
use messaging::provider::webhook::WebhookHome;
use messaging::provider::{MessageFilter, MessageLog as _};
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
