//! Streams of events, against the sandbox.

use std::collections::BTreeMap;

use messaging::hints::About;
use messaging::provider::WebhookAdapter as _;
use messaging::provider::admin::{
    AccountAdmin as _, Listed, StreamAdmin as _, StreamState, Subscription, TemplateAdmin as _, TemplateHandle,
};
use messaging::provider::webhook::{Hinted, ReceivedHints, WebhookHome, WebhookRejected, WebhookRequest};
use messaging::secret::Secret;
use providers::twilio::TwilioWebhooks;
use sandbox::seed::{EXAMPLE_ACCOUNT_SID, EXAMPLE_AUTH_TOKEN, Seed};
use sandbox::twilio::types::Decision;
use sandbox::types::{WebhookFilter, WebhookKind, WebhookRecord};

use crate::against_sandbox::{World, eventually, revision};

fn url(world: &World) -> String {
    let (base, tenant, sender) = (
        "http://127.0.0.1:1/".parse().expect("a URL"),
        "shop".parse().expect("a tenant"),
        "support".parse().expect("a sender"),
    );
    world.twilio.stream_url(&WebhookHome { public_base_url: &base, tenant: &tenant, sender: &sender })
}

async fn events(world: &World) -> Vec<WebhookRecord> {
    let filter = WebhookFilter { kind: Some(WebhookKind::Event), ..WebhookFilter::default() };
    world.sandbox.control().webhooks(&filter).await.expect("webhooks")
}

/// Verifies what the sandbox sent, and what was changed in it on the way, and reads its hints.
fn hints(record: &WebhookRecord) -> Vec<Hinted> {
    let headers: BTreeMap<String, String> =
        record.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let path = record.url.strip_prefix("http://127.0.0.1:1/webhooks/").and_then(|rest| rest.split('?').next());
    let location = TwilioWebhooks.locate(path.expect("below the base")).expect("a route");
    let request = WebhookRequest {
        route: &location.route,
        method: &record.method,
        url: &record.url,
        headers: &headers,
        body: record.body.as_bytes(),
    };
    let endpoint = TwilioWebhooks.endpoint(&[Secret::new("another"), Secret::new(EXAMPLE_AUTH_TOKEN)], &[]);
    for forged in [
        WebhookRequest { body: b"[]", ..request },
        WebhookRequest { url: record.url.split('?').next().expect("a URL"), ..request },
        WebhookRequest { url: &record.url.replace("/shop/", "/bank/"), ..request },
    ] {
        assert_eq!(endpoint.hints(&forged), Err(WebhookRejected::WrongSignature));
    }
    let unsigned = WebhookRequest { headers: &BTreeMap::new(), ..request };
    assert!(matches!(endpoint.hints(&unsigned), Err(WebhookRejected::Unsigned { .. })));
    let ReceivedHints { key, hints } = endpoint.hints(&request).expect("signed");
    assert_eq!(key, 1);
    hints.expect("readable")
}

#[tokio::test]
async fn a_stream_is_tested_confirmed_and_subscribed_and_then_tells_of_an_approval() {
    let world = World::new(Seed::example()).await;
    let (twilio, url) = (&world.twilio, url(&world));
    assert!(twilio.streams().is_some());
    let stream = twilio.create_stream("ours", &url).await.expect("a stream");
    assert_eq!((stream.name.as_str(), stream.url.as_str(), stream.state), ("ours", url.as_str(), StreamState::Active));
    assert_eq!(twilio.list_streams().await, Ok(Listed { rows: vec![stream.clone()], requests: 1 }));

    twilio.test_stream(&stream.id).await.expect("a test");
    assert_eq!(twilio.list_streams().await.expect("a list").rows[0].state, StreamState::Validating);
    twilio.subscribe(&stream.id, "ours").await.expect_err("it is not confirmed");
    let refused = twilio.confirm_stream(&stream.id, "another").await.expect_err("another id");
    assert_eq!(refused.http_status, Some(400), "{refused}");
    let About::Test(test) = hints(&events(&world).await[0]).remove(0).about else { panic!("no test") };
    twilio.confirm_stream(&stream.id, &test).await.expect("confirmed");
    let subscription = twilio.subscribe(&stream.id, "ours").await.expect("a subscription");
    let listed = twilio.list_subscriptions(&stream.id).await;
    assert_eq!(listed, Ok(Listed { rows: vec![subscription.clone()], requests: 2 }));
    assert!(matches!(&subscription, Subscription { has_approvals: true, name, .. } if name == "ours"));

    let revision = revision("parcel");
    let handle = twilio.create_template(&revision).await.expect("a template");
    twilio.submit_template(&handle, &revision).await.expect("submitted");
    let decision = Decision { status: "approved".into(), ..Decision::default() };
    world.sandbox.control().decide(handle.as_str(), &decision).await.expect("decided");
    let told = eventually("the event", || async { events(&world).await.into_iter().nth(1) }).await;
    let expected = Hinted {
        account: Some(EXAMPLE_ACCOUNT_SID.into()),
        about: About::Template(TemplateHandle::new(handle.as_str())),
    };
    assert_eq!(hints(&told), [expected]);

    let in_use = twilio.delete_stream(&stream.id).await.expect_err("it has a subscription");
    assert_eq!(in_use.http_status, Some(400), "{in_use}");
    for _ in 0..2 {
        assert_eq!(twilio.unsubscribe(&subscription.id).await, Ok(()));
        assert_eq!(twilio.delete_stream(&stream.id).await, Ok(()));
    }
    assert_eq!(twilio.list_streams().await.expect("a list").rows, []);
    world.sandbox.shutdown().await;
}
