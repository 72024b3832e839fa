//! The last good config of each tenant, on disk: what a restarted container runs while the API server is away.
//!
//! The files are those of [`super::directory`]: `<tenant>.json`, mode 0600, because they hold credentials.

use std::io;
use std::path::{Path, PathBuf};

use messaging::id::TenantId;
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// A directory of `<tenant>.json` files that this process alone writes.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Creates the directory if it does not exist.
    pub async fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory).await?;
        Ok(Self { directory })
    }

    /// Every kept config. A file that cannot be read affects its own tenant only.
    pub async fn load(&self) -> io::Result<Vec<(TenantId, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut entries = fs::read_dir(&self.directory).await?;
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path();
            let Some(tenant) = tenant_of(&path) else { continue };
            match fs::read(&path).await {
                Ok(bytes) => found.push((tenant, bytes)),
                Err(error) => tracing::warn!(%tenant, %error, "the kept copy of a tenant config cannot be read"),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Keeps a config. A reader sees the old one or the new one at any moment, even after a crash.
    pub async fn store(&self, tenant: &TenantId, bytes: &[u8]) -> io::Result<()> {
        // A leading dot and another ending, so that it is not read as a config.
        let temporary = self.directory.join(format!(".{tenant}.json.new"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).await?;
        file.write_all(bytes).await?;
        file.sync_data().await?;
        drop(file);
        fs::rename(&temporary, self.path(tenant)).await
    }

    /// Removes a tenant's config, if there is one.
    pub async fn remove(&self, tenant: &TenantId) -> io::Result<()> {
        match fs::remove_file(self.path(tenant)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.directory.join(format!("{tenant}.json"))
    }
}

/// The tenant whose config a file is: `<tenant>.json`.
pub(super) fn tenant_of(path: &Path) -> Option<TenantId> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    TenantId::new(name).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_comes_back_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path().join("configs")).await.unwrap();
        let (shop, bank) = (TenantId::new("shop").unwrap(), TenantId::new("bank").unwrap());
        cache.store(&shop, b"one").await.unwrap();
        cache.store(&shop, b"two").await.unwrap();
        cache.store(&bank, b"three").await.unwrap();
        cache.remove(&bank).await.unwrap();
        cache.remove(&bank).await.unwrap();
        assert_eq!(cache.load().await.unwrap(), [(shop, b"two".to_vec())]);
        let mode = std::fs::metadata(directory.path().join("configs/shop.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_written_and_foreign_files_are_not_configs() {
        for name in [".shop.json.new", "shop.yaml", "Shop.json", ".json", "..data"] {
            assert_eq!(tenant_of(Path::new(name)), None, "{name}");
        }
        assert_eq!(tenant_of(Path::new("/etc/shop.json")), TenantId::new("shop").ok());
    }
}
