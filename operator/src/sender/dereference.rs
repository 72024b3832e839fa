//! Reads the Secrets that a sender names. [`super::validate`] checks their contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use crds::WhatsAppSender;
use crds::condition::{CREDENTIALS_VALID, reason};
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::{Api, Client, ResourceExt};
use messaging::secret::Secret;

use super::grant::Grant;
use super::provider::SpecProvider;
use super::secret::Contents;
use crate::reconcile::error::{Advice, Explain, Failure, KubernetesFailure};
use crate::watch::granted::Wanted;

/// Everything that a sender refers to.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub credentials: Contents,
    /// By the name of the Secret.
    pub signing: BTreeMap<String, Contents>,
}

/// A Secret does not exist.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("{path}: the secret {name:?} does not exist in this namespace; create it with {keys}")]
    Credentials { path: &'static str, name: String, keys: &'static str },
    #[error(
        "spec.events: the secret {0:?} does not exist in this namespace; create it with a signing secret (whsec_…)"
    )]
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
            Self::Credentials { .. } => Some(CREDENTIALS_VALID),
            Self::Signing(_) => None,
        }
    }
}

/// Reads Secrets.
#[async_trait]
pub trait ReadSecrets: Send + Sync {
    /// `None` when the namespace has no such Secret.
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<Contents>, Failure>;
}

/// Reads from the API server.
pub struct ClusterSecrets {
    pub client: Client,
    pub grant: Grant,
    /// Where the operator has no right to all Secrets: it follows those of the namespaces that are noted here.
    pub wanted: Option<Arc<Wanted>>,
}

#[async_trait]
impl ReadSecrets for ClusterSecrets {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<Contents>, Failure> {
        if let Some(wanted) = &self.wanted {
            wanted.note(namespace);
        }
        let api: Api<KubernetesSecret> = Api::namespaced(self.client.clone(), namespace);
        let secret = match api.get_opt(name).await {
            Ok(secret) => secret,
            Err(kube::Error::Api(status)) if status.code == 403 => return Err(self.grant.missing_in(namespace).into()),
            Err(source) => {
                return Err(KubernetesFailure::new(format!("the secret {name:?} can't be read"))(source).into());
            }
        };
        Ok(secret.map(|secret| {
            let data = secret.data.unwrap_or_default();
            data.into_iter()
                .filter_map(|(key, value)| {
                    // A file's last line break is not part of a secret.
                    let text = String::from_utf8(value.0).ok()?.trim().to_owned();
                    Some((key, Secret::new(text)))
                })
                .collect()
        }))
    }
}

pub async fn dereference(sender: &WhatsAppSender, secrets: &dyn ReadSecrets) -> Result<Found, Failure> {
    let namespace = sender.namespace().unwrap_or_default();
    let mut found = Found::default();
    if let Some(provider) = SpecProvider::of(sender) {
        let name = provider.credentials_secret();
        found.credentials = secrets.read(&namespace, name).await?.ok_or_else(|| Missing::Credentials {
            path: provider.credentials_path(),
            name: name.to_owned(),
            keys: provider.credentials_keys(),
        })?;
    }
    for http in sender.spec.events.iter().filter_map(|sink| sink.http.as_ref()) {
        let name = &http.signing_secret_ref.name;
        if !found.signing.contains_key(name) {
            let contents = secrets.read(&namespace, name).await?.ok_or_else(|| Missing::Signing(name.clone()))?;
            found.signing.insert(name.clone(), contents);
        }
    }
    Ok(found)
}

/// The names of the Secrets that a sender depends on.
pub fn secret_names(sender: &WhatsAppSender) -> impl Iterator<Item = &str> {
    let provider = SpecProvider::of(sender);
    let credentials = provider.map(SpecProvider::credentials_secret);
    let code = provider.and_then(SpecProvider::code_secret);
    let sinks = sender.spec.events.iter().filter_map(|sink| sink.http.as_ref());
    credentials.into_iter().chain(code).chain(sinks.map(|http| http.signing_secret_ref.name.as_str()))
}
