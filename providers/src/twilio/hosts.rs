//! Twilio's hosts, and how one base URL replaces them all.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// A host of Twilio's REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Api,
    Content,
    Messaging,
    /// Alerts.
    Monitor,
    /// Keys.
    Iam,
    /// Auth tokens.
    Accounts,
    /// Event Streams.
    Events,
}

impl Host {
    fn origin(self) -> &'static str {
        match self {
            Self::Api => "https://api.twilio.com",
            Self::Content => "https://content.twilio.com",
            Self::Messaging => "https://messaging.twilio.com",
            Self::Monitor => "https://monitor.twilio.com",
            Self::Iam => "https://iam.twilio.com",
            Self::Accounts => "https://accounts.twilio.com",
            Self::Events => "https://events.twilio.com",
        }
    }
}

/// The hosts' addresses. A base URL replaces every host and keeps the path.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    base: Option<String>,
}

impl Hosts {
    pub(crate) fn new(base_url: Option<&Url>) -> Self {
        Self { base: base_url.map(|url| url.as_str().trim_end_matches('/').to_owned()) }
    }

    /// The URL of a path (with its query) that begins with `/`.
    pub(crate) fn url(&self, host: Host, path: &str) -> String {
        format!("{}{path}", self.base.as_deref().unwrap_or(host.origin()))
    }

    /// The path and query of a page's link. Links are relative in Twilio's 2010 API and absolute in newer ones. The
    /// request always goes to the configured host, whatever host the link names, because it carries credentials.
    pub(crate) fn path_of_link(&self, link: &str) -> Option<String> {
        let path = match link.split_once("://") {
            None => link,
            Some((_, hierarchy)) => {
                let within_base = self.base.as_deref().and_then(|base| link.strip_prefix(base));
                within_base.unwrap_or_else(|| &hierarchy[hierarchy.find('/').unwrap_or(hierarchy.len())..])
            }
        };
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
    }
}

/// One path segment made from a value that came from outside.
pub(crate) struct Segment<'a>(pub(crate) &'a str);

/// `-`, `_`, `.` and `~` need no escape in general, but a segment of dots alone would mean the parent folder, so `.` is
/// escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        utf8_percent_encode(self.0, ESCAPED).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sandbox() -> Hosts {
        Hosts::new(Some(&Url::parse("http://127.0.0.1:9000/").expect("a URL")))
    }

    #[test]
    fn a_base_url_takes_every_host_and_keeps_the_path() {
        assert_eq!(sandbox().url(Host::Content, "/v1/Content?a=1"), "http://127.0.0.1:9000/v1/Content?a=1");
        assert_eq!(Hosts::new(None).url(Host::Api, "/2010-04-01"), "https://api.twilio.com/2010-04-01");
        let proxied = Hosts::new(Some(&Url::parse("http://proxy/twilio").expect("a URL")));
        assert_eq!(proxied.url(Host::Messaging, "/v1/Services"), "http://proxy/twilio/v1/Services");
        assert_eq!(
            proxied.path_of_link("http://proxy/twilio/v1/Services?Page=1").as_deref(),
            Some("/v1/Services?Page=1")
        );
        assert_eq!(proxied.path_of_link("https://messaging.twilio.com/v1/Services").as_deref(), Some("/v1/Services"));
    }

    #[test]
    fn a_link_never_names_another_host() {
        for (link, path) in [
            ("/2010-04-01/x.json?Page=1", Some("/2010-04-01/x.json?Page=1")),
            ("https://content.twilio.com/v1/Content?PageToken=x", Some("/v1/Content?PageToken=x")),
            ("https://evil.example/v1/Content#f", Some("/v1/Content")),
            ("//evil.example/v1", None),
            ("https://evil.example//other.example/v1", None),
            ("https://evil.example", None),
            ("v1/Content", None),
            ("", None),
        ] {
            assert_eq!(sandbox().path_of_link(link).as_deref(), path, "{link}");
        }
    }

    proptest! {
        #[test]
        fn a_request_stays_on_the_base_whatever_a_link_says(link in ".*") {
            for hosts in [sandbox(), Hosts::new(None)] {
                if let Some(path) = hosts.path_of_link(&link)
                    && let Ok(url) = Url::parse(&hosts.url(Host::Content, &path))
                {
                    let host = url.host_str().map(str::to_owned);
                    prop_assert!(matches!(host.as_deref(), Some("127.0.0.1" | "content.twilio.com")), "{url}");
                }
            }
        }
    }
}
