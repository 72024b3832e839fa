//! Which policy a message goes by that names neither a sender nor a policy: pure.

use std::borrow::Borrow;

use crds::RoutingPolicy;
use kube::ResourceExt;
use messaging::id::PolicyName;

/// The policy of that name goes first.
const DEFAULT: &str = "default";

/// The one that goes first: the only one, the one named `default`, else the oldest, then by name.
pub(super) fn first<P: Borrow<RoutingPolicy>>(policies: &[P]) -> Option<&RoutingPolicy> {
    policies
        .iter()
        .map(Borrow::borrow)
        .filter(|policy| policy.metadata.deletion_timestamp.is_none())
        .min_by_key(|policy| (policy.name_any() != DEFAULT, policy.creation_timestamp(), policy.name_any()))
}

/// What a policy says of itself when its references are resolved.
pub(super) fn message<P: Borrow<RoutingPolicy>>(policies: &[P], name: &PolicyName) -> String {
    match first(policies) {
        Some(first) if first.name_any() != DEFAULT && first.name_any() != name.as_str() => format!(
            "resolved; messages that name neither a sender nor a policy do not go by this one: {} is older; name one of \
             them default to choose",
            first.name_any()
        ),
        _ => "resolved".to_owned(),
    }
}
