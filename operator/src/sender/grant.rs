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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;
    use crate::sender::dereference::{ClusterSecrets, ReadSecrets as _};
    use crate::testing::api::FakeApi;
    use crate::testing::dependencies;
    use crate::watch::granted::Wanted;

    const SECRET: &str = "/api/v1/namespaces/shop/secrets/twilio";

    fn secrets(api: &Arc<FakeApi>, wanted: &Arc<Wanted>) -> ClusterSecrets {
        let settings = Settings {
            secret_role: "wa-operator-secrets".to_owned(),
            service_account: "wa-operator".to_owned(),
            ..(*dependencies().settings).clone()
        };
        ClusterSecrets { client: api.client(), grant: Grant::of(&settings), wanted: Some(Arc::clone(wanted)) }
    }

    #[tokio::test]
    async fn a_secret_that_may_not_be_read_names_the_missing_grant_and_the_command_that_creates_it() {
        let (api, wanted) = (Arc::<FakeApi>::default(), Arc::<Wanted>::default());
        api.refuse(SECRET, StatusCode::FORBIDDEN);
        let refused = secrets(&api, &wanted).read("shop", "twilio").await.unwrap_err();
        assert_eq!((refused.reason(), refused.condition()), (reason::SECRETS_NOT_GRANTED, Some(CREDENTIALS_VALID)));
        assert_eq!(refused.advice(), Advice::Stalled);
        let (_, command) =
            refused.message().split_once("grant it: ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(
            command,
            "kubectl create rolebinding wa-operator-secrets --clusterrole=wa-operator-secrets --serviceaccount=system:wa-operator --namespace=shop"
        );
        assert!(wanted.has("shop"), "it is followed once it is granted");
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_is_no_missing_grant() {
        let (api, wanted) = (Arc::<FakeApi>::default(), Arc::<Wanted>::default());
        api.refuse(SECRET, StatusCode::INTERNAL_SERVER_ERROR);
        let failed = secrets(&api, &wanted).read("shop", "twilio").await.unwrap_err();
        assert_eq!(failed.advice(), Advice::Transient { not_before: None });
        assert!(failed.reason() != reason::SECRETS_NOT_GRANTED && !failed.message().contains("kubectl"), "{failed}");
        let absent = secrets(&api, &wanted).read("shop", "other").await;
        assert!(absent.is_ok_and(|absent| absent.is_none()));
    }
}
