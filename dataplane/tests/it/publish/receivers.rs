//! The receivers in the README work as they stand there.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use dataplane::clock::SystemClock;
use dataplane::publish::sinks;
use dataplane::sink::{Delivery, OutgoingEvent};
use dataplane::store::message::SinkId;
use messaging::clock::Clock as _;
use messaging::config::{HttpSink, SinkConfig};
use messaging::secret::Secret;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const README: &str = include_str!("../../../../README.md");
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The code in a language that the README shows.
fn shown(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0
}

/// Starts a receiver, delivers a signed event and one with a wrong signature to it, and checks that it shows the first
/// and takes no other.
async fn check(command: &mut Command, port: u16) {
    command.env("EVENTS_SECRET", KEY).env("PORT", port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut receiver = command.spawn().unwrap();
    let deliver = async |key: &str| {
        let url = format!("http://127.0.0.1:{port}/whatsapp").parse().unwrap();
        let config = HttpSink { name: None, url, signing_secrets: vec![Secret::new(key)] };
        let sink = sinks::opener(true).unwrap()(SinkId::new("app"), &SinkConfig::Http(config)).unwrap();
        let id = "evt_01890a5d4f7a7c3e8b2d112233445566".parse().unwrap();
        // Another order and spacing than any serializer would write.
        let body = Bytes::from_static(br#"{ "type":"test",  "data": {"b":1, "a":"\u00e9"} }"#);
        sink.deliver(&OutgoingEvent { id, body }, SystemClock.now()).await
    };
    let delivered = async {
        loop {
            match deliver(KEY).await {
                Delivery::Delivered => break,
                Delivery::Later { reason, .. } if reason.to_lowercase().contains("connect") => {
                    tokio::task::yield_now().await;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), delivered).await.expect("the receiver starts");
    let forged = deliver("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").await;
    assert!(matches!(forged, Delivery::Later { .. }), "{forged:?}");
    receiver.start_kill().unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
    let mut shown = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        shown.push(line);
    }
    assert!(shown.iter().any(|line| line.starts_with("test")), "{shown:?}");
}

#[tokio::test]
async fn the_receiver_in_express_takes_signed_events_and_no_others() {
    let installed = sdk::node("contract-node").await;
    // A module looks for its packages in its own folder.
    let folder = tempfile::tempdir_in(installed).unwrap();
    let program = folder.path().join("receiver.mjs");
    std::fs::write(&program, shown("js")).unwrap();
    check(Command::new("node").arg(program), ports::free().unwrap()).await;
}

#[tokio::test]
async fn the_receiver_in_fastapi_takes_signed_events_and_no_others() {
    let programs = sdk::python("contract-python").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("receiver.py"), shown("python")).unwrap();
    let port = ports::free().unwrap();
    let mut serve = Command::new(programs.join("uvicorn"));
    serve.args(["receiver:app", "--port", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
    check(serve.current_dir(Path::new(folder.path())), port).await;
}
