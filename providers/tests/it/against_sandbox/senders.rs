//! Senders and their webhooks.

use messaging::id::PoolId;
use messaging::provider::admin::{FoundPool, Listed, PoolAdmin as _, PoolMember, SenderAdmin as _, senders};
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, EXAMPLE_SENDER, Seed};

use super::{World, eventually, targets, the_service};

#[tokio::test]
async fn a_sender_is_found_on_any_page_and_every_page_is_counted() {
    let numbers: Vec<String> = (0..45).map(|n| format!("+1415555{n:04}")).collect();
    let world = World::new(Seed::one_account(EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, &numbers)).await;
    let Listed { rows, requests } = world.twilio.list_senders().await.expect("a list");
    assert_eq!((rows.len(), requests), (45, 3));
    let mut handles = std::collections::HashSet::new();
    for number in &numbers {
        let found = senders::find(&rows, &number.parse().expect("a number")).expect("a readable sender");
        let sender = found.unwrap_or_else(|| panic!("{number} is not found"));
        assert!(sender.online, "{sender:?}");
        handles.insert(sender.handle);
    }
    assert_eq!(handles.len(), numbers.len());
    assert_eq!(world.twilio.find_sender(&"+14150000000".parse().expect("a number")).await, Ok(None));
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn configured_webhooks_are_observed_as_configured() {
    let mut seed = Seed::example();
    seed.accounts[0].services[0].use_inbound_webhook_on_number = false;
    let world = World::new(seed).await;
    let twilio = &world.twilio;
    let number = EXAMPLE_SENDER.parse().expect("a number");
    let sender = twilio.find_sender(&number).await.expect("an answer").expect("the sender");
    let service = the_service(twilio).await;
    assert_eq!(service.senders, [PoolMember { handle: sender.handle.clone(), number: Some(number.clone()) }]);
    assert_eq!(twilio.list_pools().await, Ok(Listed { rows: vec![service.clone()], requests: 2 }));
    assert!(service.decides_webhooks_of(&sender.handle));

    let targets = targets(twilio, "https://hooks.example.com");
    assert!(!service.webhooks.same_as(&targets) && !sender.webhooks.same_as(&targets));
    twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let service = the_service(twilio).await;
    assert!(service.webhooks.same_as(&targets), "{service:?}");

    twilio.configure_webhooks(&sender, None, &targets).await.expect("configured");
    eventually("the sender's webhooks", async || {
        let sender = twilio.find_sender(&number).await.expect("an answer").expect("the sender");
        assert!(sender.online, "{sender:?}");
        sender.webhooks.same_as(&targets).then_some(())
    })
    .await;
    let unknown = twilio.find_pool(&PoolId::new(format!("MG{}", "0".repeat(32)))).await;
    assert_eq!(unknown, Ok(FoundPool { pool: None, requests: 1 }));
    world.sandbox.shutdown().await;
}
