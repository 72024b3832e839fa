//! Senders as objects. Each is paused, because the operator would otherwise point its webhooks at the data plane.

use crds::annotation::PAUSED;
use messaging::provider::admin::{ListedSender, PoolObservation};
use serde_json::json;

use super::names::{Names, plain};
use super::{Export, LeftOut, Manifests, object};

/// The objects, and the name of the first.
pub(super) fn senders(
    options: &Export,
    senders: &[ListedSender],
    services: &[PoolObservation],
) -> (Manifests, Option<String>) {
    let (mut all, mut names, mut first) = (Manifests::default(), Names::default(), None);
    for sender in senders {
        let ListedSender { number, seen } = sender;
        let what = format!("the sender {number}");
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                all.left_out.push(LeftOut::new(what, format!("it can't be read: {error}")));
                continue;
            }
        };
        let mut twilio = json!({ "accountSid": options.account, "credentialsSecretRef": { "name": options.secret } });
        let of: Vec<&str> =
            services.iter().filter(|service| service.holds(&seen.handle)).map(|service| service.id.as_str()).collect();
        match of.as_slice() {
            [] => {}
            [service] => {
                twilio["messagingServiceSid"] = json!(service);
                // It is there, and stays: the operator adds it again if somebody takes it out.
                twilio["messagingServiceMembership"] = json!("Managed");
            }
            several => all.left_out.push(LeftOut::new(
                format!("the Messaging Service of {what}"),
                format!(
                    "it is in {}, and a WhatsAppSender names one: add messagingServiceSid with the one that it sends through",
                    several.join(" and ")
                ),
            )),
        }
        let name = names.take(&format!("sender-{}", plain(number.as_str())));
        let spec = json!({ "phoneNumber": number.as_str(), "provider": { "twilio": twilio } });
        let mut sender = object(options, "WhatsAppSender", &name, spec);
        sender["metadata"]["annotations"] = json!({ PAUSED: "true" });
        all.objects.push(sender);
        first.get_or_insert(name);
    }
    (all, first)
}
