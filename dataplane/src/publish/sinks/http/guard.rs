//! Keeps events away from private addresses: a tenant chooses the URL, and must not use it to reach the cluster's own
//! services, the cloud's metadata endpoint or a neighbour.
//!
//! The check applies to the resolved addresses that the client connects to, so a name that resolves differently between
//! check and use cannot slip through.

use std::net::SocketAddr;

use messaging::public_address::{is_public, literal};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

/// A sink is not called because its URL has a private address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is a private address: expected a public one (or --allow-private-sinks)")]
pub(super) struct PrivateAddress {
    pub(super) host: String,
}

/// A sink is not called because its name leads nowhere that it may. Whether the name is unknown or a private one is not
/// told: a tenant could otherwise find out which names the cluster's network has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} does not resolve to a public address: expected one (or --allow-private-sinks)")]
pub(super) struct NoPublicAddress {
    host: String,
}

/// Resolves names to their public addresses only.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.into_iter().flatten();
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NoPublicAddress { host: name.as_str().to_owned() }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Refuses a URL whose host is written as a private address: such a host is never resolved.
pub(super) fn check_literal(url: &Url) -> Result<(), PrivateAddress> {
    match literal(url) {
        Some(address) if !is_public(address) => Err(PrivateAddress { host: address.to_string() }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_address_written_into_the_url_is_refused() {
        for bad in
            ["http://127.0.0.1/x", "http://2130706433/", "http://0x7f.1/", "http://[::1]:8080/", "https://[fd00::1]/"]
        {
            assert!(check_literal(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
        assert_eq!(check_literal(&Url::parse("https://app.example/").unwrap()), Ok(()));
    }
}
