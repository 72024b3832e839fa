//! Authenticates callers of the tenants' API by an API key, or by a ServiceAccount token for our audience.
//!
//! The caller's namespace *is* the tenant. It is never read from a path or a body, so another tenant's message is not
//! found rather than forbidden. A caller may name the tenant it means in `WhatsApp-Tenant`: another one than its own is
//! refused.
//!
//! Where the platform asks for it, a ServiceAccount also needs a right for each sender that it sends from
//! ([`sender_access`]).

mod api_key;
mod bounded;
pub mod sender_access;
pub mod service_account;

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use messaging::id::TenantId;

use self::service_account::{ServiceAccounts, User};
use crate::config::Configs;
use crate::metrics::{AuthMethod, AuthResult, Metrics};
use crate::requests::seldom::Seldom;

/// Lines about refused callers.
static REFUSED: Seldom = Seldom::new();

/// The header in which a caller may name its tenant.
pub const TENANT_HEADER: &str = "whatsapp-tenant";

/// An application that may act for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub tenant: TenantId,
    /// For logs: `serviceaccount/<name>` or `apikey/<secret>`.
    pub name: String,
    /// The user that the API server knows a ServiceAccount as. An API key has none.
    pub user: Option<Arc<User>>,
}

/// Why a request is not authenticated. Each text may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error(
        "the request has no credentials: expected `Authorization: Bearer` and an API key, or a ServiceAccount token for this service's audience"
    )]
    NoCredentials,
    #[error("the Authorization header is malformed: expected one, of `Bearer`, a space and the token")]
    Malformed,
    #[error("the bearer token is neither an API key of a tenant nor a ServiceAccount token that is valid here{}", hint(.0))]
    Unknown(Option<String>),
    #[error(
        "{name} is authentic, but namespace {namespace} is not a tenant here: expected at least one WhatsAppSender in it"
    )]
    NotATenant { name: String, namespace: String },
    #[error("the caller belongs to {caller}, and may not act for {wanted}")]
    AnotherTenant { caller: TenantId, wanted: String },
    #[error("the token cannot be checked because the API server does not answer; try again")]
    Unavailable,
}

fn hint(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

impl AuthError {
    /// 401 without valid credentials, 403 for a caller that may not act for the tenant, 503 when a token cannot be
    /// checked now.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoCredentials | Self::Malformed | Self::Unknown(_) => StatusCode::UNAUTHORIZED,
            Self::NotATenant { .. } | Self::AnotherTenant { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Authenticates requests.
pub struct Authenticator {
    configs: Arc<Configs>,
    /// `None` without Kubernetes: then only API keys are accepted.
    service_accounts: Option<ServiceAccounts>,
    metrics: Arc<Metrics>,
}

impl Authenticator {
    pub fn new(configs: Arc<Configs>, service_accounts: Option<ServiceAccounts>, metrics: Arc<Metrics>) -> Self {
        Self { configs, service_accounts, metrics }
    }

    /// The caller that these request headers authenticate.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let mut method = AuthMethod::None;
        let outcome = self.identify(headers, &mut method).await.and_then(|caller| check_named_tenant(caller, headers));
        let result = match &outcome {
            Ok(_) => AuthResult::Accepted,
            Err(error) => match error.status() {
                StatusCode::UNAUTHORIZED => AuthResult::Unauthenticated,
                StatusCode::FORBIDDEN => AuthResult::Forbidden,
                _ => AuthResult::Unavailable,
            },
        };
        self.metrics.authentication(method, result);
        if let Err(error) = &outcome
            && let Some(left_out) = REFUSED.turn()
        {
            tracing::info!(%error, ?method, left_out, "a caller of the tenants' API was refused");
        }
        outcome
    }

    async fn identify(&self, headers: &HeaderMap, method: &mut AuthMethod) -> Result<Caller, AuthError> {
        let token = bearer(headers)?;
        if let Some(holder) = api_key::holder(&self.configs, token) {
            *method = AuthMethod::ApiKey;
            return Ok(Caller { tenant: holder.tenant, name: format!("apikey/{}", holder.name), user: None });
        }
        let Some(service_accounts) = self.service_accounts.as_ref().filter(|_| service_account::looks_like_one(token))
        else {
            return Err(AuthError::Unknown(None));
        };
        *method = AuthMethod::ServiceAccount;
        let account = service_accounts.identify(token).await?;
        let name = format!("serviceaccount/{}", account.name);
        // A namespace without a config is not a tenant, even if its token is authentic.
        match TenantId::new(account.namespace.as_str()) {
            Ok(tenant) if self.configs.get(&tenant).is_some() => Ok(Caller { tenant, name, user: Some(account.user) }),
            _ => Err(AuthError::NotATenant { name, namespace: account.namespace }),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(AuthError::NoCredentials)?;
    if all.next().is_some() {
        return Err(AuthError::Malformed);
    }
    let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(AuthError::Malformed)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(AuthError::Malformed) }
}

/// Refuses a caller that names another tenant than its own.
fn check_named_tenant(caller: Caller, headers: &HeaderMap) -> Result<Caller, AuthError> {
    let own = caller.tenant.as_str().as_bytes();
    match headers.get_all(TENANT_HEADER).iter().find(|wanted| wanted.as_bytes() != own) {
        Some(wanted) => Err(AuthError::AnotherTenant {
            caller: caller.tenant,
            wanted: String::from_utf8_lossy(wanted.as_bytes()).into_owned(),
        }),
        None => Ok(caller),
    }
}
