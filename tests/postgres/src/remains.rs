//! What a server keeps in memory that outlives its processes. The next start on the same data would clean it up, but a
//! killed server may never be started again.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::wait;

/// Shared memory, as listed by the processes that map it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    files: BTreeSet<PathBuf>,
    /// System V segments, by number.
    segments: BTreeSet<u32>,
}

impl Remains {
    /// Call this while the processes run.
    pub(crate) fn of(processes: &[Pid]) -> Self {
        let mut remains = Self::default();
        for process in processes {
            // A process that has ended meanwhile maps nothing.
            remains.add(&fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default());
        }
        remains
    }

    /// `maps` is as proc(5) says: address, permissions, offset, device, inode and path. The inode of a System V
    /// segment is its number.
    fn add(&mut self, maps: &str) {
        for line in maps.lines() {
            let mut fields = line.split_whitespace().skip(4);
            let (Some(inode), Some(path)) = (fields.next(), fields.next()) else { continue };
            if path.starts_with("/dev/shm/PostgreSQL.") {
                self.files.insert(path.into());
            } else if path.starts_with("/SYSV") {
                self.segments.extend(inode.parse::<u32>().ok());
            }
        }
    }

    /// Call this when no process is left.
    pub(crate) async fn remove(self) -> Result<()> {
        for file in self.files {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", file.display()));
                }
                _ => {}
            }
        }
        for segment in self.segments {
            let mut ipcrm = Command::new("ipcrm");
            ipcrm.args(["--shmem-id", &segment.to_string()]);
            wait::output(ipcrm).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_memory_of_postgres_is_found() {
        let maps = "\
55d0c0000000-55d0c0100000 r-xp 00000000 fe:00 1311 /usr/lib/postgresql/15/bin/postgres
7f0000000000-7f0000008000 rw-s 00000000 00:18 77 /dev/shm/PostgreSQL.1058804496
7f0000010000-7f0000018000 rw-s 00000000 00:18 78 /dev/shm/another
7f0000020000-7f0008000000 rw-s 00000000 00:01 2065 /dev/zero (deleted)
7f0008000000-7f0008001000 rw-s 00000000 00:01 98306 /SYSV000f2620 (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]
7ffc00030000-7ffc00031000 rw-p 00000000 00:00 0
";
        let mut remains = Remains::default();
        remains.add(maps);
        assert_eq!(remains.files, BTreeSet::from(["/dev/shm/PostgreSQL.1058804496".into()]));
        assert_eq!(remains.segments, BTreeSet::from([98306]));
    }
}
