//! Resolves the senders that a template names to provider accounts. Reads from the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::MessageTemplate;
use messaging::id::{SenderName, TenantId};

use crate::accounts::Account;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::sender::directory::SenderDirectory;

/// The accounts that a template is submitted to, and those that hold earlier revisions of it.
#[derive(Debug, Default)]
pub(super) struct Dereferenced {
    pub(super) wanted: BTreeSet<String>,
    pub(super) accounts: BTreeMap<String, Arc<Account>>,
    /// Why the first unusable sender can't be used. The rest of the reconcile goes on without it.
    pub(super) unresolved: Option<Failure>,
}

/// A reference, and why it can't be resolved.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
struct Unresolved {
    path: String,
    source: Failure,
}

impl Explain for Unresolved {
    fn advice(&self) -> Advice {
        self.source.advice()
    }
    fn reason(&self) -> &'static str {
        self.source.reason()
    }
}

pub(super) async fn dereference(
    directory: &SenderDirectory,
    tenant: &TenantId,
    template: &MessageTemplate,
) -> Dereferenced {
    let mut found = Dereferenced::default();
    for (index, reference) in template.spec.sender_refs.iter().enumerate() {
        match find(directory, tenant, &reference.name).await {
            Ok(account) => {
                found.wanted.insert(account.key().to_owned());
                found.accounts.insert(account.key().to_owned(), account);
            }
            Err(source) => {
                let path = format!("spec.senderRefs[{index}].name");
                found.unresolved.get_or_insert(Unresolved { path, source }.into());
            }
        }
    }
    let known = template.status.iter().flat_map(|status| &status.locations).map(|location| &location.account);
    let others: BTreeSet<&String> = known.filter(|account| !found.accounts.contains_key(*account)).collect();
    if found.unresolved.is_some() {
        // One of them may be the account of an unusable sender, so nothing is deleted there.
        found.wanted.extend(others.into_iter().cloned());
    } else if !others.is_empty() {
        match directory.accounts(tenant).await {
            Ok(accounts) => found.accounts.extend(accounts.into_iter().filter(|(key, _)| others.contains(key))),
            // Unknown accounts are not lost accounts, so their recorded revisions stay.
            Err(failure) => found.unresolved = Some(failure.into()),
        }
    }
    found
}

async fn find(directory: &SenderDirectory, tenant: &TenantId, name: &str) -> Result<Arc<Account>, Failure> {
    let name: SenderName = name.parse().map_err(InvalidReference)?;
    Ok(directory.usable(tenant, &name).await?.account)
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct InvalidReference(messaging::id::InvalidName);

impl Explain for InvalidReference {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::INVALID_SPEC
    }
}
