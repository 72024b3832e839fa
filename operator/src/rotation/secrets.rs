//! Writes into a tenant's Secret. The tenant grants that. Only what was read is written over, and only by a process
//! that led after it read.

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use messaging::secret::Secret;
use serde_json::{Map, Value, json};

use super::held::Held;
use super::records::Subject;
use crate::leader::tenure::Tenure;
use crate::reconcile::drive::FIELD_MANAGER;
use crate::reconcile::error::KubernetesFailure;

/// Why a Secret was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    #[error("{0}")]
    Held(Held),
    #[error(transparent)]
    Kubernetes(#[from] KubernetesFailure),
}

/// Keys of a Secret with their values; absent: without that key.
pub type Values<'a> = [(&'a str, Option<&'a Secret>)];

#[async_trait]
pub trait WriteSecret: Send + Sync {
    /// Fails unless the operator may write the Secret.
    async fn may_write(&self, subject: &Subject) -> Result<(), NotWritten>;

    async fn holds(&self, subject: &Subject, key: &str, value: &Secret) -> Result<bool, KubernetesFailure>;

    /// Writes the values, if the Secret still has the expected ones.
    async fn write(&self, subject: &Subject, expected: &Values<'_>, values: &Values<'_>) -> Result<(), NotWritten>;
}

/// The Secrets of the cluster.
pub struct ClusterSecret {
    pub client: Client,
    pub tenure: Tenure,
}

/// Another process leads.
#[derive(Debug, thiserror::Error)]
#[error("this process no longer leads")]
struct NoLongerLeading;

impl ClusterSecret {
    fn api(&self, subject: &Subject) -> Api<KubernetesSecret> {
        Api::namespaced(self.client.clone(), subject.tenant.as_str())
    }

    async fn read(&self, subject: &Subject) -> Result<KubernetesSecret, KubernetesFailure> {
        let failed = KubernetesFailure::new(format!("the secret {:?} can't be read", subject.secret));
        self.api(subject).get(&subject.secret).await.map_err(failed)
    }

    async fn not_granted(&self, subject: &Subject) -> Result<Held, KubernetesFailure> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let review = review.map_err(KubernetesFailure::new("the operator's own name can't be asked for"))?;
        let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
        Ok(Held::NotGranted {
            namespace: subject.tenant.to_string(),
            secret: subject.secret.clone(),
            operator: user.unwrap_or_default(),
        })
    }
}

fn value_of(secret: &KubernetesSecret, key: &str) -> Option<Secret> {
    let value = secret.data.as_ref()?.get(key)?;
    String::from_utf8(value.0.clone()).ok().map(Secret::new).filter(|value| !value.expose().is_empty())
}

#[async_trait]
impl WriteSecret for ClusterSecret {
    async fn may_write(&self, subject: &Subject) -> Result<(), NotWritten> {
        let attributes = ResourceAttributes {
            namespace: Some(subject.tenant.to_string()),
            verb: Some("patch".to_owned()),
            resource: Some("secrets".to_owned()),
            name: Some(subject.secret.clone()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await;
        let review = review.map_err(KubernetesFailure::new("the operator's own rights can't be asked for"))?;
        if review.status.is_some_and(|status| status.allowed) {
            Ok(())
        } else {
            Err(NotWritten::Held(self.not_granted(subject).await?))
        }
    }

    async fn holds(&self, subject: &Subject, key: &str, value: &Secret) -> Result<bool, KubernetesFailure> {
        Ok(value_of(&self.read(subject).await?, key).as_ref() == Some(value))
    }

    async fn write(&self, subject: &Subject, expected: &Values<'_>, values: &Values<'_>) -> Result<(), NotWritten> {
        let secret = self.read(subject).await?;
        if expected.iter().any(|(key, value)| value_of(&secret, key).as_ref() != *value) {
            return Err(NotWritten::Held(Held::SecretReverted));
        }
        let asked = self.tenure.lasts().await;
        if !asked.map_err(KubernetesFailure::new("it cannot be read which replica leads"))? {
            let error = kube::Error::Service(Box::new(NoLongerLeading));
            return Err(KubernetesFailure::new(format!("the secret {:?} is not written", subject.secret))(error).into());
        }
        let data = values.iter().map(|(key, value)| {
            let encoded = value.map(|value| json!(k8s_openapi::ByteString(value.expose().into())));
            ((*key).to_owned(), encoded.unwrap_or(Value::Null))
        });
        let patch = json!({
            "metadata": { "resourceVersion": secret.resource_version() },
            "data": data.collect::<Map<String, Value>>(),
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.api(subject).patch(&subject.secret, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(NotWritten::Held(self.not_granted(subject).await?))
            }
            Err(error) => {
                let failed = KubernetesFailure::new(format!("the secret {:?} can't be written", subject.secret));
                Err(failed(error).into())
            }
        }
    }
}
