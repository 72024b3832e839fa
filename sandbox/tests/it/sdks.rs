//! Runs the official SDKs, unmodified, against the sandbox.

use tokio::process::Command;

use crate::support::{Bench, SENDER};

/// Runs a script on a new sandbox.
async fn check(what: &str, command: &mut Command) {
    let bench = Bench::start().await;
    let account = &bench.account;
    command
        .env("SANDBOX_URL", bench.sandbox.base_url())
        .env("ACCOUNT_SID", &account.account_sid)
        .env("AUTH_TOKEN", &account.auth_token)
        .env("SENDER", SENDER)
        .env("SENDER_SID", &account.senders[0].sid)
        .env("SERVICE_SID", bench.service());
    for redirecting in ["TWILIO_REGION", "TWILIO_EDGE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(redirecting);
    }
    sdk::run(what, command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sdk_works_unmodified() {
    let installed = sdk::node("node").await;
    // A module looks for its packages in its own folder.
    std::fs::copy(sdk::source("node").join("check.mjs"), installed.join("check.mjs")).unwrap();
    check("the Node SDK's check", Command::new("node").arg(installed.join("check.mjs"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_works_unmodified() {
    let python = sdk::python("python").await.join("python");
    check("the Python SDK's check", Command::new(python).arg(sdk::source("python").join("check.py"))).await;
}
