//! Promises about sinks over HTTP: signed, never redirected, and never to a private address.

use axum::response::IntoResponse;
use bytes::Bytes;
use dataplane::metrics::PublishResult;
use dataplane::publish::sinks;
use dataplane::sink::{Delivery, OutgoingEvent};
use dataplane::store::message::SinkId;
use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use jiff::Timestamp;
use messaging::config::{HttpSink, SinkConfig};
use messaging::secret::Secret;
use url::Url;

use crate::sink::Sink;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

async fn deliver(allow_private: bool, url: Url) -> Delivery {
    let config = HttpSink { name: None, url, signing_secrets: vec![Secret::new(KEY), Secret::new(OTHER_KEY)] };
    let sink = sinks::opener(allow_private).unwrap()(SinkId::new("app"), &SinkConfig::Http(config)).unwrap();
    let id = "evt_01890a5d4f7a7c3e8b2d112233445566".parse().unwrap();
    let event = OutgoingEvent { id, body: Bytes::from_static(br#"{"test": 2432232314}"#) };
    sink.deliver(&event, Timestamp::from_second(1_614_265_330).unwrap()).await
}

#[tokio::test]
async fn an_event_arrives_with_standard_webhooks_headers_and_a_signature_of_each_key() {
    let sink = Sink::start().await;
    assert_eq!(deliver(true, sink.url()).await, Delivery::Delivered);
    let received = &sink.received()[0];
    assert_eq!(received.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!(received.header("webhook-id"), "evt_01890a5d4f7a7c3e8b2d112233445566");
    assert_eq!(received.header("webhook-timestamp"), "1614265330");
    // Computed with openssl; see the module of signatures.
    assert_eq!(
        received.header("webhook-signature"),
        "v1,pGX71f99h3Z7SzrNdst9Wg4X58H1oRsMS8r1rB4Tyho= v1,/LsmGwaVksBsqGPX26i1J1f8hWNPzkJHZzeazi9Zcao="
    );
    assert_eq!(&received.body[..], br#"{"test": 2432232314}"#);
}

#[tokio::test]
async fn only_a_2xx_is_success_and_a_redirect_is_not_followed() {
    let (sink, elsewhere) = (Sink::start().await, Sink::start().await);
    sink.will_answer([
        (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, elsewhere.url().to_string())]).into_response(),
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "7")]).into_response(),
        StatusCode::GONE.into_response(),
    ]);
    let Delivery::Later { reason, .. } = deliver(true, sink.url()).await else { panic!("a redirect") };
    assert_eq!(reason, "the sink answered 307");
    assert_eq!(elsewhere.received().len(), 0);
    let Delivery::Later { retry_after, .. } = deliver(true, sink.url()).await else { panic!("a 503") };
    assert_eq!(retry_after, Some(std::time::Duration::from_secs(7)));
    assert_eq!(deliver(true, sink.url()).await, Delivery::Gone);
}

#[tokio::test]
async fn a_private_address_is_never_connected_to_whether_it_is_written_or_resolved() {
    let sink = Sink::start().await;
    let by_name: Url = format!("http://localhost:{}/events", sink.address.port()).parse().unwrap();
    let Delivery::Refused { reason, counted } = deliver(false, sink.url()).await else { panic!("a private address") };
    assert_eq!(counted, PublishResult::PrivateAddress);
    assert!(reason.starts_with("127.0.0.1 is a private address"), "{reason}");
    assert!(matches!(deliver(false, by_name).await, Delivery::Later { .. }));
    assert_eq!(sink.received().len(), 0);
}

#[tokio::test]
async fn a_tenant_does_not_learn_whether_an_internal_name_exists() {
    let outcome = async |host: &str| {
        let Delivery::Later { reason, retry_after } = deliver(false, format!("http://{host}/").parse().unwrap()).await
        else {
            panic!("{host} is retried")
        };
        (reason.replace(host, "…"), retry_after)
    };
    assert_eq!(outcome("localhost").await, outcome("no-such-name.invalid").await);
}

#[tokio::test]
async fn an_error_is_reported_without_the_urls_secrets() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/events?token=hunter2").parse().unwrap();
    let Delivery::Later { reason, .. } = deliver(true, url).await else { panic!("nothing listens there") };
    assert!(!reason.contains("hunter2"), "{reason}");
    assert!(reason.to_lowercase().contains("connect"), "{reason}");
}
