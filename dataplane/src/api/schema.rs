//! OpenAPI schemas of bodies that are read field by field, and of domain types without a schema of their own. They only
//! describe: no value of them is ever made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use utoipa::ToSchema;

use crate::store::message::OnUnconfirmed;

/// What to send. Exactly one of `template`, `text` and `media`; at most one of `from` and `policy`.
#[derive(ToSchema)]
#[schema(as = SendMessage)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct SendBody {
    /// E.164, such as `+447700900123`, or a business-scoped user id, such as `GB.1a2b3c`.
    to: String,
    /// A WhatsAppSender. Without it and without `policy`, the RoutingPolicy named `default` decides. Without that one,
    /// the oldest RoutingPolicy decides; without any, the tenant's only sender is used.
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
    /// From 10s to 30d, counted from `scheduleAt` or from now: a whole number and one of s, m, h, d. Absent: the sender's
    /// default for the category, which is 10m for authentication and 24h for everything else unless the sender sets another.
    #[schema(rename = "validFor")]
    valid_for: Option<String>,
    /// What happens if the outcome of an attempt stays unknown: `fail`, the default, ends the message; `resend` sends
    /// it again, and the recipient may get it twice.
    #[schema(rename = "onUnconfirmed")]
    on_unconfirmed: Option<OnUnconfirmed>,
    /// At most 16 entries of at most 64 and 512 characters; repeated in every event of the message.
    metadata: Option<BTreeMap<String, String>>,
}

/// What a message says: exactly one of the three.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only a schema: the domain type has none")]
pub(super) struct Content {
    template: Option<TemplateBody>,
    text: Option<TextBody>,
    media: Option<MediaBody>,
}

/// An approved template; may be sent at any time.
#[derive(ToSchema)]
#[schema(as = TemplateContent)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
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
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct TextBody {
    body: String,
}

/// A file; only within 24 hours of the contact's last message.
#[derive(ToSchema)]
#[schema(as = MediaContent)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct MediaBody {
    /// The provider fetches it from here.
    url: String,
    caption: Option<String>,
}

/// The body of a consent.
#[derive(ToSchema)]
#[schema(as = ConsentRequest)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct ConsentBody {
    /// `granted` or `revoked`.
    status: String,
    evidence: EvidenceBody,
}

/// Proof that the contact consented.
#[derive(ToSchema)]
#[schema(as = Evidence)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct EvidenceBody {
    /// Where it was given, such as `checkout-form`.
    source: String,
    /// What identifies it there, such as an order number.
    reference: Option<String>,
    /// When it was given there; not in the future.
    at: Option<Timestamp>,
    note: Option<String>,
}

/// The body of a suppression.
#[derive(ToSchema)]
#[schema(as = SuppressionRequest)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct SuppressionBody {
    /// The person or program that decides.
    #[schema(min_length = 1, max_length = 1024)]
    by: String,
    /// Why, such as a ticket's number.
    #[schema(min_length = 1, max_length = 1024)]
    reason: String,
}

/// Which dead letters to redrive: all of them, unless a field narrows it down.
#[derive(ToSchema)]
#[schema(as = RedriveEvents)]
#[expect(dead_code, reason = "only a schema: the body is read field by field, so that every fault is reported")]
pub(super) struct RedriveBody {
    /// Only events of this sender.
    sender: Option<String>,
    /// Only events for this sink, by its name.
    sink: Option<String>,
    /// `nextCursor` of the previous answer.
    cursor: Option<String>,
}

/// The status of a message.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only a schema: the domain type has none")]
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
