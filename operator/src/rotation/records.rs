//! Keeps the records: one Secret for each tenant's Secret that is rotated, in the operator's namespace. It holds keys,
//! and for a short time a token.

use async_trait::async_trait;
use hex::ToHex;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use messaging::id::TenantId;
use sha2::{Digest, Sha256};

use super::record::Record;
use crate::reconcile::error::KubernetesFailure;

/// The type of a Secret with a record.
const TYPE: &str = "whatsapp-operator.dev/rotation";
/// The one key of its data.
const KEY: &str = "record.json";
/// What it is about, for people.
const TENANT: &str = "whatsapp-operator.dev/rotation-of-namespace";
const SECRET: &str = "whatsapp-operator.dev/rotation-of-secret";

/// Whose credentials are rotated: a Secret in a tenant's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub tenant: TenantId,
    pub secret: String,
}

/// A record as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub record: Option<Record>,
    /// What a write is based on, so that of two writers one fails. Absent while there is none.
    pub version: Option<String>,
}

#[async_trait]
pub trait Records: Send + Sync {
    async fn read(&self, subject: &Subject) -> Result<Recorded, KubernetesFailure>;

    /// Writes the record, or removes it, and returns its version. Fails if it was written since this version was read.
    async fn write(
        &self,
        subject: &Subject,
        record: Option<&Record>,
        version: Option<&str>,
    ) -> Result<Option<String>, KubernetesFailure>;
}

/// Records in the operator's namespace.
pub struct RecordSecrets(pub Api<Secret>);

/// The name of the Secret that a record is in. A namespace and a name may be longer together than a name may be.
pub fn name(Subject { tenant, secret }: &Subject) -> String {
    let digest: String = Sha256::digest(format!("{tenant}/{secret}")).encode_hex();
    format!("whatsapp-rotation-{tenant}-{}", &digest[..10])
}

#[async_trait]
impl Records for RecordSecrets {
    async fn read(&self, subject: &Subject) -> Result<Recorded, KubernetesFailure> {
        let failed = || KubernetesFailure::new("the record of the rotation can't be read");
        let Some(secret) = self.0.get_opt(&name(subject)).await.map_err(failed())? else {
            return Ok(Recorded::default());
        };
        let version = secret.resource_version();
        let bytes = secret.data.unwrap_or_default().remove(KEY).unwrap_or_default();
        // An unreadable record is never taken for none: that would forget keys.
        let record = serde_json::from_slice(&bytes.0).map_err(|error| failed()(kube::Error::SerdeError(error)))?;
        Ok(Recorded { record: Some(record), version })
    }

    async fn write(
        &self,
        subject: &Subject,
        record: Option<&Record>,
        version: Option<&str>,
    ) -> Result<Option<String>, KubernetesFailure> {
        let failed = || KubernetesFailure::new("the record of the rotation can't be written");
        let (name, version) = (name(subject), version.map(str::to_owned));
        let Some(record) = record else {
            let preconditions = Preconditions { uid: None, resource_version: version };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            return match self.0.delete(&name, &params).await {
                Ok(_) => Ok(None),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                Err(error) => Err(failed()(error)),
            };
        };
        let json = serde_json::to_vec(record).map_err(|error| failed()(kube::Error::SerdeError(error)))?;
        let about = [(TENANT, subject.tenant.to_string()), (SECRET, subject.secret.clone())];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                annotations: Some(about.map(|(key, value)| (key.to_owned(), value)).into()),
                resource_version: version.clone(),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some([(KEY.to_owned(), ByteString(json))].into()),
            ..Secret::default()
        };
        let written = match version {
            Some(_) => self.0.patch(&name, &PatchParams::default(), &Patch::Merge(&secret)).await,
            None => self.0.create(&PostParams::default(), &secret).await,
        };
        Ok(written.map_err(failed())?.resource_version())
    }
}
