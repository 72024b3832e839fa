//! OpenAPI schemas of bodies that are read field by field. They only describe: no value of them is ever made.
#![expect(dead_code, reason = "only schemas: the bodies are read field by field, so that every fault is reported")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};

use super::send::{METADATA_ENTRIES, METADATA_KEY, METADATA_VALUE, TEMPLATE_KEY, TEMPLATE_VALUE, TEMPLATE_VALUES};
use crate::schema;
use crate::store::message::OnUnconfirmed;

/// What to send. Exactly one of `template`, `text` and `media`; at most one of `from` and `policy`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SendMessage)]
pub(super) struct SendBody {
    #[schema(value_type = schema::Address)]
    to: String,
    /// Who the message is from: a WhatsAppSender, by its name or by its number. Without it and without `policy`, the
    /// RoutingPolicy named `default` decides. Without that one, the oldest RoutingPolicy decides; without any, the
    /// tenant's only sender is used.
    #[schema(min_length = 1, max_length = 253, example = "support")]
    from: Option<String>,
    #[schema(value_type = Option<schema::PolicyName>)]
    policy: Option<String>,
    template: Option<TemplateBody>,
    text: Option<TextBody>,
    media: Option<MediaBody>,
    /// A message that was received from this contact or sent to them. This one quotes it where the provider can;
    /// `quoted` in the answer tells.
    reply_to: Option<ReplyToBody>,
    /// Not before this time, which is not past, and at most 366 days ahead.
    schedule_at: Option<Timestamp>,
    /// From 10s to 30d, counted from `scheduleAt` or from now: a whole number and one of s, m, h, d. Absent: the
    /// sender's default for the category, which is 10m for authentication and 24h for everything else unless the sender
    /// sets another.
    #[schema(pattern = "^[0-9]{1,7}[smhd]$", example = "6h")]
    valid_for: Option<String>,
    /// What happens if the outcome of an attempt stays unknown: `fail`, the default, ends the message; `resend` sends
    /// it again, and the recipient may get it twice.
    on_unconfirmed: Option<OnUnconfirmed>,
    /// Repeated in every event of the message.
    #[schema(schema_with = metadata)]
    metadata: Option<BTreeMap<String, String>>,
}

/// The message that is answered: its id, or an object with it.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ReplyTo)]
enum ReplyToBody {
    Id(schema::MessageId),
    Object(AnsweredBody),
}

/// The message that is answered, and whether it must be quoted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AnsweredMessage)]
struct AnsweredBody {
    #[schema(value_type = schema::MessageId)]
    id: String,
    /// Whether the message is refused with 422 where it cannot quote that one; false by default.
    required: Option<bool>,
}

fn metadata() -> Object {
    strings(METADATA_ENTRIES, METADATA_KEY, METADATA_VALUE)
}

fn values() -> Object {
    strings(TEMPLATE_VALUES, TEMPLATE_KEY, TEMPLATE_VALUE)
}

/// An object of so many strings, and the most characters of a key and of a value.
fn strings(entries: usize, key: usize, value: usize) -> Object {
    let text = |longest| ObjectBuilder::new().schema_type(Type::String).max_length(Some(longest)).build();
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .max_properties(Some(entries))
        .property_names(Some(Schema::Object(text(key))))
        .additional_properties(Some(Schema::Object(text(value))))
        .build()
}

/// What a message says: exactly one of the three.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    template: Option<TemplateBody>,
    text: Option<TextBody>,
    media: Option<MediaBody>,
}

/// An approved template; may be sent at any time.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TemplateContent)]
pub(super) struct TemplateBody {
    #[schema(value_type = schema::TemplateName)]
    name: String,
    /// Such as `de`; absent, the template's fallback language.
    #[schema(example = "de")]
    language: Option<String>,
    /// A value for each variable of the template.
    #[schema(schema_with = values)]
    values: Option<BTreeMap<String, String>>,
}

/// Free-form text; only within 24 hours of the contact's last message.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TextContent)]
pub(super) struct TextBody {
    /// As much as the provider takes: 1,600 characters at Twilio.
    #[schema(min_length = 1)]
    body: String,
}

/// A file; only within 24 hours of the contact's last message.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MediaContent)]
pub(super) struct MediaBody {
    /// The provider fetches it from here, over http or https.
    #[schema(format = "uri", example = "https://shop.example.com/receipt.pdf")]
    url: String,
    #[schema(min_length = 1)]
    caption: Option<String>,
}

/// The body of a consent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ConsentRequest)]
pub(super) struct ConsentBody {
    #[schema(value_type = schema::ConsentStatus)]
    status: String,
    evidence: EvidenceBody,
}

/// Proof that the contact consented.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Evidence)]
pub(super) struct EvidenceBody {
    /// Where it was given.
    #[schema(min_length = 1, max_length = 1024, example = "checkout-form")]
    source: String,
    /// What identifies it there.
    #[schema(min_length = 1, max_length = 1024, example = "order 18473")]
    reference: Option<String>,
    /// When it was given there; not in the future.
    at: Option<Timestamp>,
    #[schema(min_length = 1, max_length = 1024)]
    note: Option<String>,
}

/// The body of a suppression.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SuppressionRequest)]
pub(super) struct SuppressionBody {
    /// The person or program that decides.
    #[schema(min_length = 1, max_length = 1024, example = "ann@example.com")]
    by: String,
    /// Why.
    #[schema(min_length = 1, max_length = 1024, example = "asked by phone")]
    reason: String,
}

/// Which dead letters to redrive: all of them, unless a field narrows it down.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RedriveEvents)]
pub(super) struct RedriveBody {
    /// Only events of this sender.
    #[schema(value_type = Option<schema::SenderName>)]
    sender: Option<String>,
    /// Only events for this sink, by its name.
    sink: Option<String>,
    /// `nextCursor` of the previous answer.
    cursor: Option<String>,
}
