//! Contents, their review, and sending them.

use sandbox::twilio::types::{Decision, NewAccount, NewApproval, NewContent, ReviewRule};
use serde_json::{Value, json};

use crate::support::{Bench, answer};

const TEXT: &str = "Hi {{1}}, your order is on its way";

#[tokio::test]
async fn an_approved_template_is_delivered_outside_the_window_under_an_mm_sid() {
    let bench = Bench::start().await;
    let content = bench.content("shipped", TEXT).await;
    let (status, approval) = bench.submit(&content, "shipped").await;
    assert_eq!((status, &approval["status"]), (201, &json!("received")));
    bench.until_approval(&content, "approved").await;
    let (_, message) = bench.send(&[("ContentSid", &content), ("ContentVariables", r#"{"1":"Noor"}"#)]).await;
    let sid = message["sid"].as_str().unwrap();
    assert!(sid.starts_with("MM"), "{sid}");
    assert_eq!(message["body"], "Hi Noor, your order is on its way");
    bench.until_status(sid, "delivered").await;
}

#[tokio::test]
async fn a_template_that_is_not_approved_fails_outside_the_window_and_not_inside() {
    let bench = Bench::start().await;
    let content = bench.content("shipped", TEXT).await;
    let sid = bench.sent(&[("ContentSid", &content)]).await;
    assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(63016));
    bench.open_window().await;
    let sid = bench.sent(&[("ContentSid", &content)]).await;
    bench.until_status(&sid, "delivered").await;
}

#[tokio::test]
async fn paused_disabled_and_deleted_templates_fail_with_their_own_codes() {
    let bench = Bench::start().await;
    let content = bench.content("shipped", TEXT).await;
    bench.submit(&content, "shipped").await;
    for (status, code) in [("paused", 63041), ("disabled", 63042)] {
        let decision = Decision { status: status.to_owned(), ..Decision::default() };
        bench.control.decide(&content, &decision).await.unwrap();
        let sid = bench.sent(&[("ContentSid", &content)]).await;
        assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(code));
    }
    assert_eq!(bench.delete(&format!("/v1/Content/{content}")).await, 204);
    assert_eq!(bench.send(&[("ContentSid", &content)]).await.1["code"], 21655);
}

#[tokio::test]
async fn bad_values_fail_when_the_message_is_sent() {
    let bench = Bench::start().await;
    let content = bench.content("shipped", "Hi {{1}}, your order {{2}} is on its way to you now").await;
    bench.submit(&content, "shipped").await;
    let decision = Decision { status: "approved".to_owned(), ..Decision::default() };
    bench.control.decide(&content, &decision).await.unwrap();
    let long = json!({"1": "x".repeat(1100), "2": "7"}).to_string();
    for (variables, code) in [(r#"{"1":"Ava"}"#, 63028), (r#"{"1":"A\nva","2":"7"}"#, 63013), (long.as_str(), 63021)] {
        let sid = bench.sent(&[("ContentSid", &content), ("ContentVariables", variables)]).await;
        assert_eq!(bench.until_status(&sid, "failed").await.error_code, Some(code), "{variables}");
    }
}

#[tokio::test]
async fn a_content_cannot_change_once_it_is_submitted() {
    let bench = Bench::start().await;
    let content = bench.content("shipped", TEXT).await;
    let path = format!("/v1/Content/{content}");
    let change = json!({"types": {"twilio/text": {"body": "Hi {{1}}, it has already arrived"}}});
    let put = async || answer(bench.request(reqwest::Method::PUT, &path).json(&change)).await;
    assert_eq!(put().await.1["types"], change["types"]);
    assert_eq!(bench.submit(&content, "shipped").await.0, 201);
    for (status, error) in [put().await, bench.submit(&content, "other").await] {
        assert_eq!((status, &error["code"]), (400, &json!(92009)));
    }
}

#[tokio::test]
async fn what_breaks_metas_format_rules_is_rejected_with_a_reason() {
    let bench = Bench::start().await;
    for body in
        ["{{1}} is here and there", "Your code is {{1}}", "Hi {{1}}{{2}}, all is well here", "Hi {{2}}, all is well"]
    {
        let content = bench.content("bad", body).await;
        bench.submit(&content, "bad").await;
        let approval = bench.until_approval(&content, "rejected").await;
        assert!(approval["rejection_reason"].as_str().unwrap().starts_with("INVALID_FORMAT. "), "{body}: {approval}");
    }
}

#[tokio::test]
async fn review_rules_decide_by_name_and_the_newest_wins() {
    let bench = Bench::start().await;
    let rule = |decision: &str, reason: &str| ReviewRule {
        name: Some("^promo_".to_owned()),
        decision: decision.to_owned(),
        reason: reason.to_owned(),
        change_category: Some("MARKETING".to_owned()),
        ..ReviewRule::default()
    };
    bench.control.add_reviews(&[rule("rejected", "ABUSIVE_CONTENT. No.")]).await.unwrap();
    let rejected = bench.content("x", TEXT).await;
    bench.submit(&rejected, "promo_x").await;
    assert_eq!(bench.until_approval(&rejected, "rejected").await["rejection_reason"], "ABUSIVE_CONTENT. No.");

    bench.control.add_reviews(&[rule("approved", "")]).await.unwrap();
    let approved = bench.content("y", TEXT).await;
    bench.submit(&approved, "promo_y").await;
    assert_eq!(bench.until_approval(&approved, "approved").await["category"], "MARKETING");
    let other = bench.content("z", TEXT).await;
    bench.submit(&other, "update_z").await;
    assert_eq!(bench.until_approval(&other, "approved").await["category"], "UTILITY");
}

#[tokio::test]
async fn a_submission_needs_a_plain_name_and_a_known_category() {
    let bench = Bench::start().await;
    let content = bench.content("x", TEXT).await;
    let path = format!("/v1/Content/{content}/ApprovalRequests/whatsapp");
    for body in
        [json!({"name": "Not Plain", "category": "UTILITY"}), json!({"name": "x", "category": "SPAM"}), json!({})]
    {
        assert_eq!(bench.post_json(&path, &body).await.0, 400, "{body}");
    }
    let (_, approval) = bench.get(&format!("/v1/Content/{content}/ApprovalRequests")).await;
    assert_eq!(approval["whatsapp"]["status"], "unsubmitted");
}

#[tokio::test]
async fn contents_are_found_by_name_language_and_approval() {
    let bench = Bench::start().await;
    let shipped = bench.content("order_shipped", TEXT).await;
    let lost = bench.content("order_lost", TEXT).await;
    bench.submit(&lost, "order_lost").await;
    bench.until_approval(&lost, "approved").await;
    let found = async |query: &str| {
        let (status, list) = bench.get(&format!("/v2/ContentAndApprovals?{query}")).await;
        assert_eq!(status, 200, "{list}");
        let sid = |content: &Value| content["sid"].as_str().unwrap().to_owned();
        list["contents"].as_array().unwrap().iter().map(sid).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("ContentName=%5Eorder_s").await, shipped);
    assert_eq!(found("ChannelEligibility=whatsapp:approved").await, lost);
    assert_eq!(found("ChannelEligibility=whatsapp:unsubmitted").await, shipped);
    assert_eq!(found("SortByContentName=asc").await, format!("{lost} {shipped}"));
    assert_eq!(found("SortByDate=asc").await, format!("{shipped} {lost}"));
    assert_eq!(found("").await, format!("{lost} {shipped}"));
    assert!(found("Language=de").await.is_empty());
    assert_eq!(found("ContentType=twilio/text").await, format!("{lost} {shipped}"));
}

#[tokio::test]
async fn incomplete_contents_are_refused_with_their_codes() {
    let bench = Bench::start().await;
    let text = json!({"twilio/text": {"body": "Hello"}});
    let many: serde_json::Map<_, _> = (0..101).map(|n| (n.to_string(), json!("x"))).collect();
    let cases = [
        (json!({"language": "en"}), 92001),
        (json!({"language": "en", "types": {"twilio/text": {}}}), 92001),
        (json!({"types": text}), 92003),
        (json!({"language": "English", "types": text}), 92004),
        (json!({"language": "en", "types": {"twilio/hologram": {}}}), 92008),
        (json!({"language": "en", "types": text, "variables": many}), 92002),
    ];
    for (body, code) in cases {
        let (status, error) = bench.post_json("/v1/Content", &body).await;
        assert_eq!((status, error["code"].as_i64()), (400, Some(code)), "{body}");
    }
}

#[tokio::test]
async fn an_account_may_begin_with_contents_of_every_type_in_any_state() {
    let bench = Bench::start().await;
    let content = |kind: &str, fields: Value, approval: Option<NewApproval>| NewContent {
        friendly_name: kind.to_owned(),
        language: "en".to_owned(),
        types: [(kind.to_owned(), fields)].into_iter().collect(),
        approval,
        ..NewContent::default()
    };
    let rejected = NewApproval {
        status: "rejected".to_owned(),
        category: "MARKETING".to_owned(),
        reason: "ABUSIVE_CONTENT. No.".to_owned(),
        ..NewApproval::default()
    };
    let card = json!({"body": "Hi", "media": ["https://example.com/1.png"]});
    let list = json!({"body": "Hi", "button": "Go", "items": []});
    let contents = vec![content("whatsapp/card", card, Some(rejected)), content("twilio/list-picker", list, None)];
    let new = NewAccount { contents, ..NewAccount::default() };
    let account = bench.control.create_account(&new).await.unwrap();
    let list = reqwest::Client::new()
        .get(format!("{}/v1/ContentAndApprovals", bench.sandbox.base_url()))
        .basic_auth(&account.account_sid, Some(&account.auth_token));
    let (_, list) = answer(list).await;
    let rows = list["contents"].as_array().unwrap();
    let sids: Vec<_> = rows.iter().map(|row| row["sid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sids.into_iter().rev().collect::<Vec<_>>(), account.contents);
    assert_eq!(rows[1]["approval_requests"]["rejection_reason"], "ABUSIVE_CONTENT. No.");
    assert_eq!(rows[0]["approval_requests"]["status"], "unsubmitted");

    let bad = NewAccount { contents: vec![content("twilio/hologram", json!({}), None)], ..NewAccount::default() };
    let error = format!("{:#}", bench.control.create_account(&bad).await.unwrap_err());
    assert!(error.contains("contents[0]: Unsupported content type 'twilio/hologram'"), "{error}");
}
