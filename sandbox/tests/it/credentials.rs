//! Credentials and their permissions.

use serde_json::{Value, json};

use crate::support::{Bench, answer, one_sender};

struct Key {
    sid: String,
    secret: String,
}

impl Key {
    fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { sid: text("sid"), secret: text("secret") }
    }

    async fn get(&self, bench: &Bench, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", bench.sandbox.base_url());
        answer(reqwest::Client::new().get(url).basic_auth(&self.sid, Some(&self.secret))).await
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_20003() {
    let mut bench = Bench::start().await;
    bench.account.auth_token = "wrong".to_owned();
    let (status, error) = bench.get(&bench.path("Messages.json")).await;
    assert_eq!((status, &error["code"]), (401, &json!(20003)));
}

#[tokio::test]
async fn an_account_cannot_reach_another() {
    let bench = Bench::start().await;
    let other = bench.control.create_account(&one_sender("+15005550006")).await.unwrap();
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", other.account_sid);
    assert_eq!(bench.get(&path).await.0, 401);
    let sender = format!("/v2/Channels/Senders/{}", other.senders[0].sid);
    assert_eq!(bench.get(&sender).await.0, 404);
}

#[tokio::test]
async fn a_parents_token_works_for_its_subaccounts_and_its_keys_do_not() {
    let bench = Bench::start().await;
    let (_, child) = bench.post("/2010-04-01/Accounts.json", &[("FriendlyName", "child")]).await;
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", child["sid"].as_str().unwrap());
    assert_eq!(bench.get(&path).await.0, 200);
    let key = Key::of(&bench.post(&bench.path("Keys.json"), &[]).await.1);
    assert_eq!(key.get(&bench, &path).await.0, 401);
}

#[tokio::test]
async fn a_standard_key_sends_but_does_not_manage_the_account() {
    let bench = Bench::start().await;
    let fields = [("KeyType", "restricted"), ("Policy", r#"{"allow":[]}"#)];
    let key = Key::of(&bench.post(&bench.path("Keys.json"), &fields).await.1);
    assert_eq!(key.get(&bench, &bench.path("Messages.json")).await.0, 200, "the 2010 API ignores the policy");
    let account = format!("/2010-04-01/Accounts/{}.json", bench.account.account_sid);
    for path in [bench.path("Keys.json"), account] {
        let (status, error) = key.get(&bench, &path).await;
        assert_eq!((status, &error["code"]), (401, &json!(20003)), "{path}");
    }
    assert_eq!(bench.delete(&bench.path(&format!("Keys/{}.json", key.sid))).await, 204);
    assert_eq!(key.get(&bench, &bench.path("Messages.json")).await.0, 401);
}

#[tokio::test]
async fn a_restricted_key_may_do_what_its_policy_lists() {
    let bench = Bench::start().await;
    let policy = r#"{"allow":["/twilio/messaging/messages/list"]}"#;
    let fields = [("AccountSid", bench.account.account_sid.as_str()), ("KeyType", "restricted"), ("Policy", policy)];
    let key = Key::of(&bench.post("/v1/Keys", &fields).await.1);
    assert_eq!(key.get(&bench, &bench.path("Messages.json")).await.0, 200);
    let (status, error) = key.get(&bench, "/v1/Services").await;
    assert_eq!((status, &error["code"]), (403, &json!(70051)));
    assert!(error["message"].as_str().unwrap().contains("/twilio/messaging/services/list"));
}

#[tokio::test]
async fn both_tokens_work_until_the_secondary_is_promoted_or_deleted() {
    let mut bench = Bench::start().await;
    let (_, answer) = bench.post("/v1/AuthTokens/Secondary", &[]).await;
    let primary = bench.account.auth_token.clone();
    assert_eq!(bench.get("/v1/Services").await.0, 200);
    bench.account.auth_token = answer["secondary_auth_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.get("/v1/Services").await.0, 200);
    assert_eq!(bench.delete("/v1/AuthTokens/Secondary").await, 204);
    assert_eq!(bench.get("/v1/Services").await.0, 401);
    bench.account.auth_token = primary;
    assert_eq!(bench.get("/v1/Services").await.0, 200);
    assert_eq!(bench.post("/v1/AuthTokens/Promote", &[]).await.0, 400);
}

#[tokio::test]
async fn a_suspended_account_sends_nothing_but_can_be_read() {
    let bench = Bench::start().await;
    let account = format!("/2010-04-01/Accounts/{}.json", bench.account.account_sid);
    assert_eq!(bench.post(&account, &[("Status", "suspended")]).await.0, 200);
    assert_eq!(bench.send(&[("Body", "Hello")]).await.0, 401);
    assert_eq!(bench.get(&account).await.1["status"], "suspended");
}
