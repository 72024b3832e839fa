//! Writes the CustomResourceDefinitions into the directory that it is given: `crdgen DIRECTORY`.

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).context("usage: crdgen DIRECTORY")?;
    for definition in crds::definition::all() {
        let path = directory.join(crds::definition::file_name(&definition));
        let yaml = crds::definition::to_yaml(&definition)?;
        std::fs::write(&path, yaml).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}
