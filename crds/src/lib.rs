//! The three kinds as Rust types: what a tenant declares, and what the operator reports.
//!
//! The doc comments of the types become the descriptions that `kubectl explain` shows, and the CEL rules beside the
//! fields are what the API server enforces, so neither needs an admission webhook. `crdgen` writes the YAML in this
//! folder from them. Nothing here calls a cluster or decides anything: the operator does both.

#![expect(unreachable_pub, reason = "KubeSchema repeats each type, with its visibility, inside a function")]
#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column has a type and a path, and two may have the same"
)]

pub mod annotation;
pub mod condition;
pub mod definition;
pub mod duration;
mod limits;
mod one_of;
mod reference;
mod registration;
mod routing;
mod sender;
mod status;
mod template;

pub use limits::{InvalidRate, Limits, MessageRate};
pub use reference::{SecretKeyRef, SecretRef, SenderRef};
pub use registration::{
    BusinessProfile, CodeAttempt, CodeSecretRef, Email, Registration, RegistrationAttempt, RegistrationStatus,
    VerificationMethod, Website,
};
pub use routing::{CountryRoute, RouteTarget, RoutingPolicy, RoutingPolicySpec, RoutingPolicyStatus, ServiceSender};
pub use sender::{
    AlertsStatus, Consent, CredentialRotation, EventSink, HttpSink, MembershipStatus, OptOut, Provider, Retention,
    RotationStatus, SandboxStatus, ServiceMembership, TemplateEventsStatus, ToldStatus, TwilioProvider, Validity,
    WebhooksStatus, WhatsAppSender, WhatsAppSenderSpec, WhatsAppSenderStatus,
};
pub use status::{Conditions, DataPlaneStatus, DeletionPolicy};
pub use template::{
    Button, CopyCodeButton, LanguagesStatus, Localization, MessageTemplate, MessageTemplateSpec, MessageTemplateStatus,
    PhoneNumberButton, QuickReplyButton, ReadyWhen, RevisionContent, RevisionOrigin, RevisionState, RevisionStatus,
    TemplateCategory, TemplateLocationStatus, UrlButton, Variable,
};

/// The API group of all three kinds.
pub const GROUP: &str = "whatsapp-operator.dev";
