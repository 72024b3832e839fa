//! Whether a caller may send from every sender whose number a message may leave from.

use std::collections::BTreeSet;

use messaging::config::TenantConfig;
use messaging::content::OutboundContent;
use messaging::id::SenderName;
use messaging::routing::Route;

use super::ApiContext;
use crate::auth::Caller;
use crate::auth::sender_access::{GROUP, RESOURCE, SUBRESOURCE, VERB};
use crate::config::Tenant;
use crate::requests::problem::{FieldError, Problem};

/// Refuses a ServiceAccount that lacks the right for a sender, if the platform asks for that right. An API key has it
/// for every sender of its tenant.
pub(super) async fn check(
    context: &ApiContext,
    caller: &Caller,
    tenant: &Tenant,
    route: &Route,
    content: Option<&OutboundContent>,
) -> Result<(), Problem> {
    let (Some(access), Some(user)) = (&context.sender_access, &caller.user) else { return Ok(()) };
    for sender in may_leave_from(&tenant.config, route, content) {
        match access.allows(user, &caller.tenant, sender).await {
            Ok(true) => {}
            Ok(false) => return Err(Problem::forbidden(missing(caller, route, sender))),
            // Fail closed.
            Err(_) => {
                return Err(Problem::try_again(format!(
                    "whether {} may send from the sender {sender} cannot be checked because the API server does not answer; \
                     try again",
                    caller.name
                )));
            }
        }
    }
    Ok(())
}

/// The senders whose number the message may have. A Messaging Service picks among its own for a template, and a message
/// whose content is gone may have been one. A free-form message names the number whose window is open.
fn may_leave_from<'a>(
    config: &'a TenantConfig,
    route: &'a Route,
    content: Option<&OutboundContent>,
) -> BTreeSet<&'a SenderName> {
    let pool = route.via.as_ref().filter(|_| !content.is_some_and(OutboundContent::is_free_form));
    pool.into_iter().flat_map(|pool| config.senders_in(pool)).chain([&route.sender]).collect()
}

/// What is missing, and the commands that grant it.
fn missing(caller: &Caller, route: &Route, sender: &SenderName) -> FieldError {
    let Caller { tenant, name, .. } = caller;
    let through = match &route.via {
        Some(pool) => format!(", from which the Messaging Service {pool} may send"),
        None => String::new(),
    };
    let detail = format!(
        "{name} may not send from the sender {sender}{through}: it lacks the verb {VERB} on {RESOURCE}/{SUBRESOURCE} \
         named {sender} in the namespace {tenant}"
    );
    let account = name.strip_prefix("serviceaccount/").unwrap_or(name);
    let expected = format!(
        "another sender, or a Role and its RoleBinding: \
         kubectl create role send-from-{sender} --namespace={tenant} --verb={VERB} \
         --resource={RESOURCE}.{GROUP}/{SUBRESOURCE} --resource-name={sender} && \
         kubectl create rolebinding {account}-sends-from-{sender} --namespace={tenant} --role=send-from-{sender} \
         --serviceaccount={tenant}:{account}"
    );
    FieldError::body("/from", "sender_forbidden", detail, expected)
}
