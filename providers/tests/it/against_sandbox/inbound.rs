//! Messages from customers, by webhook and from the log.

use messaging::provider::admin::SenderAdmin as _;
use messaging::provider::{InboundQuery, MessageLog as _, MessagingProvider as _, WebhookEvent};
use sandbox::seed::{EXAMPLE_SENDER, Seed};
use sandbox::types::{Reply, ReplyMedia};

use super::{CUSTOMER, NOWHERE, World, accepted, eventually, targets, text, the_service, understand};

#[tokio::test]
async fn a_customers_message_is_verified_and_understood() {
    let world = World::new(Seed::example()).await;
    let sender =
        world.twilio.find_sender(&EXAMPLE_SENDER.parse().expect("a number")).await.expect("an answer").expect("it");
    let service = the_service(&world.twilio).await;
    let targets = targets(&world.twilio, NOWHERE);
    world.twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let sid = world.customer_writes().await;
    let record = eventually("an inbound webhook", async || {
        world.webhooks().await.into_iter().find(|webhook| webhook.message_sid == sid)
    })
    .await;
    match understand(&record, "inbound") {
        WebhookEvent::Inbound(message) => {
            assert_eq!((message.provider_message_id, message.from.as_str()), (sid, CUSTOMER));
            assert_eq!(message.content.words().collect::<Vec<_>>(), ["hello"]);
            assert_eq!(message.profile_name.as_deref(), Some("Ava"));
        }
        other => panic!("{other:?}"),
    }
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_customers_message_reads_the_same_from_the_log_as_from_its_webhook() {
    let world = World::new(Seed::example()).await;
    let since = jiff::Timestamp::UNIX_EPOCH;
    let own = EXAMPLE_SENDER.parse().expect("a number");
    let sender = world.twilio.find_sender(&own).await.expect("an answer").expect("it");
    let service = the_service(&world.twilio).await;
    let targets = targets(&world.twilio, NOWHERE);
    world.twilio.configure_webhooks(&sender, Some(&service), &targets).await.expect("configured");
    let with_file = Reply {
        body: "look".into(),
        media: vec![ReplyMedia { content_type: "image/png".into(), data: "aGVsbG8=".into() }],
        ..Reply::default()
    };
    let picture = world.sandbox.control().reply(CUSTOMER, &with_file).await.expect("a reply").message_sid;
    // From us, and so not from a customer.
    accepted(world.twilio.send(&text()).await.outcome);
    let words = world.customer_writes().await;

    let query = InboundQuery { to: EXAMPLE_SENDER.parse().expect("an address"), since, page: None };
    let page = world.twilio.inbound(&query).await.expect("the log");
    assert_eq!(page.next, None);
    let sids: Vec<&str> = page.entries.iter().map(|entry| entry.provider_message_id.as_str()).collect();
    assert_eq!(sids, [words.as_str(), picture.as_str()], "newest first");

    for entry in page.entries {
        let entry = if entry.is_incomplete { world.twilio.complete(entry).await.expect("its files") } else { entry };
        let webhook = eventually("its webhook", async || {
            world.webhooks().await.into_iter().find(|webhook| webhook.message_sid == entry.provider_message_id)
        })
        .await;
        let by_webhook = understand(&webhook, "inbound");
        let by_log = world.twilio.read(entry.body.as_bytes());
        assert_eq!(by_log.dedupe_key(), by_webhook.dedupe_key());
        match (by_log, by_webhook) {
            (WebhookEvent::Inbound(log), WebhookEvent::Inbound(webhook)) => {
                assert_eq!((&log.from, &log.to, &log.content), (&webhook.from, &webhook.to, &webhook.content));
            }
            other => panic!("{other:?}"),
        }
    }
    let later = InboundQuery { since: "2999-01-01T00:00:00Z".parse().expect("a time"), ..query };
    assert_eq!(world.twilio.inbound(&later).await.expect("the log").entries, []);
    world.sandbox.shutdown().await;
}

#[tokio::test]
async fn every_page_of_customers_messages_names_the_next() {
    let world = World::new(Seed::example()).await;
    for _ in 0..201 {
        world.customer_writes().await;
    }
    let to = EXAMPLE_SENDER.parse().expect("an address");
    let mut query = InboundQuery { to, since: jiff::Timestamp::UNIX_EPOCH, page: None };
    let first = world.twilio.inbound(&query).await.expect("a page");
    query.page = first.next;
    assert!(query.page.is_some(), "there is more than one page");
    let second = world.twilio.inbound(&query).await.expect("a page");
    assert_eq!((first.entries.len(), second.entries.len(), second.next), (200, 1, None));
    world.sandbox.shutdown().await;
}
