//! What the kernel reports about the server's processes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// One process as `/proc/<pid>/stat` shows it. Times are in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    own: u64,
    /// Times of the children that have ended and been waited for.
    reaped: u64,
}

impl Stat {
    fn read(pid: Pid) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("reading process {pid}"))?;
        Self::parse(&text).with_context(|| format!("/proc/{pid}/stat is not as proc(5) says: {text:?}"))
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may itself contain any character.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // proc(5) counts from 1, and here the third field is the first.
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(14)? + ticks(15)?,
            reaped: ticks(16)? + ticks(17)?,
        })
    }
}

fn all() -> Result<impl Iterator<Item = Pid>> {
    let entries = fs::read_dir("/proc").context("listing /proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)))
}

/// The processor time, user and system, of a process and all children it ever had.
pub(crate) fn time_of_family(parent: Pid) -> Result<Duration> {
    loop {
        let before = Stat::read(parent)?;
        // A process that has ended since it was listed is not ours, or is counted in the next round.
        let children: Vec<Stat> =
            all()?.filter_map(|pid| Stat::read(pid).ok()).filter(|stat| stat.parent == parent.as_raw()).collect();
        let after = Stat::read(parent)?;
        // A child that was reaped meanwhile may have been counted twice or not at all.
        if before.reaped == after.reaped {
            let ticks = after.own + after.reaped + children.iter().map(|stat| stat.own + stat.reaped).sum::<u64>();
            let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(100);
            return Ok(Duration::from_millis(ticks * 1000 / per_second));
        }
    }
}

/// The processes that work in a folder. One that has ended, reaped or not, is not among them.
pub(crate) fn working_in(folder: &Path) -> Result<Vec<Pid>> {
    Ok(all()?.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_contain_blanks_and_parentheses() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3000 400 20 0 1 0 99 1 2";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 7, own: 120, reaped: 3400 }));
    }
}
