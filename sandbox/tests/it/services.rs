//! Messaging services and senders.

use sandbox::twilio::types::{NewVerification, OfflineReason, SenderChange};
use serde_json::json;

use crate::support::{Bench, SENDER, until};

#[tokio::test]
async fn a_service_normalises_its_inbound_url_and_no_other() {
    let bench = Bench::start().await;
    let url = "https://example.com";
    let fields = [("FriendlyName", "x"), ("InboundRequestUrl", url), ("StatusCallback", url), ("FallbackUrl", url)];
    let (status, service) = bench.post("/v1/Services", &fields).await;
    assert_eq!(status, 201);
    assert_eq!(service["inbound_request_url"], "https://example.com/");
    assert_eq!(service["status_callback"], url);
    assert_eq!(service["fallback_url"], url);
}

#[tokio::test]
async fn a_sender_is_in_one_service_at_most() {
    let bench = Bench::start().await;
    let sender = bench.account.senders[0].sid.as_str();
    let (_, other) = bench.post("/v1/Services", &[("FriendlyName", "other")]).await;
    let other = format!("/v1/Services/{}/ChannelSenders", other["sid"].as_str().unwrap());
    let own = format!("/v1/Services/{}/ChannelSenders", bench.service());
    assert_eq!(bench.post(&own, &[("Sid", sender)]).await.1["code"], 21710);
    assert_eq!(bench.post(&other, &[("Sid", sender)]).await.1["code"], 21712);
    assert_eq!(bench.delete(&format!("{own}/{sender}")).await, 204);
    let (status, member) = bench.post(&other, &[("Sid", sender)]).await;
    assert_eq!((status, &member["sender"]), (201, &json!(format!("whatsapp:{SENDER}"))));
    assert_eq!(bench.get(&other).await.1["senders"][0]["sid"], sender);
    let fields = [("From", ""), ("MessagingServiceSid", bench.service()), ("Body", "Hello")];
    assert_eq!(bench.send(&fields).await.1["code"], 21704);
}

#[tokio::test]
async fn a_phone_number_can_be_in_a_service_too() {
    let bench = Bench::start().await;
    let number = bench.account.senders[0].phone_number_sid.as_str();
    let path = format!("/v1/Services/{}/PhoneNumbers", bench.service());
    assert_eq!(bench.post(&path, &[("PhoneNumberSid", number)]).await.1["phone_number"], SENDER);
    assert_eq!(bench.get(&path).await.1["phone_numbers"][0]["sid"], number);
    assert_eq!(bench.delete(&format!("{path}/{number}")).await, 204);
    assert_eq!(bench.get(&format!("{path}/{number}")).await.0, 404);
}

#[tokio::test]
async fn a_changed_sender_is_updating_and_then_online_and_usable_throughout() {
    let bench = Bench::start().await;
    let path = format!("/v2/Channels/Senders/{}", bench.account.senders[0].sid);
    let (status, sender) =
        bench.post_json(&path, &json!({"webhook": {"callback_url": "https://example.com/in"}})).await;
    assert_eq!((status, &sender["status"]), (202, &json!("ONLINE:UPDATING")));
    assert_eq!(sender["webhook"]["callback_url"], "https://example.com/in");
    bench.sent(&[("Body", "Hello")]).await;
    until("online again", async || (bench.get(&path).await.1["status"] == "ONLINE").then_some(())).await;
}

#[tokio::test]
async fn a_new_sender_is_created_and_comes_online() {
    let bench = Bench::start().await;
    let body = json!({"sender_id": "whatsapp:+15005550006", "profile": {"name": "Shop"}});
    let (status, sender) = bench.post_json("/v2/Channels/Senders", &body).await;
    assert_eq!((status, &sender["status"]), (202, &json!("CREATING")));
    let from = [("From", "whatsapp:+15005550006"), ("Body", "Hello")];
    let path = format!("/v2/Channels/Senders/{}", sender["sid"].as_str().unwrap());
    until("online", async || (bench.get(&path).await.1["status"] == "ONLINE").then_some(())).await;
    bench.sent(&from).await;
    assert_eq!(bench.post_json("/v2/Channels/Senders", &body).await.0, 409);
    assert_eq!(bench.delete(&path).await, 204);
    assert_eq!(bench.send(&from).await.1["code"], 63007);
}

