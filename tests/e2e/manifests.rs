//! The API server judges manifests as the schema's own tests do, in the same words.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use tests::cluster::{Cluster, documents};
use tests::process::root;

/// The manifests that the schema's own tests judge. One of two documents is an object and a change of it.
fn manifests(verdict: &str) -> Result<Vec<(PathBuf, String)>> {
    let dir = root().join("crds/tests/manifests").join(verdict);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .with_context(|| format!("reading {}", dir.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", dir.display());
    files.into_iter().map(|path| Ok((path.clone(), std::fs::read_to_string(path)?))).collect()
}

#[tokio::test]
async fn good_manifests_are_admitted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for (path, text) in manifests("good")? {
        let namespace = cluster.namespace("good").await?;
        cluster.apply_yaml(&text, Some(&namespace)).await.with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[tokio::test]
async fn bad_manifests_are_refused_with_the_field_and_the_message_that_their_first_line_promises() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for (path, text) in manifests("bad")? {
        let name = path.display();
        let promise = text.lines().next().and_then(|line| line.strip_prefix("# ")).context("no promise in the first line")?;
        let (field, message) = promise.split_once(": ").context("a promise is a field, a colon and a message")?;
        let namespace = cluster.namespace("bad").await?;
        let documents = documents(&text)?;
        let (last, before) = documents.split_last().context("an empty manifest")?;
        cluster.apply(before, Some(&namespace)).await.with_context(|| format!("{name}: before the change"))?;
        let Err(error) = cluster.apply(std::slice::from_ref(last), Some(&namespace)).await else { bail!("{name} was admitted") };
        let error = format!("{error:#}");
        ensure!(error.contains(field) && error.contains(message), "{name}: promised {promise:?}, got {error}");
    }
    Ok(())
}
