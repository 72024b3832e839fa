//! The URLs that Twilio calls: `{namespace}/{sender}/twilio/inbound`, `…/status`, `…/status/{attempt}` and `…/events`.
//! The signature covers the URL and so proves the attempt id in it.

use messaging::id::{AttemptId, SenderName, TenantId};
use messaging::provider::admin::WebhookTargets;
use messaging::provider::webhook::{EndpointId, Location, WebhookHome};
use url::Url;

use crate::twilio::PROVIDER;

/// What arrives at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Inbound,
    Status {
        attempt: Option<AttemptId>,
    },
    /// Event Streams.
    Events,
}

const INBOUND: &str = "inbound";
const STATUS: &str = "status";
const EVENTS: &str = "events";

impl Route {
    /// Reads [`Location::route`].
    pub(crate) fn parse(route: &str) -> Option<Self> {
        match route.split_once('/') {
            None if route == INBOUND => Some(Self::Inbound),
            None if route == STATUS => Some(Self::Status { attempt: None }),
            None if route == EVENTS => Some(Self::Events),
            Some((STATUS, attempt)) => attempt.parse().ok().map(|attempt| Self::Status { attempt: Some(attempt) }),
            _ => None,
        }
    }
}

/// The endpoint of one sender.
pub(crate) fn endpoint(tenant: &TenantId, sender: &SenderName) -> EndpointId {
    EndpointId::new(format!("{PROVIDER}/{tenant}/{sender}"))
}

/// Finds the endpoint and the route in a path below `/webhooks/`.
pub(crate) fn locate(path: &str) -> Option<Location> {
    let mut segments = path.splitn(4, '/');
    let (tenant, sender, provider, route) = (segments.next()?, segments.next()?, segments.next()?, segments.next()?);
    if provider != PROVIDER || Route::parse(route).is_none() {
        return None;
    }
    let endpoint = endpoint(&tenant.parse().ok()?, &sender.parse().ok()?);
    Some(Location { endpoint, route: route.to_owned(), methods: &["POST"] })
}

/// The URL of a route, without fragment.
fn url(home: &WebhookHome<'_>, route: &str) -> String {
    let WebhookHome { public_base_url, tenant, sender } = home;
    format!("{}/webhooks/{tenant}/{sender}/{PROVIDER}/{route}", public_base_url.as_str().trim_end_matches('/'))
}

/// Where Twilio reports on one attempt.
pub(crate) fn status_callback(home: &WebhookHome<'_>, attempt: AttemptId) -> Url {
    let callback = url(home, &format!("{STATUS}/{attempt}"));
    Url::parse(&callback).unwrap_or_else(|e| unreachable!("a URL and a path of names is a URL: {e}"))
}

/// Where a sender's webhooks go, with our connection overrides.
pub(crate) fn targets(home: &WebhookHome<'_>) -> WebhookTargets {
    WebhookTargets {
        inbound: Some(with_connection_overrides(&url(home, INBOUND))),
        status: Some(with_connection_overrides(&url(home, STATUS))),
    }
}

/// Where a sender's account sends its events. Event Streams takes no connection overrides.
pub(crate) fn events(home: &WebhookHome<'_>) -> String {
    url(home, EVENTS)
}

/// Twilio's connection overrides, carried in the fragment of a callback URL: repeat up to five times, after any kind of
/// failure. Without them Twilio repeats once, and only after a failed connection, so one 500 would lose the event.
/// (Twilio docs, webhook connection overrides.)
const CONNECTION_OVERRIDES: &str = "rc=5&rp=all";

/// The URL with our connection overrides as its fragment, instead of any other. Twilio neither sends nor signs the
/// fragment.
pub fn with_connection_overrides(url: &str) -> String {
    format!("{}#{CONNECTION_OVERRIDES}", url.split('#').next().unwrap_or(url))
}

/// A URL as Twilio shows it, with its method in front unless that is POST. An unset URL is null or empty.
pub(crate) fn observed(url: Option<String>, method: Option<String>) -> Option<String> {
    let url = url.filter(|url| !url.is_empty())?;
    match method {
        Some(method) if !method.is_empty() && !method.eq_ignore_ascii_case("POST") => Some(format!("{method} {url}")),
        _ => Some(url),
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

    #[test]
    fn what_twilio_is_given_to_call_is_what_is_located() {
        let (base, tenant, sender) = (
            Url::parse("https://hooks.example.com/behind/a/path/").expect("a URL"),
            TenantId::new("meta").expect("a tenant"),
            SenderName::new("support.eu").expect("a sender"),
        );
        let home = WebhookHome { public_base_url: &base, tenant: &tenant, sender: &sender };
        let attempt: AttemptId = "att-0192d3b8c7a97c3e8f1e2d3c4b5a6978".parse().expect("an attempt");
        let WebhookTargets { inbound, status } = targets(&home);
        let callback = with_connection_overrides(status_callback(&home, attempt).as_str());
        for (url, route) in [
            (inbound.expect("set"), Route::Inbound),
            (status.expect("set"), Route::Status { attempt: None }),
            (callback, Route::Status { attempt: Some(attempt) }),
            (events(&home), Route::Events),
        ] {
            let path = url.strip_prefix("https://hooks.example.com/behind/a/path/webhooks/").expect("below the base");
            let located = locate(path.split('#').next().expect("a path")).expect("located");
            assert_eq!(located.endpoint, endpoint(&tenant, &sender));
            assert_eq!(Route::parse(&located.route), Some(route));
        }
    }

    #[test]
    fn any_other_path_is_not_twilios() {
        for path in [
            "",
            "shop/support/twilio",
            "shop/support/twilio/",
            "shop/support/twilio/outbound",
            "shop/support/twilio/events/1",
            "shop/support/twilio/inbound/x",
            "shop/support/twilio/status/att-1",
            "shop/support/meta/inbound",
            "Shop/support/twilio/inbound",
            "meta/123",
        ] {
            assert_eq!(locate(path), None, "{path}");
        }
    }
}
