//! Why a tenant's config could not be published.

use std::time::Duration;

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

/// What is published cannot be read, and not everything that may be in it is known.
#[derive(Debug, thiserror::Error)]
#[error(
    "the published config of this namespace can't be read ({why}), and {object} has not been taken in since the operator started, so it isn't known what is published of it; the data plane runs what it has; to publish without it, delete the secret {secret} in the data plane's namespace"
)]
pub(super) struct Unaccounted {
    pub why: String,
    pub object: String,
    pub secret: String,
}

impl Explain for Unaccounted {
    fn advice(&self) -> Advice {
        Advice::Transient { not_before: None }
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
