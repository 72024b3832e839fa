//! A Messaging Service calls one URL for all its numbers, so the number that was written to decides whose customer it
//! was.

use super::*;
use crate::world::tenant;

const OWN: &str = "whatsapp:+14155238886";
const OTHER: &str = "whatsapp:+14155238899";

/// A tenant whose pool holds these numbers besides its one sender's.
fn pooled(listeners: &Listeners, numbers: &[&str]) {
    listeners.tenant("shop", |config| {
        let mut numbers: Vec<_> = numbers.to_vec();
        numbers.push("+14155238886");
        config["pools"] = json!({ "MG00000000000000000000000000000001": { "numbers": numbers } });
        config["senders"]["support"]["provider"]["twilio"]["messagingServiceSid"] =
            json!("MG00000000000000000000000000000001");
    });
}

async fn says_to(listeners: &Listeners, to: &str, words: &str) {
    let answer = deliver(listeners, received(&format!("SM{words:0>32}"), &[("To", to), ("Body", words)])).await;
    assert_eq!(answer.status, StatusCode::OK, "the provider need not send it again");
    listeners.apply().await;
}

async fn window_is_open(listeners: &Listeners) -> bool {
    let contact = listeners.ask(Method::GET, "/v1/contacts/+447700900123", None).await.json();
    contact["window"]["open"].as_bool().unwrap()
}

#[tokio::test]
async fn a_message_to_a_number_that_nobody_declares_is_no_senders() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |_| ());
    says_to(&listeners, OTHER, "STOP").await;
    assert_eq!((suppression(&listeners).await, window_is_open(&listeners).await), (Value::Null, false));
    assert_eq!((counted(&listeners, "unaddressed"), counted(&listeners, "accepted")), (1, 0));
    let [part] = listeners.database.store().unaddressed(10).await.unwrap().try_into().unwrap();
    assert!(part.url.ends_with(INBOUND), "{part:?}");
    says_to(&listeners, OWN, "Hello").await;
    assert!(window_is_open(&listeners).await);
}

#[tokio::test]
async fn a_stop_to_an_undeclared_number_of_the_pool_counts_and_opens_no_window() {
    let listeners = Listeners::new().await;
    pooled(&listeners, &["+14155238899"]);
    says_to(&listeners, OTHER, "Hello").await;
    assert!(!window_is_open(&listeners).await, "they wrote to a number that nothing is sent from");
    says_to(&listeners, OTHER, "STOP").await;
    assert_eq!((suppression(&listeners).await, counted(&listeners, "unaddressed")), (json!("optedOut"), 0));
}

#[tokio::test]
async fn a_message_to_another_tenants_number_in_a_shared_pool_is_not_the_owners() {
    let listeners = Listeners::new().await;
    pooled(&listeners, &["+14155238899"]);
    let declares = |name: &str, key: &str| {
        listeners.tenant(name, |config| {
            config["senders"]["support"]["phoneNumber"] = json!("+14155238899");
            config["senders"]["support"]["provider"]["twilio"]["webhookKeys"] = json!([key]);
        });
    };
    // Whoever only claims to be of the account takes nothing from it.
    declares("rogue", "key of the rogue");
    says_to(&listeners, OTHER, "Hello").await;
    assert_eq!(counted(&listeners, "unaddressed"), 0);
    declares("bakery", "token");
    says_to(&listeners, OTHER, "STOP").await;
    assert_eq!((suppression(&listeners).await, counted(&listeners, "unaddressed")), (Value::Null, 1));
    listeners.shared.configs.remove(&tenant("bakery"));
    says_to(&listeners, OTHER, "END").await;
    assert_eq!(suppression(&listeners).await, json!("optedOut"));
}

#[tokio::test]
async fn a_sender_hears_what_is_written_to_another_spelling_of_its_number() {
    let listeners = Listeners::new().await;
    listeners.tenant("shop", |config| config["senders"]["support"]["phoneNumber"] = json!("+525512345678"));
    says_to(&listeners, "whatsapp:+5215512345678", "Hello").await;
    assert!(window_is_open(&listeners).await);
}
