//! Of a contact's keywords the one that was said last counts, whichever arrives first.

use jiff::Timestamp;
use messaging::clock::Clock;
use messaging::contact::SuppressionReason;
use messaging::content::InboundContent;
use messaging::provider::WebhookEvent;

use crate::store::inbound;
use crate::world::{CUSTOMER, World, support, tenant};

fn says(id: &str, words: &str, said_at: Option<Timestamp>) -> WebhookEvent {
    let WebhookEvent::Inbound(message) = inbound(id) else { panic!("{id} is a message") };
    WebhookEvent::Inbound(messaging::provider::InboundMessage {
        content: InboundContent::Text { body: words.into() },
        said_at,
        ..message
    })
}

#[tokio::test]
async fn a_keyword_is_judged_by_when_it_was_said_and_not_by_when_it_was_found() {
    for (last, suppressed) in [("STOP", Some(SuppressionReason::OptedOut)), ("START", None)] {
        let world = World::with_shop().await;
        let first = if last == "STOP" { "START" } else { "STOP" };
        let begun = world.clock.now();
        // The webhook of the last one comes at once. The first one is found in the provider's log later.
        world.clock.advance(jiff::SignedDuration::from_secs(60));
        world.hears("shop", vec![says("SM2", last, None)], None).await;
        world.clock.advance(jiff::SignedDuration::from_secs(600));
        world.hears("shop", vec![says("SM1", first, Some(begun))], None).await;
        let contact =
            world.shared.store.contact(&tenant("shop"), &support(), &CUSTOMER.parse().unwrap()).await.unwrap();
        assert_eq!(contact.state.suppression(world.clock.now()).map(|s| s.reason), suppressed, "{last} was said last");
        assert_eq!(contact.state.last_inbound_at, Some(begun + jiff::SignedDuration::from_secs(60)));
    }
}
