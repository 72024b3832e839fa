//! A policy's part of the tenant's config: pure.

use std::collections::BTreeMap;

use messaging::config::{RouteTarget, RoutingConfig};
use messaging::id::SenderName;

use super::validate::{Target, Validated};

/// `services` tells the sender of each Messaging Service; `None` when one is missing.
pub(super) fn compile(policy: &Validated, services: &BTreeMap<String, SenderName>) -> Option<RoutingConfig> {
    let target = |target: &Target| match target {
        Target::Sender(sender) => Some(RouteTarget { sender: sender.clone(), messaging_service_sid: None }),
        Target::Service(sid) => services
            .get(sid)
            .map(|sender| RouteTarget { sender: sender.clone(), messaging_service_sid: Some(sid.clone()) }),
    };
    let by_country = policy.countries.iter().map(|(country, to)| Some((country.to_string(), target(&to.target)?)));
    Some(RoutingConfig { default: target(&policy.default.target)?, by_country: by_country.collect::<Option<_>>()? })
}
