//! Who may read and stop tenants: requests from within the pod that no web page has sent.

use std::net::IpAddr;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, header};
use listener::ReceivedAt;

use crate::requests::problem::Problem;

/// Failure policy: fail closed. A request from elsewhere, or from an unknown address, stops nothing. The local address
/// decides and not the peer's, because the peer may be a proxy in the pod.
pub(super) async fn from_within(
    received_at: Result<ConnectInfo<ReceivedAt>, ExtensionRejection>,
    request: Request,
    next: Next,
) -> Response {
    let refused = |detail: &str| {
        Problem::new(StatusCode::FORBIDDEN, "not-from-within", "Only from within the pod", detail).into_response()
    };
    match received_at {
        Ok(ConnectInfo(ReceivedAt(Some(address)))) if address.is_loopback() => {}
        Ok(_) | Err(_) => {
            return refused(
                "operators' requests are accepted on a loopback address only; expected kubectl port-forward to this listener",
            );
        }
    }
    if !names_no_other_host(request.headers()) {
        return refused("the Host header names another host; expected localhost or an IP address");
    }
    if !is_from_no_page(request.headers()) {
        return refused("the Origin header names a web page; expected a request that no page has sent");
    }
    next.run(request).await
}

/// An operator's browser reaches this listener through a port-forward. A page may give its own name this address (DNS
/// rebinding), and would then be of one origin with it, but it cannot change the name in `Host`.
fn names_no_other_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok()
}

/// A browser names the page's origin in every request that changes something.
fn is_from_no_page(headers: &HeaderMap) -> bool {
    let own = headers.get(header::HOST).map(|host| [b"http://", host.as_bytes()].concat());
    headers.get_all(header::ORIGIN).iter().all(|origin| own.as_deref() == Some(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_host_is_localhost_or_an_address() {
        for own in ["localhost", "LocalHost:9090", "127.0.0.1:9090", "[::1]:9090", "[::1]", "10.0.0.7"] {
            assert!(names_no_other_host(&headers(&[(header::HOST, own)])), "{own}");
        }
        for foreign in ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!names_no_other_host(&headers(&[(header::HOST, foreign)])), "{foreign}");
        }
        assert!(!names_no_other_host(&HeaderMap::new()));
        let mut two = headers(&[(header::HOST, "localhost")]);
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!names_no_other_host(&two));
    }

    #[test]
    fn an_origin_is_absent_or_the_listener_itself() {
        let from = |origin| is_from_no_page(&headers(&[(header::HOST, "localhost:9090"), (header::ORIGIN, origin)]));
        assert!(from("http://localhost:9090") && is_from_no_page(&headers(&[(header::HOST, "localhost:9090")])));
        for foreign in ["https://evil.example", "http://localhost", "http://localhost:8080", "null", ""] {
            assert!(!from(foreign), "{foreign}");
        }
    }
}
