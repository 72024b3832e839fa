//! A policy's contribution to the tenant's config: pure.

use std::collections::BTreeMap;

use messaging::id::{PoolId, SenderName};
use messaging::routing::{Route, RoutingConfig};

use super::validate::{Target, Validated};

/// `services` holds the sender of each Messaging Service. `None` when one is missing.
pub(super) fn compile(policy: &Validated, services: &BTreeMap<String, SenderName>) -> Option<RoutingConfig> {
    let target = |target: &Target| match target {
        Target::Sender(sender) => Some(Route::direct(sender.clone())),
        Target::Service(sid) => {
            services.get(sid).map(|sender| Route { sender: sender.clone(), via: Some(PoolId::new(sid.as_str())) })
        }
    };
    let by_country = policy.countries.iter().map(|(country, to)| Some((country.to_string(), target(&to.target)?)));
    Some(RoutingConfig { default: target(&policy.default.target)?, by_country: by_country.collect::<Option<_>>()? })
}
