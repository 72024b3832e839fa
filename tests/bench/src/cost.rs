//! Processor time and memory of processes, as the kernel counts them.

use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time that a process and its living descendants have used so far, user and system.
pub(crate) fn cpu_of_family(pid: u32) -> Result<Duration> {
    let mut total = cpu(pid)?;
    for child in children(pid)? {
        total += cpu_of_family(child)?;
    }
    Ok(total)
}

/// Processor time of this process: what the load generator itself takes.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu(std::process::id())
}

/// The most memory that a process has had resident, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Result<f64> {
    let status = read(pid, "status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u32>().ok())
        .context("no VmHWM in /proc/<pid>/status")?;
    Ok(f64::from(kib) / 1024.0)
}

fn cpu(pid: u32) -> Result<Duration> {
    ticks(&read(pid, "stat")?).with_context(|| format!("/proc/{pid}/stat"))
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let listed = std::fs::read_to_string(thread?.path().join("children"));
        // A thread may end while its siblings are looked at; then its children are its process's.
        let listed = listed.unwrap_or_default();
        children.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("reading {path}: the process has ended"))
}

/// `utime` and `stime` in a line of `/proc/<pid>/stat`.
fn ticks(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets, which may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    let ticks = fields.next()?? + fields.next()??;
    // Linux counts in hundredths of a second towards user space, whatever the kernel's own tick is.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "812 (a) (b c) S 1 812 812 0 -1 4194304 55 0 0 0 150 27 0 0 20 0 5 0 4711 1000 200 1";
        assert_eq!(ticks(stat), Some(Duration::from_millis(1770)));
        assert_eq!(ticks("812 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_its_children_count() {
        assert!(peak_mib(std::process::id()).unwrap() > 0.5);
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(children(std::process::id()).unwrap().contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(peak_mib(child.id()).is_err(), "what has ended has no memory");
    }
}
