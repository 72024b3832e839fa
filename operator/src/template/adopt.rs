//! Which of the templates that exist at a provider an object may use as its own: pure.
//!
//! One that says exactly the same is used without being asked for. One that the spec names is used even where the
//! provider has it as another type of content, which WhatsApp shows alike; and if it can't be used, nothing is
//! submitted in its place, because the person expects that no review begins.

use std::fmt;

use crds::condition::{SYNCED, reason};
use messaging::provider::admin::{TemplateHandle, TemplateObservation, TemplateRevision};
use messaging::template::{Approval, differences};

use super::naming;
use crate::reconcile::error::{Advice, Explain};

/// Whether one that nobody named may be used: language, category, type, text, buttons and variables are equal. Sample
/// values do not count, because only a reviewer reads them.
///
/// What an operator created under another object's name does not count. That object may live in another cluster, and
/// delete it.
pub(super) fn is_equal(revision: &TemplateRevision, listed: &TemplateObservation) -> bool {
    let Ok(content) = &listed.content else { return false };
    // The cheap comparisons come first: an account has thousands of templates.
    listed.language == revision.language
        && listed.category == Some(revision.category)
        && content.text.body == revision.content.body
        && content.unusual_type.is_none()
        && is_usable(listed)
        && naming::parts(&listed.name).is_none()
        && differences(&revision.content, &content.text).is_empty()
}

/// Whether it may be sent, or will be after a review or a pause.
pub(super) fn is_usable(listed: &TemplateObservation) -> bool {
    matches!(listed.approval, Approval::Approved | Approval::Pending | Approval::Paused { .. })
}

/// Whether one that was adopted for this revision still says what it says. The category may have changed since, which
/// is WhatsApp's to decide. One that can't be read any more is not known to differ.
pub(super) fn still_says(revision: &TemplateRevision, listed: &TemplateObservation) -> bool {
    let text = listed.content.as_ref().map(|content| &content.text);
    text.map_or(true, |text| differences(&revision.content, text).is_empty())
}

/// Why one that the spec names cannot be used at this account; `None` if it can. `is_recorded`: it was adopted already.
pub(super) fn refuse(
    account: &str,
    revision: &TemplateRevision,
    listed: &TemplateObservation,
    is_recorded: bool,
) -> Option<Why> {
    let account = account.to_owned();
    let content = match &listed.content {
        Ok(content) => content,
        Err(_) if is_recorded => return None,
        Err(why) => return Some(Why::Unreadable { account, why: why.to_string() }),
    };
    let mut what = Vec::new();
    if listed.language != revision.language {
        what.push(format!("its language is {} instead of {}", listed.language, revision.language));
    }
    if let Some(category) = listed.category
        && category != revision.category
        && !is_recorded
    {
        what.push(format!("its category is {category} instead of {}", revision.category));
    }
    what.extend(differences(&revision.content, &content.text));
    (!what.is_empty()).then_some(Why::Different { account, what })
}

/// A template that the spec names and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The field that names it.
    pub(super) path: String,
    pub(super) handle: TemplateHandle,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// None of these accounts has it.
    Missing {
        accounts: Vec<String>,
    },
    /// Another account of this tenant has it.
    Elsewhere {
        account: String,
    },
    Different {
        account: String,
        what: Vec<String>,
    },
    Unreadable {
        account: String,
        why: String,
    },
    /// Another object comes first.
    Taken {
        account: String,
        by: String,
    },
    /// The account has another one that is named.
    Second {
        account: String,
        first: TemplateHandle,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, handle, why } = self;
        write!(f, "{path}: {handle} ")?;
        match why {
            Why::Missing { accounts } => write!(
                f,
                "does not exist at {}; correct it, or remove it, and the text is submitted for review",
                accounts.join(" or ")
            ),
            Why::Elsewhere { account } => write!(
                f,
                "is a template of {account}, to which none of spec.senderRefs belongs; name a sender of that account, or a template of the account that is meant"
            ),
            Why::Different { account, what } => write!(
                f,
                "at {account} says something else: {}; declare what it says, or remove it, and the text is submitted for review",
                what.join(", ")
            ),
            Why::Unreadable { account, why } => {
                write!(f, "at {account} cannot be declared: {why}; remove it, and the text is submitted for review")
            }
            Why::Taken { account, by } => {
                write!(f, "at {account} is used by {by}, which comes first; remove it from one of the two")
            }
            Why::Second { account, first } => {
                write!(f, "is at {account} like {first}; name at most one template of each account")
            }
        }
    }
}

/// Templates that the spec names and that cannot be used. Languages without one go on.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Refused::to_string).collect::<Vec<_>>().join("; "))]
pub(super) struct NotAdoptable(pub(super) Vec<Refused>);

impl Explain for NotAdoptable {
    fn advice(&self) -> Advice {
        Advice::Stalled
    }
    fn reason(&self) -> &'static str {
        let are_taken = self.0.iter().all(|refused| matches!(refused.why, Why::Taken { .. }));
        if are_taken { reason::CONFLICT } else { reason::INVALID_SPEC }
    }
    fn condition(&self) -> Option<&'static str> {
        Some(SYNCED)
    }
}
