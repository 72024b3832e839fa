//! Finds PostgreSQL's programs.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const NEEDED: [&str; 4] = ["initdb", "postgres", "psql", "pg_basebackup"];
/// Debian keeps the server's programs out of `PATH`, one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder with PostgreSQL's programs, all of one version.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// In `PG_BIN` if it is set, else in the newest version that Debian's packages installed, else in `PATH`.
    pub fn find() -> Result<Self> {
        Self::find_in(env::var_os("PG_BIN").as_deref(), Path::new(DEBIAN), env::var_os("PATH").as_deref())
    }

    fn find_in(named: Option<&OsStr>, debian: &Path, path: Option<&OsStr>) -> Result<Self> {
        if let Some(folder) = named {
            let folder = PathBuf::from(folder);
            return match missing(&folder) {
                None => Ok(Self { folder }),
                Some(program) => bail!(
                    "PG_BIN: {} has no {program}; it must be the folder of PostgreSQL's programs ({})",
                    folder.display(),
                    NEEDED.join(", ")
                ),
            };
        }
        let installed = newest_first(debian).into_iter();
        let others = path.map(|path| env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        match installed.chain(others).find(|folder| missing(folder).is_none()) {
            Some(folder) => Ok(Self { folder }),
            None => bail!(
                "PostgreSQL's server is not installed: {} are neither under {} nor in PATH. On Debian and Ubuntu: \
                 `apt-get install postgresql`; elsewhere set PG_BIN to the folder that has them",
                NEEDED.join(", "),
                debian.display()
            ),
        }
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        // With a developer's own PGHOST or PGPASSWORD, a program could reach another server than ours.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        command
    }

    /// The version as the server reports it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> Result<String> {
        let output = self.command("postgres").arg("--version").output().context("asking postgres for its version")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().strip_prefix("postgres (PostgreSQL) ") {
            Some(version) => Ok(version.to_owned()),
            None => bail!("postgres --version said {text:?} instead of its version"),
        }
    }
}

fn missing(folder: &Path) -> Option<&'static str> {
    NEEDED.into_iter().find(|program| !folder.join(program).is_file())
}

fn newest_first(debian: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(debian)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn install(folder: &Path, programs: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for program in programs {
            fs::write(folder.join(program), "").unwrap();
        }
    }

    #[test]
    fn where_the_server_is_missing_the_error_says_what_to_install() {
        let empty = tempfile::tempdir().unwrap();
        // Debian's client package alone is not enough.
        install(&empty.path().join("15/bin"), &["psql", "pg_basebackup"]);
        let error = Programs::find_in(None, empty.path(), Some(empty.path().as_os_str())).unwrap_err().to_string();
        assert!(error.contains("`apt-get install postgresql`"), "{error}");
        assert!(error.contains("PG_BIN"), "{error}");
    }

    #[test]
    fn a_folder_in_pg_bin_is_never_replaced_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let (named, debian) = (dir.path().join("named"), dir.path().join("debian"));
        install(&named, &["initdb", "postgres", "psql"]);
        install(&debian.join("15/bin"), &NEEDED);
        let error = Programs::find_in(Some(named.as_os_str()), &debian, None).unwrap_err().to_string();
        assert!(error.contains("has no pg_basebackup"), "{error}");
    }

    #[test]
    fn the_newest_version_is_taken_and_path_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let (debian, path) = (dir.path().join("debian"), dir.path().join("path"));
        install(&path, &NEEDED);
        assert_eq!(Programs::find_in(None, &debian, Some(path.as_os_str())).unwrap().folder, path);
        install(&debian.join("9/bin"), &NEEDED);
        install(&debian.join("17/bin"), &NEEDED);
        install(&debian.join("18/bin"), &["psql"]);
        let found = Programs::find_in(None, &debian, Some(path.as_os_str())).unwrap();
        assert_eq!(found.folder, debian.join("17/bin"));
    }
}
