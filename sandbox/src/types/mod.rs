//! The control API's types that all providers share. The server, the client and seed files use them.

mod customers;
mod faults;
mod health;
mod requests;
mod webhooks;

pub use self::{
    customers::{Behaviour, CustomerAct, Reply, ReplyAccepted, ReplyMedia},
    faults::{ErrorShape, FaultReport, FaultRules, Hits, RequestEffect, RequestFault, WebhookEffect, WebhookFault},
    health::{ClockAdvance, Health},
    requests::{RequestFilter, RequestRecord},
    webhooks::{Redelivered, Redelivery, WebhookAttempt, WebhookFilter, WebhookKind, WebhookRecord, WebhookState},
};
