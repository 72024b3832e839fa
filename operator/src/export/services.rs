//! Messaging Services as a routing policy, where there is only one that the messages can leave through.

use messaging::provider::admin::PoolObservation;
use serde_json::json;

use super::{Export, LeftOut, Manifests, object};

/// A policy of this name applies to messages that name neither a sender nor a policy.
const DEFAULT: &str = "default";

pub(super) fn services(options: &Export, services: &[PoolObservation]) -> Manifests {
    let (with, without): (Vec<_>, Vec<_>) = services.iter().partition(|service| service.numbers().next().is_some());
    let what = |service: &PoolObservation| format!("the Messaging Service {}", service.id);
    let mut all = Manifests::default();
    all.left_out.extend(without.into_iter().map(|service| LeftOut::new(what(service), "it has no WhatsApp sender")));
    match with.as_slice() {
        [] => {}
        [only] => {
            let spec = json!({ "default": { "messagingServiceSid": only.id.as_str() } });
            all.objects.push(object(options, "RoutingPolicy", DEFAULT, spec));
        }
        several => all.left_out.extend(several.iter().map(|service| {
            let why =
                "the account does not say which countries it is for: write a RoutingPolicy that routes through it";
            LeftOut::new(what(service), why)
        })),
    }
    all
}
