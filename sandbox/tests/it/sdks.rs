//! Runs the official SDKs, unmodified, against the sandbox.
//!
//! They are installed once into `target/sdk`, by their own package managers, in the versions that `tests/sdk` pins.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::support::{Bench, SENDER};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Runs a command, which must succeed.
async fn run(what: &str, command: &mut Command) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output =
        output.unwrap_or_else(|error| panic!("{what}: cannot run {:?}: {error}", command.as_std().get_program()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// Installs an SDK, unless the same pins are already installed. Returns its folder.
async fn install(sdk: &str, pins: &[&str], how: impl AsyncFnOnce(&Path)) -> PathBuf {
    let (source, target) = (workspace().join("tests/sdk").join(sdk), workspace().join("target/sdk").join(sdk));
    std::fs::create_dir_all(&target).unwrap();
    let pinned: Vec<u8> = pins.iter().flat_map(|pin| std::fs::read(source.join(pin)).unwrap()).collect();
    let installed = target.join("installed");
    if std::fs::read(&installed).ok().as_ref() != Some(&pinned) {
        for pin in pins {
            std::fs::copy(source.join(pin), target.join(pin)).unwrap();
        }
        how(&target).await;
        // Last, so that an interrupted installation is not mistaken for a complete one.
        std::fs::write(&installed, &pinned).unwrap();
    }
    target
}

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
    run(what, command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sdk_works_unmodified() {
    let installed = install("node", &["package.json", "package-lock.json", ".npmrc"], async |target| {
        let what = "installing the Node SDK needs `npm` (Node 20 or newer) and its registry";
        run(what, Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(target)).await;
    });
    let installed = installed.await;
    // A module looks for its packages in its own folder.
    std::fs::copy(workspace().join("tests/sdk/node/check.mjs"), installed.join("check.mjs")).unwrap();
    check("the Node SDK's check", Command::new("node").arg(installed.join("check.mjs"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_works_unmodified() {
    let installed = install("python", &["requirements.txt"], async |target| {
        let venv = target.join("venv");
        let what = "installing the Python SDK needs `python3` with `venv`";
        run(what, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await;
        let what = "installing the Python SDK needs `pip` and its registry";
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
        run(what, Command::new(venv.join("bin/python")).args(pip).current_dir(target)).await;
    });
    let python = installed.await.join("venv/bin/python");
    let script = workspace().join("tests/sdk/python/check.py");
    check("the Python SDK's check", Command::new(python).arg(script)).await;
}
