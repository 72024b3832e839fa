//! How domain types without a schema of their own are described, in OpenAPI and in the events' JSON Schemas. The types
//! here only describe: no value of them is ever made.
#![expect(dead_code, reason = "only schemas: the domain has the types")]

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A phone number in E.164, or a business-scoped user id.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    pattern = r"^(\+[1-9][0-9]{6,14}|[A-Z]{2}\.(ENT\.)?[0-9A-Za-z]{1,128})$",
    example = "+447700900123"
)]
pub(crate) struct Address(String);

/// A phone number in E.164.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^\+[1-9][0-9]{6,14}$", example = "+14155238886")]
pub(crate) struct PhoneNumber(String);

macro_rules! names_of_objects {
    ($($(#[doc = $doc:literal])* $name:ident, such as $example:literal;)*) => {
        $($(#[doc = $doc])*
        #[derive(ToSchema)]
        #[schema(
            value_type = String,
            pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            max_length = 253,
            example = $example
        )]
        pub(crate) struct $name(String);)*
    };
}

names_of_objects! {
    /// The name of a WhatsAppSender.
    SenderName, such as "support";
    /// The name of a MessageTemplate.
    TemplateName, such as "order-shipped";
    /// The name of a RoutingPolicy.
    PolicyName, such as "default";
}

/// The tenant: a Kubernetes namespace.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length = 63, example = "shop")]
pub(crate) struct TenantId(String);

/// A message that was sent or received.
#[derive(Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^msg_[0-9a-f]{32}$", example = "msg_0192d3b8c7a97c3e8f1e2d3c4b5a6978")]
pub(crate) struct MessageId(String);

/// One call to the provider for a message.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^att-[0-9a-f]{32}$", example = "att-0192d3b8c7aa7b3e8f1e2d3c4b5a6978")]
pub(crate) struct AttemptId(String);

/// An event; the same for every sink and every delivery.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^evt_[0-9a-f]{32}$", example = "evt_0192d3b8c7ab7a3e8f1e2d3c4b5a6978")]
pub(crate) struct EventId(String);

/// The status of a message.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Status {
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

/// Whether a contact agreed or took that back.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) enum ConsentStatus {
    Granted,
    Revoked,
}

/// Why nothing is sent to a contact.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) enum SuppressionReason {
    OptedOut,
    Manual,
    Blocked,
    Unreachable,
}

/// What a customer sent. Other types may be added.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum InboundContent {
    Text {
        body: String,
    },
    /// One or more files; `body` is the caption.
    Media {
        body: Option<String>,
        items: Vec<MediaItem>,
    },
    Location {
        latitude: f64,
        longitude: f64,
        label: Option<String>,
        address: Option<String>,
    },
    /// A tap on a quick-reply button or a list item.
    Button {
        text: String,
        payload: Option<String>,
    },
    /// Anything else: `extra` has the rest of it.
    Other {
        kind: Option<String>,
        body: Option<String>,
    },
}

/// A file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MediaItem {
    /// Where the provider keeps it; reading it may need the provider's credentials.
    url: String,
    content_type: Option<String>,
}
