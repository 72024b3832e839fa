//! Condition types and their reasons. Both are constants, because they are a contract.
//!
//! They follow kstatus. [`READY`] is present from the first reconcile on. [`RECONCILING`] and [`STALLED`] are present
//! only while they are true. Every condition carries the generation that it
//! describes.

/// The object works as its spec says: at the provider and in the data plane. `False` without [`STALLED`] means that it
/// is still being reconciled.
pub const READY: &str = "Ready";
/// The operator is working on the object, or waiting for something that needs no action. Absent otherwise.
pub const RECONCILING: &str = "Reconciling";
/// A person must act; the message says how. Nothing is retried until the object, or what it refers to, changes.
/// Absent otherwise.
pub const STALLED: &str = "Stalled";

/// Templates: every provider account that needs it holds exactly this generation. `False` while revisions are being
/// created or submitted.
pub const SYNCED: &str = "Synced";
/// Templates: WhatsApp approved the newest revision in every language and account. `False` when one was rejected,
/// paused or disabled; `Unknown` while one is under review.
pub const APPROVED: &str = "Approved";

/// Senders: a harmless call with the credentials succeeded. `Unknown` while the provider could not be asked.
pub const CREDENTIALS_VALID: &str = "CredentialsValid";
/// Senders: the provider reports the sender as online.
pub const ONLINE: &str = "Online";
/// Senders: the provider's webhooks point at the data plane. `Unknown` where only a person can see that.
pub const WEBHOOKS_CONFIGURED: &str = "WebhooksConfigured";

/// Senders: the provider noticed in the last hour that something goes wrong with the sender, such as a webhook that was
/// not answered. `Unknown` while the credentials may not read that. It is no part of [`READY`].
pub const PROVIDER_ALERTS: &str = "ProviderAlerts";

/// Senders with a `credentialRotation`: the credentials are being replaced. The reason is the phase, and
/// [`reason::HELD`] while a person must act; the message says what it waits for. `False` between rotations.
pub const ROTATING_CREDENTIALS: &str = "RotatingCredentials";

/// Senders with `templateEvents`: the provider tells of approvals here, which a test event has proven. Not part of
/// [`READY`], because polling finds whatever is lost.
pub const TEMPLATE_EVENTS_CONFIGURED: &str = "TemplateEventsConfigured";

/// Reasons of conditions.
pub mod reason {
    /// Everything is as the spec says.
    pub const READY: &str = "Ready";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The annotation [`crate::annotation::PAUSED`] is set.
    pub const PAUSED: &str = "Paused";
    /// The spec can't work; the message names the fields.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// Something that the spec refers to does not exist, or not yet.
    pub const REFERENCE_NOT_FOUND: &str = "ReferenceNotFound";
    /// The operator may not read the Secrets of the object's namespace.
    pub const SECRETS_NOT_GRANTED: &str = "SecretsNotGranted";
    /// Something that the spec refers to exists, and is not ready.
    pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
    /// Another object claims the same thing, and came first.
    pub const CONFLICT: &str = "Conflict";
    /// The provider could not be asked; the operator retries with backoff.
    pub const PROVIDER_UNAVAILABLE: &str = "ProviderUnavailable";
    /// The provider answered that the request is wrong.
    pub const PROVIDER_REFUSED: &str = "ProviderRefused";
    /// The provider did not accept the credentials, or they lack a permission.
    pub const CREDENTIALS_REFUSED: &str = "CredentialsRefused";
    /// The data plane's replicas are taking the object over.
    pub const PUBLISHING: &str = "Publishing";
    /// The data plane does not run the object as its spec says.
    pub const NOT_PUBLISHED: &str = "NotPublished";
    /// The object is being deleted.
    pub const DELETING: &str = "Deleting";

    /// Senders: the credentials work.
    pub const CREDENTIALS_ACCEPTED: &str = "CredentialsAccepted";
    /// Senders: the provider reports the sender as online.
    pub const SENDER_ONLINE: &str = "SenderOnline";
    /// Senders: the provider reports it as not online.
    pub const SENDER_OFFLINE: &str = "SenderOffline";
    /// Senders: the account has no sender with this number.
    pub const SENDER_NOT_FOUND: &str = "SenderNotFound";
    /// Senders: the number is being registered with WhatsApp.
    pub const REGISTERING: &str = "Registering";
    /// Senders: WhatsApp sent a code to the number, and a person must pass it on.
    pub const AWAITS_CODE: &str = "AwaitsVerificationCode";
    /// Senders: there were so many attempts to register the number that the operator waits, lest WhatsApp lock it out.
    pub const ATTEMPTS_EXHAUSTED: &str = "AttemptsExhausted";
    /// Senders: webhooks point at the data plane.
    pub const WEBHOOKS_IN_PLACE: &str = "WebhooksInPlace";
    /// Senders: a person pastes the webhooks' URLs into the provider's console.
    pub const PASTE_WEBHOOKS: &str = "PasteWebhooks";
    /// Senders: the number is the provider's sandbox, whose state no call can read.
    pub const SANDBOX: &str = "Sandbox";
    /// Senders: the provider tells of approvals here.
    pub const STREAM_IN_PLACE: &str = "StreamInPlace";
    /// Senders: a test event of the provider has not arrived yet.
    pub const AWAITING_TEST_EVENT: &str = "AwaitingTestEvent";
    /// Senders: the provider has alerts about the sender.
    pub const ALERTS_REPORTED: &str = "AlertsReported";
    /// Senders: the provider has no alerts about the sender.
    pub const NO_ALERTS: &str = "NoAlerts";
    /// Senders: the credentials may not do something that nothing else depends on.
    pub const PERMISSION_MISSING: &str = "PermissionMissing";
    /// Senders: no rotation is under way.
    pub const IDLE: &str = "Idle";
    /// Senders: the rotation is in doubt about something, and goes on once that is resolved.
    pub const HELD: &str = "Held";
    /// Senders: webhooks do not point at the data plane yet.
    pub const WEBHOOKS_DRIFTED: &str = "WebhooksDrifted";

    /// Templates: the provider holds this generation.
    pub const SUBMITTED: &str = "Submitted";
    /// Templates: WhatsApp approved it.
    pub const APPROVED: &str = "Approved";
    /// Templates: WhatsApp has not decided.
    pub const UNDER_REVIEW: &str = "UnderReview";
    /// Templates: WhatsApp rejected it.
    pub const REJECTED: &str = "Rejected";
    /// Templates: WhatsApp paused it for a time, because of its quality.
    pub const TEMPLATE_PAUSED: &str = "TemplatePaused";
    /// Templates: WhatsApp disabled it for good.
    pub const DISABLED: &str = "Disabled";
}
