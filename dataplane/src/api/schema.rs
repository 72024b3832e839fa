//! Schemas of what is read field by field, and of domain types, which know no OpenAPI. They only describe: no value of
//! them is ever made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::ToSchema;

use crate::store::message::OnUnconfirmed;

/// What to send. Exactly one of `template`, `text` and `media`; at most one of `from` and `policy`.
#[derive(ToSchema)]
#[schema(as = SendMessage)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct SendBody {
    /// E.164, such as `+447700900123`, or a business-scoped user id, such as `GB.1a2b3c`.
    to: String,
    /// A WhatsAppSender. Without it and without `policy`, the RoutingPolicy named `default` decides, else the oldest,
    /// else the only sender.
    from: Option<String>,
    /// A RoutingPolicy.
    policy: Option<String>,
    template: Option<TemplateBody>,
    text: Option<TextBody>,
    media: Option<MediaBody>,
    /// A message that was received or sent; this one quotes it.
    #[schema(rename = "replyTo")]
    reply_to: Option<String>,
    /// Not before this time; at most 366 days ahead.
    #[schema(rename = "scheduleAt")]
    schedule_at: Option<Timestamp>,
    /// From 10s to 30d, counted from `scheduleAt` or from now: a whole number and one of s, m, h, d.
    #[schema(rename = "validFor")]
    valid_for: Option<String>,
    /// What happens when nobody can tell whether it was sent: `fail`, the default, ends it; `resend` sends it again, and
    /// the recipient may get it twice.
    #[schema(rename = "onUnconfirmed")]
    on_unconfirmed: Option<OnUnconfirmed>,
    /// At most 16 entries of at most 64 and 512 characters; it comes back with every event of the message.
    metadata: Option<BTreeMap<String, String>>,
}

/// What a message says: one of the three.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of content of the domain, which knows no OpenAPI")]
pub(super) struct Content {
    template: Option<TemplateBody>,
    text: Option<TextBody>,
    media: Option<MediaBody>,
}

/// An approved template; may be sent at any time.
#[derive(ToSchema)]
#[schema(as = TemplateContent)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct TemplateBody {
    /// A MessageTemplate.
    name: String,
    /// Such as `de`; absent, the template's fallback language.
    language: Option<String>,
    /// A value for each variable of the template.
    values: Option<BTreeMap<String, String>>,
}

/// Free-form text; only within 24 hours of the contact's last message.
#[derive(ToSchema)]
#[schema(as = TextContent)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct TextBody {
    body: String,
}

/// A file; only within 24 hours of the contact's last message.
#[derive(ToSchema)]
#[schema(as = MediaContent)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct MediaBody {
    /// The provider fetches it from here.
    url: String,
    caption: Option<String>,
}

/// The body of a consent.
#[derive(ToSchema)]
#[schema(as = ConsentRequest)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct ConsentBody {
    /// `granted` or `revoked`.
    status: String,
    evidence: EvidenceBody,
}

/// How it can be shown that the contact consented.
#[derive(ToSchema)]
#[schema(as = Evidence)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct EvidenceBody {
    /// Where it was given, such as `checkout-form`.
    source: String,
    /// What finds it again there.
    reference: Option<String>,
    /// When it was given there; not in the future.
    at: Option<Timestamp>,
    note: Option<String>,
}

/// Which dead letters to send on their way again: all of them unless something is given.
#[derive(ToSchema)]
#[schema(as = RedriveEvents)]
#[expect(dead_code, reason = "the schema of what is read field by field, so that every fault is told")]
pub(super) struct RedriveBody {
    /// Only events of this sender.
    sender: Option<String>,
    /// Only events for this sink, by its URL.
    sink: Option<String>,
    /// `nextCursor` of the answer before.
    cursor: Option<String>,
}

/// Where a message stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the schema of a status of the domain, which knows no OpenAPI")]
pub(super) enum Status {
    Queued,
    Submitted,
    Unconfirmed,
    Accepted,
    Sent,
    Canceled,
    Expired,
    Suppressed,
    Rejected,
    Failed,
    Delivered,
    Read,
}
