//! The right to read a namespace's Secrets, which its tenant grants.

use crds::condition::{CREDENTIALS_VALID, reason};

use crate::reconcile::error::{Advice, Explain};
use crate::settings::Settings;

/// What a RoleBinding in a tenant's namespace binds.
#[derive(Debug, Clone)]
pub struct Grant {
    pub role: String,
    /// The operator's ServiceAccount, with its namespace: `whatsapp:whatsapp-operator`.
    pub service_account: String,
}

impl Grant {
    pub fn of(settings: &Settings) -> Self {
        let Settings { secret_role, service_account, config_namespace, .. } = settings;
        Self { role: secret_role.clone(), service_account: format!("{config_namespace}:{service_account}") }
    }

    pub fn missing_in(&self, namespace: &str) -> Ungranted {
        Ungranted { grant: self.clone(), namespace: namespace.to_owned() }
    }
}

/// The API server refuses to show a namespace's Secrets.
#[derive(Debug, thiserror::Error)]
#[error(
    "the operator may not read the secrets of this namespace; grant it: kubectl create rolebinding {role} --clusterrole={role} --serviceaccount={service_account} --namespace={namespace}",
    role = grant.role,
    service_account = grant.service_account
)]
pub struct Ungranted {
    grant: Grant,
    namespace: String,
}

impl Explain for Ungranted {
    fn advice(&self) -> Advice {
        // The grant's arrival triggers a reconcile, where it is waited for.
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        reason::SECRETS_NOT_GRANTED
    }
    fn condition(&self) -> Option<&'static str> {
        Some(CREDENTIALS_VALID)
    }
}
