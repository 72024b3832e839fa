//! Reads the Secrets that a sender names. What is in them is judged later.

use std::collections::BTreeMap;

use crds::WhatsAppSender;
use crds::condition::{CREDENTIALS_VALID, reason};
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::{Api, ResourceExt};
use messaging::secret::Secret;

use crate::context::Context;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};

/// The contents of a Secret, as text. A value that is no text is left out.
pub type Contents = BTreeMap<String, Secret>;

/// Everything that a sender refers to.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub credentials: Contents,
    /// By the name of the Secret.
    pub signing: BTreeMap<String, Contents>,
}

/// A Secret is not there.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error(
        "spec.provider.twilio.credentialsSecretRef: there is no secret {0:?} in this namespace; create it with the key authToken"
    )]
    Credentials(String),
    #[error("spec.events: there is no secret {0:?} in this namespace; create it with a signing secret (whsec_…)")]
    Signing(String),
}

impl Explain for Missing {
    fn advice(&self) -> Advice {
        // Its arrival triggers a reconcile.
        Advice::Waiting { after: None }
    }
    fn reason(&self) -> &'static str {
        reason::REFERENCE_NOT_FOUND
    }
    fn condition(&self) -> Option<&'static str> {
        match self {
            Self::Credentials(_) => Some(CREDENTIALS_VALID),
            Self::Signing(_) => None,
        }
    }
}

pub async fn dereference(sender: &WhatsAppSender, context: &Context) -> Result<Found, Failure> {
    let api: Api<KubernetesSecret> = Api::namespaced(context.client.clone(), &sender.namespace().unwrap_or_default());
    let mut found = Found::default();
    if let Some(twilio) = &sender.spec.provider.twilio {
        let name = &twilio.credentials_secret_ref.name;
        found.credentials = read(&api, name).await?.ok_or_else(|| Missing::Credentials(name.clone()))?;
    }
    for http in sender.spec.events.iter().filter_map(|sink| sink.http.as_ref()) {
        let name = &http.signing_secret_ref.name;
        if !found.signing.contains_key(name) {
            let contents = read(&api, name).await?.ok_or_else(|| Missing::Signing(name.clone()))?;
            found.signing.insert(name.clone(), contents);
        }
    }
    Ok(found)
}

async fn read(api: &Api<KubernetesSecret>, name: &str) -> Result<Option<Contents>, KubernetesFailure> {
    let secret =
        api.get_opt(name).await.map_err(KubernetesFailure::new(format!("the secret {name:?} can't be read")))?;
    Ok(secret.map(|secret| {
        let data = secret.data.unwrap_or_default();
        data.into_iter()
            .filter_map(|(key, value)| {
                // A file's last line break is no part of a secret.
                let text = String::from_utf8(value.0).ok()?.trim().to_owned();
                Some((key, Secret::new(text)))
            })
            .collect()
    }))
}
