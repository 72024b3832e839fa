//! The outcome of a send, for everything that a network and a server can do to it.

use std::time::Duration;

use messaging::failure::FailureClass;
use messaging::lifecycle::MessageStatus;
use messaging::provider::{MessagingProvider as _, SendOutcome};
use serde_json::json;
use tokio::net::TcpListener;

use crate::account::{PASSWORD, impatient_twilio_at, text, twilio_at};
use crate::scripted::{Act, Scripted, answer, json as json_answer};

async fn send_to(url: &str) -> SendOutcome {
    twilio_at(url).send(&text()).await.outcome
}

/// The outcome of one send to a peer that acts so, and the number of requests that the peer saw.
async fn after(act: Act) -> (SendOutcome, usize) {
    let peer = Scripted::start(vec![act]).await;
    let outcome = send_to(&peer.url).await;
    (outcome, peer.requests().len())
}

fn not_sent(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::NotSent { .. })
}

fn ambiguous(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Ambiguous { .. })
}

#[tokio::test]
async fn an_accepted_message_has_the_providers_id_and_its_first_status() {
    for (word, status) in
        [("queued", MessageStatus::Accepted), ("sent", MessageStatus::Sent), ("new word", MessageStatus::Accepted)]
    {
        let (outcome, requests) = after(Act::Say(json_answer(201, &json!({"sid": "MM1", "status": word})))).await;
        assert_eq!(outcome, SendOutcome::Accepted { provider_message_id: "MM1".into(), status });
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let outcome = send_to(&url).await;
    assert!(not_sent(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_sent() {
    let outcome = send_to("http://twilio.invalid").await;
    assert!(not_sent(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_not_sent_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    // The peer accepts the connection, and on the first call stays silent until the client gives up connecting.
    let mute = impatient_twilio_at(&url).send(&text()).await.outcome;
    assert!(not_sent(&mute), "{mute:?}");
    let garbage = async {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.writable().await.expect("writable");
            drop(stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    };
    let outcome = tokio::select! {
        outcome = send_to(&url) => outcome,
        () = garbage => unreachable!("it never ends"),
    };
    assert!(not_sent(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_request_that_left_and_was_not_answered_is_ambiguous_and_is_made_once() {
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"sid\": \"MM1\"";
    for act in [
        Act::Close,
        Act::Hang,
        Act::SayAndClose("HTTP/1.1 201 Crea".into()),
        Act::SayAndClose(half.into()),
        Act::Say(half.into()),
        Act::Say(answer(201, "", "not json")),
        Act::Say(answer(201, "", "{\"status\": \"queued\"}")),
        Act::Say(answer(204, "", "")),
        Act::Say(answer(500, "", "<html>")),
        Act::Say(json_answer(503, &json!({"code": 20429, "message": "busy", "status": 503}))),
        Act::Say(answer(504, "retry-after: 1\r\n", "")),
    ] {
        let peer = Scripted::start(vec![act.clone()]).await;
        let outcome = impatient_twilio_at(&peer.url).send(&text()).await.outcome;
        assert!(ambiguous(&outcome), "{act:?} {outcome:?}");
        assert_eq!(peer.requests().len(), 1, "{act:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_is_ambiguous() {
    let elsewhere = Scripted::start(vec![Act::Say(json_answer(201, &json!({"sid": "MM1"})))]).await;
    for status in [301, 302, 303, 307, 308] {
        let (outcome, requests) =
            after(Act::Say(answer(status, &format!("location: {}/\r\n", elsewhere.url), ""))).await;
        assert!(ambiguous(&outcome), "{outcome:?}");
        assert_eq!(requests, 1);
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_is_ambiguous_and_the_request_is_made_once() {
    let accepted = json_answer(201, &json!({"sid": "MM1", "status": "queued"}));
    let peer = Scripted::start(vec![Act::Say(accepted), Act::Close]).await;
    let twilio = twilio_at(&peer.url);
    assert!(matches!(twilio.send(&text()).await.outcome, SendOutcome::Accepted { .. }));
    let outcome = twilio.send(&text()).await.outcome;
    assert!(ambiguous(&outcome), "{outcome:?}");
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn a_429_is_refused_safe_to_retry_and_says_when() {
    let body = json!({"code": 20429, "message": "Too Many Requests", "status": 429}).to_string();
    let (outcome, _) = after(Act::Say(answer(429, "retry-after: 3\r\n", &body))).await;
    let SendOutcome::Refused(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.failure.class, error.retry_after), (FailureClass::Retry, Some(Duration::from_secs(3))));
    assert_eq!((error.http_status, error.failure.code.as_deref()), (Some(429), Some("20429")));
}

#[tokio::test]
async fn a_refusal_has_its_class_whatever_the_format_of_the_error() {
    let classic =
        json!({"code": 21211, "message": "Invalid 'To' Phone Number", "more_info": "https://x", "status": 400});
    let problem =
        json!({"type": "https://x", "title": "Bad Request", "status": 400, "code": 21211, "detail": "no such number"});
    let first =
        json!({"code": 21211, "message": "no such number", "httpStatusCode": 400, "params": {}, "userError": true});
    for body in [classic, problem, first] {
        let (outcome, _) = after(Act::Say(json_answer(400, &body))).await;
        let SendOutcome::Refused(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            (error.failure.class, error.failure.code.as_deref()),
            (FailureClass::Suppress, Some("21211")),
            "{body}"
        );
    }
    let (outcome, _) = after(Act::Say(answer(401, "content-type: text/html\r\n", "<html>no</html>"))).await;
    let SendOutcome::Refused(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (error.failure.class, error.to_string().as_str()),
        (FailureClass::Sender, "HTTP 401 without an explanation")
    );
    assert!(error.is_unauthorized());
}

#[tokio::test]
async fn no_outcome_shows_a_credential_or_a_query() {
    let message = format!("bad token {PASSWORD} for https://u:{PASSWORD}@api.twilio.com/x?secret=1");
    let (outcome, _) = after(Act::Say(json_answer(400, &json!({"code": 1, "message": message})))).await;
    let text = format!("{outcome:?}");
    assert!(
        !text.contains(PASSWORD) && !text.contains("secret=1") && text.contains("https://api.twilio.com/x"),
        "{text}"
    );
    let twilio = twilio_at("http://127.0.0.1:9");
    assert!(!format!("{twilio:?}").contains(PASSWORD));
}

#[tokio::test]
async fn the_providers_own_id_of_a_request_is_known_whatever_its_outcome() {
    for status in [201, 400, 500] {
        let body = json!({"sid": "MM1", "status": "queued", "message": "no"}).to_string();
        let acts = vec![Act::Say(answer(status, "Twilio-Request-Id: RQ0123\r\n", &body))];
        let peer = Scripted::start(acts).await;
        assert_eq!(twilio_at(&peer.url).send(&text()).await.request_id.as_deref(), Some("RQ0123"), "{status}");
    }
}
