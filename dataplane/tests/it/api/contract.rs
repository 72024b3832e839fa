//! The API is what its description says: for requests that are made from it, and for clients that are.

use axum::serve;
use dataplane::store::message::NewMessage;
use sdk::run;
use serde_json::json;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::listeners::Listeners;
use crate::store::{accept, new_message};

/// Failures of Schemathesis that are none.
const PASSED_OVER: [&str; 1] = [
    // A message that is well-formed may still be one that policy forbids, or name what this tenant does not have.
    "positive_data_acceptance",
];

/// The tenants' API on a socket of its own.
struct Api {
    url: String,
    _listeners: Listeners,
    _serving: JoinSet<()>,
}

impl Api {
    async fn start() -> Self {
        let listeners = Listeners::new().await;
        // The examples of the description succeed: their template is there, and so is their message.
        listeners.tenant("shop", |config| {
            config["policies"] = json!({});
            let mut shipped = config["templates"]["hello"].clone();
            shipped["fallbackLanguage"] = json!("de");
            shipped["localizations"] = json!({ "de": shipped["localizations"]["en"] });
            config["templates"]["order-shipped"] = shipped;
        });
        let id = "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978".parse().unwrap();
        accept(listeners.database.store(), NewMessage { id, ..new_message(0) }).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let router = listeners.api.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move { serve(socket, router).await.unwrap() });
        Self { url, _listeners: listeners, _serving: serving }
    }

    /// A command that finds the API in its environment, and reaches it directly.
    fn told(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("API_URL", &self.url).env("API_KEY", "key-of-shop");
        for redirecting in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(redirecting);
        }
        command
    }
}

/// Writes the description where a generator reads it.
fn describe(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("openapi.json");
    std::fs::write(&file, dataplane::api::openapi_document()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_from_the_description_are_answered_as_it_says() {
    let programs = sdk::python("contract-python").await;
    let api = Api::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = api.told(programs.join("schemathesis"));
    command
        .current_dir(folder.path())
        .args(["run", &format!("{}/openapi.json", api.url), "--header", "Authorization: Bearer key-of-shop"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10"])
        .args(["--generation-deterministic", "--suppress-health-check", "all"])
        .args(["--exclude-checks", &PASSED_OVER.join(","), "--workers", "1", "--no-color"]);
    // Deterministic: the same description makes the same requests.
    run("Schemathesis", &mut command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_python_client_sends_reads_and_lists() {
    let programs = sdk::python("contract-python").await;
    let (api, folder) = (Api::start().await, tempfile::tempdir().unwrap());
    let description = describe(folder.path());
    let mut generate = Command::new(programs.join("openapi-python-client"));
    generate.args(["generate", "--meta", "none", "--fail-on-warning", "--path"]).arg(description);
    let path = std::env::join_paths([programs.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    generate.arg("--output-path").arg(folder.path().join("whatsapp")).env("PATH", path);
    run("generating a client with openapi-python-client", &mut generate).await;
    let mut check = api.told(programs.join("python"));
    check.env("CLIENT", folder.path()).arg(sdk::source("contract-python").join("check.py"));
    run("the generated Python client's check", &mut check).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_typescript_client_sends_reads_and_lists() {
    let installed = sdk::node("contract-node").await;
    let api = Api::start().await;
    // A module looks for its packages in its own folder.
    let folder = tempfile::tempdir_in(&installed).unwrap();
    std::fs::copy(sdk::source("contract-node").join("check.ts"), folder.path().join("check.ts")).unwrap();
    let description = describe(folder.path());
    let program = |name: &str| Command::new(installed.join("node_modules/.bin").join(name));
    let mut generate = program("openapi-typescript");
    generate.arg(description).arg("--output").arg(folder.path().join("api.ts"));
    run("generating a client with openapi-typescript", &mut generate).await;
    let mut compile = program("tsc");
    compile.args(["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "check.ts"]);
    run("compiling the client's check", compile.current_dir(folder.path())).await;
    let mut check = api.told("node");
    check.arg(folder.path().join("check.js"));
    run("the generated TypeScript client's check", &mut check).await;
}
