//! Resolves the senders that a template names to provider accounts. Reads from the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::{MessageTemplate, WhatsAppSender};
use kube::ResourceExt;
use messaging::id::{SenderName, TenantId};

use super::claims;
use crate::accounts::Account;
use crate::reconcile::error::{Advice, Explain, Failure};
use crate::sender::directory::SenderDirectory;
use crate::sender::provider::SpecProvider;

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

/// Whether a template reads anything of a sender of its namespace: the senders that it names, and any sender while it
/// is being deleted, holds something at an account of none of those, or looks for a template that it names. `find`
/// gives the senders of the namespace.
pub(crate) fn reads(
    template: &MessageTemplate,
    sender: &WhatsAppSender,
    find: impl Fn(&str) -> Option<Arc<WhatsAppSender>>,
) -> bool {
    let names = || template.spec.sender_refs.iter().map(|reference| reference.name.as_str());
    if names().any(|name| name == sender.name_any()) {
        return true;
    }
    let named: Vec<Arc<WhatsAppSender>> = names().filter_map(find).collect();
    let is_reached = |account: &str| {
        named.iter().filter_map(|sender| SpecProvider::of(sender)).any(|provider| provider.account().1 == account)
    };
    let mut locations = template.status.iter().flat_map(|status| &status.locations);
    template.metadata.deletion_timestamp.is_some()
        || locations.any(|location| !is_reached(&location.account))
        || claims::seeks(template)
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
