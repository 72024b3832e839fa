//! The parameters of the operations.
#![expect(dead_code, reason = "only descriptions: queries are read parameter by parameter")]

use jiff::Timestamp;
use utoipa::IntoParams;

use crate::schema;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IdempotencyKey {
    /// 1 to 255 printable ASCII characters. The same key with a body that says the same gets the same answer, whatever
    /// the body's whitespace; the same key with another body gets 422.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[ -~]+$",
        example = "order-18473"
    )]
    idempotency_key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfMessage {
    /// The message's id.
    #[param(value_type = schema::MessageId)]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfEvent {
    /// The event's id.
    #[param(value_type = schema::EventId)]
    id: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfContact {
    /// The contact's address.
    #[param(value_type = schema::Address)]
    address: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OtherAddress {
    /// An address in the contact's links.
    #[param(value_type = schema::Address, example = "GB.1a2b3c")]
    other: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AtSender {
    /// Whose contact it is; may be left out if the tenant has only one sender.
    #[param(value_type = Option<schema::SenderName>)]
    sender: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyLifted {
    /// The person or program that decides.
    #[param(min_length = 1, max_length = 1024, example = "ann@example.com")]
    by: String,
    /// Why.
    #[param(min_length = 1, max_length = 1024, example = "a wrong number that was corrected")]
    reason: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// From 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichMessages {
    /// Only messages that have this status now.
    #[param(value_type = Option<schema::Status>)]
    status: Option<String>,
    /// Only messages to this address; + is written as %2B.
    #[param(value_type = Option<schema::Address>)]
    to: Option<String>,
    /// Only messages from this WhatsAppSender, by its name or by its number.
    #[param(min_length = 1, max_length = 253, example = "support")]
    from: Option<String>,
    /// Only messages with this template.
    template: Option<String>,
    /// Created at this time or later.
    since: Option<Timestamp>,
    /// Created before this time.
    until: Option<Timestamp>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichDeadEvents {
    /// Only events of this sender.
    #[param(value_type = Option<schema::SenderName>)]
    sender: Option<String>,
    /// Only events for this sink, by its name.
    sink: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OneSink {
    /// Only for this sink, by its name; by default, for every sink that it was given up for.
    sink: Option<String>,
}
