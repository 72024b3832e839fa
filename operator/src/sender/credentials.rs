//! Watches the Secrets that senders name. Only metadata is watched. A reconcile reads the contents that it needs, so
//! the operator never holds all the Secrets of a cluster.

use crds::WhatsAppSender;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, ResourceExt};
use messaging::id::TenantId;

use super::dereference::secret_names;
use crate::publish::api_keys;
use crate::reconcile::events::{Note, reason};
use crate::reconcile::machinery::Machinery;
use crate::watch::stores::Scope;
use crate::watch::{Objects, endless, touched};

/// Leaves out types that are numerous, change often, and never hold a tenant's credentials.
const NEVER_CREDENTIALS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// Requests a reconcile of every sender that names a changed Secret. Where a tenant seems to have meant a Secret as an
/// API key, and gave it no type, an Event says so.
pub async fn follow_credentials(machinery: &Machinery, senders: &Objects<WhatsAppSender>, scope: &Scope) {
    let api = scope.api::<PartialObjectMeta<Secret>>(&machinery.client);
    let selection = Config::default().fields(NEVER_CREDENTIALS);
    let mut events = endless(api, selection, "secrets", &machinery.metrics).boxed();
    while let Some(event) = events.next().await {
        let Some(secret) = touched(event) else { continue };
        let Some(tenant) = secret.namespace().and_then(|namespace| TenantId::new(namespace).ok()) else { continue };
        let name = secret.name_any();
        let of_tenant = senders.stores.of(&tenant);
        let naming = of_tenant.iter().filter(|sender| secret_names(sender).any(|named| named == name));
        // A Secret that a sender names is meant for it, and without a sender there is no tenant.
        let mut is_accounted_for = of_tenant.is_empty();
        naming.for_each(|sender| {
            is_accounted_for = true;
            senders.trigger.ask(sender);
        });
        if !is_accounted_for && api_keys::looks_like_one(&secret.metadata) {
            report_if_mistyped(machinery, &tenant, &name).await;
        }
    }
}

async fn report_if_mistyped(machinery: &Machinery, tenant: &TenantId, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(machinery.client.clone(), tenant.as_str());
    let Ok(Some(secret)) = secrets.get_opt(name).await else { return };
    if let Some((about, why)) = api_keys::mistyped(&secret) {
        let note = Note { warning: true, reason: reason::API_KEY_UNUSABLE, text: why.to_owned() };
        machinery.events.publish(&about, &note).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::controllers::Drivers;
    use crate::sender::validate::tests::sender as quickstart;
    use crate::testing::api::FakeApi;
    use crate::testing::dependencies_with;

    const SECRETS: &str = "/api/v1/namespaces/shop/secrets";
    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

    fn secret(name: &str, key: &str, kind: &str) -> Value {
        let field = format!("f:{key}");
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "data": { key: "d2FrXzAxMjM0NTY3ODlhYmNkZWY=" },
            "metadata": {
                "name": name, "namespace": "shop", "uid": name,
                "managedFields": [{
                    "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1",
                    "fieldsV1": { "f:data": { ".": {}, field: {} }, "f:type": {} },
                }],
            },
        })
    }

    #[tokio::test]
    async fn a_secret_that_was_meant_as_an_api_key_and_has_no_type_gets_an_event_where_there_is_a_tenant() {
        let api = Arc::<FakeApi>::default();
        let named = quickstart().spec.provider.twilio.unwrap().credentials_secret_ref.name;
        for (name, key, kind) in [
            // The last one is the one that is told about, so that the others were looked at before.
            (named.as_str(), "key", "Opaque"),
            ("typed", "key", "whatsapp-operator.dev/api-key"),
            ("other", "password", "Opaque"),
            ("z-untyped", "key", "Opaque"),
        ] {
            api.put(&format!("{SECRETS}/{name}"), secret(name, key, kind));
        }
        let Drivers { watched, senders: (driver, mut writer), .. } =
            Drivers::new(dependencies_with(api.client(), Arc::default()));
        let mut sender = quickstart();
        sender.metadata.namespace = Some("shop".into());
        writer.apply_watcher_event(&Event::Apply(sender));
        let told = async {
            while api.list(EVENTS).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let scope = Scope::Namespace("shop".into());
        let following = follow_credentials(&driver.machinery, &watched.senders, &scope);
        tokio::select! {
            () = following => panic!("it never ends"),
            told = tokio::time::timeout(Duration::from_secs(30), told) => told.expect("an Event"),
        }
        let events = api.list(EVENTS);
        let about: Vec<_> = events.iter().map(|event| (&event["reason"], &event["regarding"]["name"])).collect();
        assert_eq!(about, [(&json!("ApiKeyUnusable"), &json!("z-untyped"))]);
        assert_eq!(api.listed_whole(), Vec::<String>::new(), "nobody else's Secret is read");
    }
}
