//! Connection overrides: the fragment of a webhook's URL, such as `#rc=5&rp=all`.

use std::time::Duration;

use crate::world::patience::{Patience, Trouble};

/// Twilio's default: one retry, and only if no connection was made.
fn default() -> Patience {
    Patience {
        retries: 1,
        retried: vec![Trouble::Connect],
        read_timeout: Duration::from_secs(15),
        total_timeout: Duration::from_secs(15),
    }
}

/// Reads the fragment of a URL: `rc` is the number of retries (0 to 5), `rp` what is retried, `rt` and `tt` the
/// timeouts of one answer and of all attempts (100 ms to 15 s). Unknown parameters and values out of range are ignored.
pub(crate) fn patience(url: &str) -> Patience {
    let mut patience = default();
    let Some((_, fragment)) = url.split_once('#') else { return patience };
    for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
        let millis = value.parse::<u64>().ok().filter(|ms| (100..=15_000).contains(ms)).map(Duration::from_millis);
        match key {
            "rc" => patience.retries = value.parse().ok().filter(|rc| *rc <= 5).unwrap_or(patience.retries),
            "rp" => patience.retried = value.split(',').flat_map(troubles).copied().collect(),
            "rt" => patience.read_timeout = millis.unwrap_or(patience.read_timeout),
            "tt" => patience.total_timeout = millis.unwrap_or(patience.total_timeout),
            _ => {}
        }
    }
    patience
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
        let patience = patience("https://example.com/in?a=1");
        assert_eq!(patience.retries, 1);
        assert!(patience.retries(Trouble::Connect));
        assert!(!patience.retries(Trouble::Answer5xx));
        assert!(!patience.retries(Trouble::Timeout));
    }

    #[test]
    fn overrides_say_how_often_and_why() {
        let changed = patience("https://example.com/in#rc=5&rp=ct,5xx&rt=250");
        assert_eq!(changed.retries, 5);
        assert!(changed.retries(Trouble::Answer5xx));
        assert!(!changed.retries(Trouble::Answer4xx));
        assert_eq!(changed.read_timeout, Duration::from_millis(250));
        assert_eq!(patience("https://example.com/in#rc=6&tt=1"), default());
    }
}
