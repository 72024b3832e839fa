//! The spellings of one URL that Twilio may have signed.
//!
//! Twilio's own SDKs say that its signing is inconsistent: with or without the port, and with or without escapes for
//! characters such as `'`. So they try several spellings, and we try those of Twilio's SDK for Node (6.2): the URL as
//! received, without and with a port; then as a browser would write it; then with its query as Node's old `querystring`
//! would write it. The first two only cut the text, so that not a byte of the rest changes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use url::Url;

use super::form::Form;

/// Calls `matches` with the pieces of each spelling in turn until it returns true; returns whether it did.
pub(crate) fn any_spelling(url: &str, mut matches: impl FnMut(&[&str]) -> bool) -> bool {
    let url = url.split('#').next().unwrap_or(url);
    if both_ports(url, &mut matches) {
        return true;
    }
    let Ok(normal) = Url::parse(url) else {
        return false;
    };
    if normal.as_str() != url && both_ports(normal.as_str(), &mut matches) {
        return true;
    }
    match normal.query().and_then(legacy_query) {
        Some(query) => {
            let until_query = normal.as_str().split('?').next().unwrap_or_default();
            both_ports(&format!("{until_query}?{query}"), &mut matches)
        }
        None => false,
    }
}

fn both_ports(url: &str, matches: &mut impl FnMut(&[&str]) -> bool) -> bool {
    let Some(Parts { until_port, has_port, after_port, default_port }) = Parts::of(url) else {
        return matches(&[url]);
    };
    // Without a port first, as Twilio usually signs https.
    matches(&[until_port, after_port])
        || if has_port { matches(&[url]) } else { matches(&[until_port, default_port, after_port]) }
}

/// A URL split around its port.
struct Parts<'a> {
    until_port: &'a str,
    has_port: bool,
    after_port: &'a str,
    default_port: &'static str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let authority_start = url.find("://")? + 3;
        let authority_end = url[authority_start..].find(['/', '?']).map_or(url.len(), |at| authority_start + at);
        let authority = &url[authority_start..authority_end];
        // User information may hold colons, and so does an IPv6 address, in its brackets.
        let host_start = authority.rfind('@').map_or(0, |at| at + 1);
        let host = &authority[host_start..];
        let host_end = host.rfind(']').map_or(0, |at| at + 1);
        let colon = host[host_end..].find(':').map(|at| authority_start + host_start + host_end + at);
        Some(Self {
            until_port: &url[..colon.unwrap_or(authority_end)],
            has_port: colon.is_some(),
            after_port: &url[authority_end..],
            default_port: if url.starts_with("https:") { ":443" } else { ":80" },
        })
    }
}

/// What Node's `querystring.escape` leaves unescaped.
const LEGACY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

fn legacy_query(query: &str) -> Option<String> {
    let mut written = String::with_capacity(query.len());
    for (key, value) in Form::parse(query.as_bytes()).ok()?.fields() {
        if !written.is_empty() {
            written.push('&');
        }
        written.extend(percent_encode(key, LEGACY));
        written.push('=');
        written.extend(percent_encode(value, LEGACY));
    }
    (written != query).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(url: &str) -> Vec<String> {
        let mut all = Vec::new();
        assert!(!any_spelling(url, |pieces| {
            all.push(pieces.concat());
            false
        }));
        all
    }

    #[test]
    fn a_port_is_removed_and_added_without_touching_the_rest() {
        assert_eq!(spellings("https://h/p?q=1"), ["https://h/p?q=1", "https://h:443/p?q=1"]);
        assert_eq!(spellings("http://h/p#rc=5"), ["http://h/p", "http://h:80/p"]);
        assert_eq!(spellings("https://h:8443/p"), ["https://h/p", "https://h:8443/p"]);
        assert_eq!(
            spellings("https://[2001:db8::1]:8443/p"),
            ["https://[2001:db8::1]/p", "https://[2001:db8::1]:8443/p"]
        );
        assert_eq!(spellings("https://[2001:db8::1]/p"), ["https://[2001:db8::1]/p", "https://[2001:db8::1]:443/p"]);
        assert_eq!(
            spellings("https://us:er@h/p?to=a@b:1"),
            [
                "https://us:er@h/p?to=a@b:1",
                "https://us:er@h:443/p?to=a@b:1",
                "https://us:er@h/p?to=a%40b%3A1",
                "https://us:er@h:443/p?to=a%40b%3A1"
            ]
        );
    }

    #[test]
    fn browsers_and_old_node_escape_differently() {
        assert_eq!(
            spellings("https://H/p?b=It's+so"),
            [
                "https://H/p?b=It's+so",
                "https://H:443/p?b=It's+so",
                "https://h/p?b=It%27s+so",
                "https://h:443/p?b=It%27s+so",
                "https://h/p?b=It's%20so",
                "https://h:443/p?b=It's%20so"
            ]
        );
    }
}
