//! Why a tenant's config could not be published.

use std::time::Duration;

use messaging::config::packed::LARGEST;

use crate::reconcile::error::{Advice, Explain};

/// The API server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {within:?}")]
pub(super) struct TookTooLong {
    pub within: Duration,
}

impl Explain for TookTooLong {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        "KubernetesFailed"
    }
}

/// Something else wrote the Secret each time between our reading it and our writing it.
#[derive(Debug, thiserror::Error)]
#[error("something else writes the Secret of this namespace's config at the same time; only the operator may")]
pub(super) struct Overtaken;

impl Explain for Overtaken {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::CONFLICT
    }
}

/// This process was held up, and what it would write is no longer the newest.
#[derive(Debug, thiserror::Error)]
#[error("another replica of the operator leads now, and publishes")]
pub(super) struct NoLongerLeading;

impl Explain for NoLongerLeading {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::CONFLICT
    }
}

/// The tenant has more objects than one Secret holds.
#[derive(Debug, thiserror::Error)]
#[error(
    "this namespace's config can't be published: it has {size} bytes, {compressed} compressed, and a Secret holds {LARGEST}; the data plane runs the last one that fitted; delete templates, or move some to another namespace"
)]
pub(super) struct TooLarge {
    pub size: usize,
    pub compressed: usize,
}

impl Explain for TooLarge {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::NOT_PUBLISHED
    }
}

/// A Secret has the name of ours and another type. Writing would destroy what someone else made.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret {name} in the data plane's namespace has the type {found:?}; remove it, so that the tenant's config can take its place"
)]
pub(super) struct NotOurs {
    pub name: String,
    pub found: String,
}

impl Explain for NotOurs {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        crds::condition::reason::CONFLICT
    }
}
