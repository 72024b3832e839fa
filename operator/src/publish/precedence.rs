//! Which policy applies to a message that names neither a sender nor a policy: pure.

use std::borrow::Borrow;

use crds::RoutingPolicy;
use kube::ResourceExt;
use messaging::id::PolicyName;

/// The policy with this name takes precedence.
const DEFAULT: &str = "default";

/// All policies in order of precedence: the one named `default`, then the oldest, then by name. Those that are being
/// deleted come last.
pub fn ordered<P: Borrow<RoutingPolicy>>(policies: &[P]) -> Vec<&RoutingPolicy> {
    let mut ordered: Vec<_> = policies.iter().map(Borrow::borrow).collect();
    ordered.sort_by_key(|policy| {
        let deleting = policy.metadata.deletion_timestamp.is_some();
        (deleting, policy.name_any() != DEFAULT, policy.creation_timestamp(), policy.name_any())
    });
    ordered
}

/// The policy that takes precedence, unless all are being deleted.
pub fn first<P: Borrow<RoutingPolicy>>(policies: &[P]) -> Option<&RoutingPolicy> {
    ordered(policies).into_iter().next().filter(|policy| policy.metadata.deletion_timestamp.is_none())
}

/// The `Ready` message of a policy whose references are resolved.
pub fn message<P: Borrow<RoutingPolicy>>(policies: &[P], name: &PolicyName) -> String {
    match first(policies) {
        Some(first) if first.name_any() != DEFAULT && first.name_any() != name.as_str() => format!(
            "resolved; this policy does not apply to messages that name neither a sender nor a policy, because {} is older; \
             name one of them default to choose",
            first.name_any()
        ),
        _ => "resolved".to_owned(),
    }
}