/// A sender of a number that WhatsApp verifies with the code 123456, and its path.
async fn unverified(bench: &Bench, number: &str) -> String {
    let verification = NewVerification { code: Some("123456".to_owned()) };
    bench.control.verify(number, &verification).await.unwrap();
    let body = json!({"sender_id": format!("whatsapp:{number}"), "profile": {"name": "Shop"}});
    let (status, sender) = bench.post_json("/v2/Channels/Senders", &body).await;
    assert_eq!((status, &sender["status"]), (202, &json!("CREATING")));
    format!("/v2/Channels/Senders/{}", sender["sid"].as_str().unwrap())
}

async fn becomes(bench: &Bench, path: &str, status: &str) {
    until(status, async || (bench.get(path).await.1["status"] == status).then_some(())).await;
}

#[tokio::test]
async fn a_number_that_whatsapp_verifies_comes_online_with_the_right_code_and_with_no_other() {
    let bench = Bench::start().await;
    let number = "+15005550007";
    let path = unverified(&bench, number).await;
    becomes(&bench, &path, "PENDING_VERIFICATION").await;
    assert_eq!(bench.send(&[("From", &format!("whatsapp:{number}")), ("Body", "Hello")]).await.1["code"], 63007);
    // A change of something else is no code.
    let (_, sender) = bench.post_json(&path, &json!({"webhook": {"callback_url": "https://example.com/in"}})).await;
    assert_eq!(sender["status"], "PENDING_VERIFICATION");
    let code = |code: &str| json!({"configuration": {"verification_code": code}});
    for (told, becomes_then) in [("654321", "PENDING_VERIFICATION"), ("123456", "ONLINE")] {
        let (status, sender) = bench.post_json(&path, &code(told)).await;
        assert_eq!((status, &sender["status"]), (202, &json!("VERIFYING")), "{told}");
        becomes(&bench, &path, becomes_then).await;
    }
    bench.sent(&[("From", &format!("whatsapp:{number}")), ("Body", "Hello")]).await;
    let record = bench.control.verification(number).await.unwrap();
    assert_eq!((record.registrations, record.wrong_codes, record.locked_until), (1, 1, None));
    assert_eq!(record.codes, ["654321", "123456"]);
}

#[tokio::test]
async fn too_many_codes_lock_a_number_and_so_does_registering_it_too_often() {
    let bench = Bench::start().await;
    let number = "+15005550007";
    let path = unverified(&bench, number).await;
    let code = json!({"configuration": {"verification_code": "654321"}});
    for _ in 0..9 {
        becomes(&bench, &path, "PENDING_VERIFICATION").await;
        assert_eq!(bench.post_json(&path, &code).await.0, 202);
    }
    becomes(&bench, &path, "PENDING_VERIFICATION").await;
    let (status, refused) = bench.post_json(&path, &code).await;
    assert_eq!((status, &refused["code"]), (400, &json!(63114)));
    assert_eq!(bench.delete(&path).await, 204);
    let body = json!({"sender_id": format!("whatsapp:{number}"), "profile": {"name": "Shop"}});
    assert_eq!(bench.post_json("/v2/Channels/Senders", &body).await.1["code"], 63114);
    bench.control.advance_clock(std::time::Duration::from_secs(72 * 3600)).await.unwrap();
    assert_eq!(bench.post_json("/v2/Channels/Senders", &body).await.0, 202);
}

#[tokio::test]
async fn a_sender_that_went_offline_says_why_and_sends_nothing() {
    let bench = Bench::start().await;
    let change = SenderChange {
        status: Some("OFFLINE".to_owned()),
        quality_rating: Some("LOW".to_owned()),
        offline_reasons: Some(vec![OfflineReason { code: "63020".to_owned(), message: "restricted".to_owned() }]),
        ..SenderChange::default()
    };
    bench.control.change_sender(SENDER, &change).await.unwrap();
    let (_, sender) = bench.get(&format!("/v2/Channels/Senders/{}", bench.account.senders[0].sid)).await;
    assert_eq!(sender["offline_reasons"][0]["code"], "63020");
    assert_eq!(sender["properties"]["quality_rating"], "LOW");
    assert_eq!(bench.send(&[("Body", "Hello")]).await.1["code"], 63007);
}

#[tokio::test]
async fn errors_of_the_senders_api_are_problem_documents() {
    let bench = Bench::start().await;
    let response = bench.request(reqwest::Method::GET, "/v2/Channels/Senders").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("t-request-id"));
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["status"], 400);
    assert!(problem["title"].is_string() && problem["type"].is_string());
}
