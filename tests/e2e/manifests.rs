//! The API server accepts and refuses manifests as the schema's own tests do, with the same messages.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use kube::api::DynamicObject;
use tests::cluster::{Cluster, documents};
use tests::process::root;

/// The manifests of the schema's own tests. One with two documents is an object and a change to it.
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

/// The objects of a manifest, in a namespace without those of any other.
async fn in_a_namespace_of_their_own(cluster: &Cluster, text: &str) -> Result<Vec<DynamicObject>> {
    let namespace = cluster.namespace("manifest").await?;
    let mut objects = documents(text)?;
    for object in &mut objects {
        object.metadata.namespace = Some(namespace.clone());
    }
    Ok(objects)
}

#[tokio::test]
async fn good_manifests_are_admitted() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for (path, text) in manifests("good")? {
        for object in in_a_namespace_of_their_own(&cluster, &text).await? {
            cluster.put(object).await.with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn bad_manifests_are_refused_with_the_field_and_the_message_that_their_first_line_promises() -> Result<()> {
    let cluster = Cluster::shared().await?;
    for (path, text) in manifests("bad")? {
        let name = path.display();
        let promise =
            text.lines().next().and_then(|line| line.strip_prefix("# ")).context("no promise in the first line")?;
        let (field, message) = promise.split_once(": ").context("a promise is a field, a colon and a message")?;
        let mut objects = in_a_namespace_of_their_own(&cluster, &text).await?;
        let last = objects.pop().context("an empty manifest")?;
        for before in objects {
            cluster.put(before).await.with_context(|| format!("{name}: before the change"))?;
        }
        let Err(error) = cluster.put(last).await else { bail!("{name} was admitted") };
        let error = format!("{error:#}");
        ensure!(error.contains(field) && error.contains(message), "{name}: promised {promise:?}, got {error}");
    }
    Ok(())
}
