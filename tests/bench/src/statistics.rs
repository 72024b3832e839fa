//! Medians and percentiles. Pure.

use std::time::Duration;

/// The median: the middle value, or the mean of the two middle values. `NaN` for an empty slice.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// Latencies, sorted once.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest latency, in milliseconds, that at least `percent` of all latencies do not exceed. `NaN` if there
    /// are none.
    pub(crate) fn percentile_ms(&self, percent: u32) -> f64 {
        let rank = (self.0.len() * percent as usize).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: impl IntoIterator<Item = u64>) -> Latencies {
        Latencies::new(values.into_iter().map(Duration::from_millis).collect())
    }

    fn same(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert!(same(median(&[9.0, 1.0, 5.0]), 5.0));
        assert!(same(median(&[4.0, 1.0, 2.0, 100.0]), 3.0));
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_percentile_is_a_latency_that_was_measured() {
        let latencies = millis((1..=200).rev());
        assert!(same(latencies.percentile_ms(50), 100.0));
        assert!(same(latencies.percentile_ms(99), 198.0));
        assert!(same(latencies.percentile_ms(100), 200.0));
        assert!(same(millis([7]).percentile_ms(99), 7.0));
    }

    #[test]
    fn one_slow_answer_in_fifty_is_the_99th_percentile() {
        let latencies = millis(std::iter::repeat_n(1, 49).chain([1000]));
        assert!(same(latencies.percentile_ms(99), 1000.0));
        assert!(same(latencies.percentile_ms(98), 1.0));
    }

    #[test]
    fn no_latencies_have_no_percentile() {
        assert!(millis([]).percentile_ms(99).is_nan());
    }
}
