//! Traffic between Twilio, customers and applications: outbound and inbound messages, and the webhooks that report
//! both.

pub(crate) mod callbacks;
pub(crate) mod events;
pub(crate) mod inbound;
pub(crate) mod lifecycle;
pub(crate) mod read;
pub(crate) mod webhooks;
