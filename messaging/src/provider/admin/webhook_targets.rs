//! Where a sender's or a pool's webhooks go.

use url::Url;

/// Where webhooks go. Compare with [`WebhookTargets::same_as`], because providers normalise URLs. What is called with
/// another method than POST is observed with that method before the URL, and is never the same as a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookTargets {
    pub inbound: Option<String>,
    pub status: Option<String>,
}

impl WebhookTargets {
    /// Whether both are the same once URLs are normalised (case of scheme and host, default port, the trailing slash of
    /// an empty path). The fragment counts: it carries Twilio's connection overrides.
    pub fn same_as(&self, other: &Self) -> bool {
        let normal =
            |url: &Option<String>| url.as_deref().map(|u| Url::parse(u).map_or_else(|_| u.to_owned(), Into::into));
        normal(&self.inbound) == normal(&other.inbound) && normal(&self.status) == normal(&other.status)
    }
}
