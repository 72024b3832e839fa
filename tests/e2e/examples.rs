//! Applies every example, so that none goes stale.

use std::path::Path;

use anyhow::{Result, ensure};
use tests::cluster::{Cluster, documents};
use tests::process::root;

fn yaml_files(dir: &Path, into: &mut Vec<std::path::PathBuf>) -> Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "yaml") {
            into.push(path);
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_example_applies() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let mut files = Vec::new();
    yaml_files(&root().join("examples"), &mut files)?;
    ensure!(!files.is_empty());
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        ensure!(!documents(&text)?.is_empty(), "{} has no object", file.display());
        cluster.kubectl(&["apply", "--validate=strict", "-f", &file.to_string_lossy()]).await?;
    }
    Ok(())
}
