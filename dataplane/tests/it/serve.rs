//! The whole process: three listeners, and an end in order.

use std::time::Duration;

use clap::Parser;
use dataplane::serve::Server;
use dataplane::settings::Settings;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::bytes;
use crate::config::tenant_json;
use crate::world::{soon, until};
use http::StatusCode;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn settings(directory: &std::path::Path, more: &[&str]) -> Settings {
    settings_over(&format!("sqlite://{}/store.db", directory.display()), directory, more)
}

/// Settings that name a store, and a directory of configs.
pub(crate) fn settings_over(store: &str, directory: &std::path::Path, more: &[&str]) -> Settings {
    let config = directory.display().to_string();
    let mut arguments = vec!["serve", "--store", store, "--config-dir", &config, "--drain-delay", "0s"];
    for listen in ["--webhook-listen", "--api-listen", "--admin-listen"] {
        arguments.extend([listen, "127.0.0.1:0"]);
    }
    arguments.extend(more);
    Cli::parse_from(arguments).settings
}

#[tokio::test]
async fn a_process_serves_on_three_listeners_and_drains_on_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("shop.json"), bytes(&tenant_json("shop"))).unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::start(settings(directory.path(), &[])).await.unwrap();
    let addresses = server.addresses();
    let mut running = JoinSet::new();
    running.spawn(server.run(shutdown.clone()));

    let http = reqwest::Client::new();
    let (admin, api) = (addresses.admin, addresses.api.unwrap());
    let get = async |url: String| {
        let answer = http.get(url).bearer_auth("key-of-shop").send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, ready) = get(format!("http://{admin}/readyz")).await;
    assert_eq!((status, ready.contains(r#""ready":true"#)), (StatusCode::OK, true), "{ready}");
    assert_eq!(get(format!("http://{api}/v1/messages")).await, (StatusCode::OK, r#"{"items":[]}"#.to_owned()));
    // Nothing of one listener is reachable through another.
    for url in [
        format!("http://{api}/metrics"),
        format!("http://{admin}/v1/messages"),
        format!("http://{api}/webhooks/shop/support/twilio/inbound"),
    ] {
        assert_eq!(get(url.clone()).await.0, StatusCode::NOT_FOUND, "{url}");
    }
    let (_, metrics) = get(format!("http://{admin}/metrics")).await;
    assert!(metrics.contains("whatsapp_queue_messages"), "{metrics}");
    assert!(!metrics.contains("hunter2") && !metrics.contains("key-of-shop"));

    drop(http);
    shutdown.cancel();
    soon(running.join_next()).await.unwrap().unwrap().unwrap();
    // Its data is still there after a restart.
    let again = Server::start(settings(directory.path(), &["--roles", "api"])).await.unwrap();
    assert!(again.addresses().webhooks.is_none(), "only the configured roles are served");
    let stop = CancellationToken::new();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), again.run(stop)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_reported_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("store.db")).unwrap();
    let error = Server::start(settings(directory.path(), &[])).await.err().unwrap();
    assert!(format!("{error:#}").contains("store.db"), "{error:#}");
}

#[tokio::test]
async fn every_part_of_a_replica_tells_when_it_last_did_its_work() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("shop.json"), bytes(&tenant_json("shop"))).unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::start(settings(directory.path(), &[])).await.unwrap();
    let metrics = format!("http://{}/metrics", server.addresses().admin);
    let mut running = JoinSet::new();
    running.spawn(server.run(shutdown.clone()));
    let parts = "apply dispatch publish settle expire remove forget bounds holds clock config webhooks api";
    until(async || {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        let told = |part| text.contains(&format!("whatsapp_last_success_timestamp_seconds{{task=\"{part}\"}} 1"));
        parts.split(' ').all(told)
    })
    .await;
    shutdown.cancel();
    soon(running.join_next()).await.unwrap().unwrap().unwrap();
}
