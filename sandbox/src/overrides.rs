//! Connection overrides: the `#rc=5&rp=all` that may stand at the end of a webhook's URL.

use std::time::Duration;

/// How patiently a webhook is delivered. The defaults are the provider's: one retry, and only if no connection was
/// made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overrides {
    /// `rc`: 0 to 5.
    pub(crate) retries: u32,
    /// `rp`: what is retried.
    pub(crate) policy: Vec<Trouble>,
    /// `rt`: for one answer, 100 ms to 15 s.
    pub(crate) read_timeout: Duration,
    /// `tt`: for everything together, 100 ms to 15 s.
    pub(crate) total_timeout: Duration,
}

/// Why a delivery did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Connect,
    Timeout,
    Answer4xx,
    Answer5xx,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            retries: 1,
            policy: vec![Trouble::Connect],
            read_timeout: Duration::from_secs(15),
            total_timeout: Duration::from_secs(15),
        }
    }
}

impl Overrides {
    /// Reads the fragment of a URL. What is out of range or unknown is ignored.
    pub(crate) fn of(url: &str) -> Self {
        let mut overrides = Self::default();
        let Some((_, fragment)) = url.split_once('#') else { return overrides };
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            let millis = value.parse::<u64>().ok().filter(|ms| (100..=15_000).contains(ms)).map(Duration::from_millis);
            match key {
                "rc" => overrides.retries = value.parse().ok().filter(|rc| *rc <= 5).unwrap_or(overrides.retries),
                "rp" => overrides.policy = value.split(',').flat_map(troubles).copied().collect(),
                "rt" => overrides.read_timeout = millis.unwrap_or(overrides.read_timeout),
                "tt" => overrides.total_timeout = millis.unwrap_or(overrides.total_timeout),
                _ => {}
            }
        }
        overrides
    }

    pub(crate) fn retry(&self, trouble: Trouble) -> bool {
        self.policy.contains(&trouble)
    }
}

fn troubles(word: &str) -> &'static [Trouble] {
    match word {
        "ct" => &[Trouble::Connect],
        "rt" => &[Trouble::Timeout],
        "4xx" => &[Trouble::Answer4xx],
        "5xx" => &[Trouble::Answer5xx],
        "all" => &[Trouble::Connect, Trouble::Timeout, Trouble::Answer4xx, Trouble::Answer5xx],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_overrides_only_a_failed_connection_is_retried_and_once() {
        let overrides = Overrides::of("https://example.com/in?a=1");
        assert_eq!(overrides.retries, 1);
        assert!(overrides.retry(Trouble::Connect));
        assert!(!overrides.retry(Trouble::Answer5xx));
        assert!(!overrides.retry(Trouble::Timeout));
    }

    #[test]
    fn overrides_say_how_often_and_why() {
        let overrides = Overrides::of("https://example.com/in#rc=5&rp=ct,5xx&rt=250");
        assert_eq!(overrides.retries, 5);
        assert!(overrides.retry(Trouble::Answer5xx));
        assert!(!overrides.retry(Trouble::Answer4xx));
        assert_eq!(overrides.read_timeout, Duration::from_millis(250));
        assert_eq!(Overrides::of("https://example.com/in#rc=6&tt=1"), Overrides::default());
    }
}
