//! The figures beside their targets: a table for people, and a list of `{name, value, unit}` for machines.

#![expect(clippy::print_stdout, reason = "the table is the program's output")]

use anyhow::Result;
use serde_json::{Value, json};

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// The project's targets, by the figure's name.
const TARGETS: &[(&str, Target)] = &[
    ("webhook.postgres.ratio_to_verify", Target::AtLeast(0.5)),
    ("webhook.sqlite.ratio_to_verify", Target::AtLeast(0.4)),
    ("webhook.postgres.cpu_us", Target::AtMost(35.0)),
    ("webhook.sqlite.cpu_us", Target::AtMost(35.0)),
    ("webhook.postgres.p99_ms_at_500", Target::AtMost(10.0)),
    ("webhook.postgres.p99_ms_at_5000", Target::AtMost(25.0)),
    ("webhook.sqlite.p99_ms_at_500", Target::AtMost(10.0)),
    ("webhook.sqlite.p99_ms_at_5000", Target::AtMost(25.0)),
    ("webhook.postgres.ratio_to_express", Target::AtLeast(3.0)),
    ("webhook.postgres.cpu_to_express", Target::AtMost(0.2)),
    ("send.accept_per_s", Target::AtLeast(8_000.0)),
    ("send.dispatch_per_s", Target::AtLeast(3_000.0)),
    // No measurable slowdown; what differs by less is noise on a machine that others share.
    ("queue.claim_ratio_1000000_to_1000", Target::AtMost(1.15)),
    ("memory.mb", Target::AtMost(150.0)),
    // With 10,000 hostile clients.
    ("hostile.postgres.memory_mb", Target::AtMost(200.0)),
    ("hostile.sqlite.memory_mb", Target::AtMost(200.0)),
    ("replicas.two_to_one", Target::AtLeast(0.85)),
    ("replicas.sent_twice", Target::AtMost(0.0)),
    // With 200 tenants, 500 senders and 10,000 templates.
    ("operator.templates_ready_s", Target::AtMost(600.0)),
    ("operator.calls_per_template", Target::AtMost(2.2)),
    ("operator.memory_mb", Target::AtMost(150.0)),
    ("operator.writes_at_rest", Target::AtMost(0.0)),
    ("operator.provider_writes_at_rest", Target::AtMost(0.0)),
    ("operator.restart_s", Target::AtMost(60.0)),
    ("operator.restart_provider_writes", Target::AtMost(0.0)),
    ("config.apply_to_all_p95_ms", Target::AtMost(1_000.0)),
    ("push.approval_to_ready_ms", Target::AtMost(2_000.0)),
];

/// Every figure in the order of measurement, and what it was measured on.
#[derive(Debug, Default)]
pub(crate) struct Results {
    facts: Vec<(&'static str, String)>,
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, PartialEq)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Results {
    /// What the figures were measured on or with.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push((name, value.into()));
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let figure = Figure { name: name.into(), value: rounded(value), unit };
        eprintln!("  {} = {} {}", figure.name, figure.value, figure.unit);
        self.figures.push(figure);
    }

    /// The peak memory over all data planes, if any ran.
    pub(crate) fn note_memory(&mut self, peak_mib: Option<f64>) {
        if let Some(peak) = peak_mib {
            self.figure("memory.mb", peak, "MiB");
        }
    }

    pub(crate) fn print(&self) {
        for (name, value) in &self.facts {
            println!("{name}: {value}");
        }
        println!("\n{}", self.table());
    }

    fn table(&self) -> String {
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
        let mut table = format!("{:<width$} {:>12} {:<10} {:>10}\n", "figure", "value", "unit", "target");
        for Figure { name, value, unit } in &self.figures {
            let (target, verdict) = target(name).map_or_else(Default::default, |target| {
                (target.to_string(), if target.is_met(*value) { "met" } else { "MISSED" })
            });
            let line = format!("{name:<width$} {value:>12} {unit:<10} {target:>10} {verdict}");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table
    }

    /// A list of `{name, value, unit}`. The machine and the versions are entries with textual values.
    pub(crate) fn to_json(&self) -> Result<String> {
        let facts = self.facts.iter().map(|(name, value)| json!({"name": name, "value": value, "unit": ""}));
        let figures =
            self.figures.iter().map(|Figure { name, value, unit }| json!({"name": name, "value": value, "unit": unit}));
        Ok(serde_json::to_string_pretty(&Value::from_iter(facts.chain(figures)))? + "\n")
    }
}

fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(named, _)| *named == name).map(|(_, target)| *target)
}

/// Three significant digits, which is all the precision that these measurements have. Whole numbers stay whole.
fn rounded(value: f64) -> f64 {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        results.fact("machine", "2 cores");
        results.figure("webhook.postgres.ratio_to_verify", 0.5123, "");
        results.figure("webhook.postgres.cpu_us", 41.27, "µs");
        results.figure("webhook.postgres.requests_per_s", 43_210.7, "1/s");
        results
    }

    #[test]
    fn every_row_has_its_target_and_says_whether_it_is_met() {
        let table = results().table();
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(row("webhook.postgres.ratio_to_verify").ends_with("≥ 0.5 met"), "{table}");
        assert!(row("webhook.postgres.cpu_us").ends_with("≤ 35 MISSED"), "{table}");
        assert!(row("webhook.postgres.requests_per_s").ends_with("43211 1/s"), "{table}");
    }

    #[test]
    fn a_figure_equal_to_its_target_meets_it() {
        assert!(Target::AtLeast(0.5).is_met(0.5) && !Target::AtLeast(0.5).is_met(0.499));
        assert!(Target::AtMost(35.0).is_met(35.0) && !Target::AtMost(35.0).is_met(35.1));
        assert!(
            !Target::AtMost(35.0).is_met(f64::NAN) && !Target::AtLeast(1.0).is_met(f64::NAN),
            "a missing figure is not a success"
        );
    }

    #[test]
    fn machines_read_a_list_of_names_values_and_units() {
        let json: Value = serde_json::from_str(&results().to_json().unwrap()).unwrap();
        assert_eq!(json[0], json!({"name": "machine", "value": "2 cores", "unit": ""}));
        assert_eq!(json[2], json!({"name": "webhook.postgres.cpu_us", "value": 41.3, "unit": "µs"}));
        assert_eq!(json.as_array().unwrap().len(), 4);
    }
}
