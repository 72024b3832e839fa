//! The alerts in the provider's debugger.

use std::time::Duration;

use messaging::config::TwilioAccount;
use messaging::provider::admin::{AlertAdmin as _, KeyAdmin as _};
use messaging::secret::Secret;
use providers::twilio::Twilio;
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, Seed};
use sandbox::twilio::types::NewAlert;

use super::{World, account_of};

#[tokio::test]
async fn the_debuggers_alerts_are_read_the_newest_first_and_no_more_than_three_pages_of_them() {
    let world = World::new(Seed::example()).await;
    let control = world.sandbox.control();
    let begin = control.health().await.expect("health").now;
    let alert = |code: &str| NewAlert {
        account: EXAMPLE_ACCOUNT_SID.to_owned(),
        error_code: code.to_owned(),
        request_url: Some("https://wa.example.com/webhooks/shop/support/twilio/inbound".to_owned()),
        alert_text: Some("Msg=hush".to_owned()),
        ..NewAlert::default()
    };
    control.add_alert(&alert("12300")).await.expect("an alert");
    control.advance_clock(Duration::from_secs(60)).await.expect("a minute");
    let newest = control.add_alert(&alert("11200")).await.expect("an alert").sid;
    let since = begin - jiff::SignedDuration::from_secs(2);
    let listed = world.twilio.list_alerts(since).await.expect("a list");
    assert_eq!(listed.rows.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["11200", "12300"]);
    assert_eq!((listed.rows[0].id.as_str(), listed.requests), (newest.as_str(), 1));
    assert!(!format!("{listed:?}").contains("hush"));
    let recent = world.twilio.list_alerts(begin + jiff::SignedDuration::from_secs(30)).await.expect("a list");
    assert_eq!(recent.rows.len(), 1);

    for _ in 0..300 {
        control.add_alert(&alert("11200")).await.expect("an alert");
    }
    let listed = world.twilio.list_alerts(since).await.expect("a list");
    assert_eq!((listed.rows.len(), listed.requests), (300, 3));
}

#[tokio::test]
async fn the_debugger_is_read_with_the_auth_token_where_a_key_makes_the_calls() {
    let world = World::new(Seed::example()).await;
    let minted = world.twilio.mint_key("data plane").await.expect("a key");
    let with_key = TwilioAccount {
        username: minted.id,
        password: minted.secret,
        webhook_keys: vec![Secret::new(EXAMPLE_AUTH_TOKEN)],
        ..account_of(&world.sandbox)
    };
    let since = jiff::Timestamp::UNIX_EPOCH;
    Twilio::new(&with_key, &world.http).list_alerts(since).await.expect("a list");
    let without_token = TwilioAccount { webhook_keys: vec![], ..with_key };
    let refused = Twilio::new(&without_token, &world.http).list_alerts(since).await.expect_err("no permission");
    assert!(refused.is_unauthorized(), "{refused}");
}
