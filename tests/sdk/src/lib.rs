//! Clients in other languages, for tests. They are installed once into `target/sdk`, by their own package managers, in
//! the versions that the folders beside this crate pin. Everything here panics where it fails: a test cannot go on.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test cannot go on")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// The folder that holds the pins and the scripts of an SDK.
pub fn source(sdk: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(sdk)
}

/// Runs a command, which must succeed. Returns what it printed.
pub async fn run(what: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output =
        output.unwrap_or_else(|error| panic!("{what}: cannot run {:?}: {error}", command.as_std().get_program()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Installs a Node package with its lock, unless the same pins are already installed. Returns its folder.
pub async fn node(sdk: &str) -> PathBuf {
    install(sdk, &["package.json", "package-lock.json", ".npmrc"], async |target| {
        let what = "installing Node packages needs `npm` (Node 20 or newer) and its registry";
        run(what, Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(target)).await;
    })
    .await
}

/// Installs Python packages into an environment of their own, unless the same pins are already installed. Returns the
/// folder of its programs.
pub async fn python(sdk: &str) -> PathBuf {
    let target = install(sdk, &["requirements.txt"], async |target| {
        let venv = target.join("venv");
        let what = "installing Python packages needs `python3` with `venv`";
        run(what, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)).await;
        let what = "installing Python packages needs `pip` and its registry";
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
        run(what, Command::new(venv.join("bin/python")).args(pip).current_dir(target)).await;
    });
    target.await.join("venv/bin")
}

async fn install(sdk: &str, pins: &[&str], how: impl AsyncFnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sdk").join(sdk);
    std::fs::create_dir_all(&target).unwrap();
    let target = target.canonicalize().unwrap();
    // Tests run at the same time, in several processes.
    let lock = File::create(target.join("lock")).unwrap();
    lock.lock().unwrap();
    let pinned: Vec<u8> = pins.iter().flat_map(|pin| std::fs::read(source(sdk).join(pin)).unwrap()).collect();
    let installed = target.join("installed");
    if std::fs::read(&installed).ok().as_ref() != Some(&pinned) {
        for pin in pins {
            std::fs::copy(source(sdk).join(pin), target.join(pin)).unwrap();
        }
        how(&target).await;
        // Last, so that an interrupted installation is not mistaken for a complete one.
        std::fs::write(&installed, &pinned).unwrap();
    }
    target
}
