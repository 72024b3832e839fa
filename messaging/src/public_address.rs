//! Which addresses belong to the public internet. Events go only there, unless the installation says otherwise: a
//! tenant chooses the URL, and must not use it to reach what is inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The address that a URL is written with; `None` for a name.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether a URL's host can be seen to be a private one without resolving it: an address, or a name that the public
/// internet does not have.
pub fn is_private(url: &Url) -> bool {
    match (literal(url), url.domain()) {
        (Some(address), _) => !is_public(address),
        (None, Some(name)) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || PRIVATE_NAMES.iter().any(|suffix| name.ends_with(suffix))
        }
        (None, None) => false,
    }
}

/// Names of a cluster's Services, and those that are reserved for private use. (RFC 6761, RFC 6762; ICANN reserved
/// `internal` in 2024.)
const PRIVATE_NAMES: [&str; 5] = [".svc", ".cluster.local", ".local", ".localhost", ".internal"];

/// Public by the registries, and yet answered from inside a cloud: the network that a machine there is in.
const CLOUD_INTERNAL_V4: [(Ipv4Addr, u32); 5] = [
    // Azure's host node: machine configuration (WireServer), DNS and health probes.
    // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Google's APIs under the identity of a network: restricted.googleapis.com and private.googleapis.com.
    // https://cloud.google.com/vpc/docs/configure-private-google-access-hybrid
    (Ipv4Addr::new(199, 36, 153, 4), 30),
    (Ipv4Addr::new(199, 36, 153, 8), 30),
    // IBM's endpoints of infrastructure and of cloud services.
    // https://cloud.ibm.com/docs/vpc?topic=vpc-service-endpoints-for-vpc
    (Ipv4Addr::new(161, 26, 0, 0), 16),
    (Ipv4Addr::new(166, 8, 0, 0), 14),
];

/// As [`CLOUD_INTERNAL_V4`]: restricted.googleapis.com and private.googleapis.com.
const CLOUD_INTERNAL_V6: [(Ipv6Addr, u32); 2] = [
    (Ipv6Addr::new(0x2600, 0x2d00, 2, 0x1000, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2600, 0x2d00, 2, 0x2000, 0, 0, 0, 0), 64),
];

/// Whether an address belongs to the public internet, by the IANA special-purpose registries and the clouds' documents.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    let benchmarking = a == 198 && (b == 18 || b == 19);
    let reserved = a == 0 || a >= 240;
    let cloud = |(network, prefix): (Ipv4Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || shared
        || protocol_assignments
        || benchmarking
        || reserved
        || CLOUD_INTERNAL_V4.into_iter().any(cloud))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let cloud = |(network, prefix): (Ipv6Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0;
    if CLOUD_INTERNAL_V6.into_iter().any(cloud) {
        return false;
    }
    match s {
        // Embedded IPv4: mapped, NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(embedded(high, low))
        }
        // Protocol assignments (Teredo among them) and documentation, inside the block that is otherwise public.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // All global unicast is in 2000::/3; nothing else is called.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_recognised_in_every_notation() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            // Metadata of AWS, Google, Azure, Oracle and others (above), of Alibaba, and of AWS and Google over IPv6.
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "64:ff9b::168.63.129.16",
            "199.36.153.5",
            "199.36.153.11",
            "2600:2d00:2:1000::1",
            "161.26.0.10",
            "166.11.255.255",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for public in [
            "8.8.8.8",
            "168.63.129.17",
            "199.36.153.12",
            "166.12.0.0",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }

    #[test]
    fn a_url_of_the_cluster_is_seen_to_be_private_without_resolving_it() {
        for private in [
            "http://app:8080/events",
            "http://app.shop.svc/events",
            "http://app.shop.svc.cluster.local./",
            "http://localhost:9000/",
            "http://127.0.0.1/",
            "https://[fd00::1]/",
            "https://metadata.google.internal/",
        ] {
            assert!(is_private(&Url::parse(private).expect("a URL")), "{private}");
        }
        for public in ["https://shop.example.com/events", "https://8.8.8.8/", "https://svc.example.com/"] {
            assert!(!is_private(&Url::parse(public).expect("a URL")), "{public}");
        }
    }
}
