//! Describes what the figures were measured on: machine, versions and date.

use std::process::Command;

use dataplane::clock::SystemClock;
use messaging::clock::Clock;

use crate::results::Results;

/// Records the description. What cannot be determined is recorded as unknown.
pub(crate) fn describe(results: &mut Results) {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    results.fact("date", SystemClock.now().to_string());
    results.fact("machine", machine(&cpuinfo, &meminfo));
    results.fact("kernel", std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim());
    for (name, program, arguments) in [
        ("rustc", "rustc", &["--version"][..]),
        ("postgres", "postgres", &["--version"]),
        ("node", "node", &["--version"]),
        ("redis", "redis-server", &["--version"]),
    ] {
        results.fact(name, version(program, arguments));
    }
}

/// `2 cores of <model>, 23.4 GiB`.
fn machine(cpuinfo: &str, meminfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok())
        .unwrap_or_default();
    let gib = f64::from(kib) / 1024.0 / 1024.0;
    format!(
        "{cores} cores of {}, {gib:.1} GiB; the load generator on the same cores",
        model.trim_matches(['\t', ':', ' '])
    )
}

fn version(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().filter(|line| !line.is_empty()).unwrap_or("not installed").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_its_cores_and_its_memory() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU 9\nprocessor\t: 1\nmodel name\t: Some CPU 9\n";
        let text = machine(cpuinfo, "MemTotal:       25165824 kB\nMemFree: 1 kB\n");
        assert!(text.starts_with("2 cores of Some CPU 9, 24.0 GiB"), "{text}");
    }

    #[test]
    fn a_missing_program_is_reported_as_missing() {
        assert_eq!(version("no-such-program-anywhere", &["--version"]), "not installed");
    }
}
