//! The URLs that Twilio is told to call.

use messaging::provider::WebhookTargets;

/// Twilio's connection overrides, carried in the fragment of a callback URL: repeat up to five times, after any kind of
/// failure. Without them Twilio repeats once, after a failed connection only, so one 500 would lose the event.
/// (Twilio docs, webhook connection overrides.)
const CONNECTION_OVERRIDES: &str = "rc=5&rp=all";

/// The URL with our connection overrides as its fragment, whatever fragment it had. Twilio neither sends nor signs the
/// fragment.
pub fn with_connection_overrides(url: &str) -> String {
    format!("{}#{CONNECTION_OVERRIDES}", url.split('#').next().unwrap_or(url))
}

pub(crate) fn targets(inbound: &str, status: &str) -> WebhookTargets {
    WebhookTargets {
        inbound: Some(with_connection_overrides(inbound)),
        status: Some(with_connection_overrides(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_added_once() {
        let once = with_connection_overrides("https://hooks.example.com/in");
        assert_eq!(once, "https://hooks.example.com/in#rc=5&rp=all");
        assert_eq!(with_connection_overrides(&once), once);
    }
}
