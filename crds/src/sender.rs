//! `WhatsAppSender`: a phone number at a provider.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use messaging::config::OptOutConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration;
use crate::limits::Limits;
use crate::reference::{SecretKeyRef, SecretRef};
use crate::registration::{Registration, RegistrationStatus};
use crate::status::{DataPlaneStatus, DeletionPolicy, never_observed};

/// A phone number that sends and receives WhatsApp messages, at the provider where it is registered.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "WhatsAppSender",
    plural = "whatsappsenders",
    namespaced,
    category = "whatsapp",
    shortname = "was",
    status = "WhatsAppSenderStatus",
    derive = "PartialEq",
    doc = "A phone number that sends and receives WhatsApp messages: where it is registered, how fast it may send, and which applications receive its events.",
    selectable = ".spec.phoneNumber",
    selectable = ".spec.provider.twilio.accountSid",
    printcolumn(name = "Number", type_ = "string", json_path = ".spec.phoneNumber"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.provider"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.state",
        description = "The provider's own word for the sender's state"
    ),
    printcolumn(name = "Quality", type_ = "string", json_path = ".status.quality"),
    printcolumn(
        name = "Limit",
        type_ = "string",
        json_path = ".status.messagingLimit",
        description = "How many customers the number may start a conversation with in 24 hours"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reconciling",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Reconciling\")].reason",
        description = "What is under way, such as Paused; empty at rest"
    ),
    printcolumn(
        name = "Rotation",
        type_ = "string",
        json_path = ".status.rotation.summary",
        description = "The phase of the rotation of its credentials, and whom it waits for"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Replicas",
        type_ = "string",
        json_path = ".status.dataPlane.summary",
        priority = 1,
        description = "Data-plane replicas that run this sender's newest config, of those alive"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppSenderSpec {
    /// The number in E.164, such as `+447700900123`. Immutable.
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.matches('^\\\\+[1-9][0-9]{6,14}$')")
            .message("must be a phone number in E.164: + and 7 to 15 digits, such as +447700900123"),
        validation = Rule::new("self == oldSelf")
            .message("can't be changed: create another WhatsAppSender for another number")
    )]
    pub phone_number: String,
    /// Where the number is registered. Exactly one provider.
    pub provider: Provider,
    /// How fast the number may send.
    #[serde(default)]
    pub limits: Limits,
    /// The words with which customers opt out and back in, and the replies to them.
    #[serde(default)]
    pub opt_out: OptOut,
    /// Whether messages outside a conversation need the customer's recorded consent.
    #[serde(default)]
    pub consent: Consent,
    /// How long messages and their metadata are kept.
    #[serde(default)]
    pub retention: Retention,
    /// How long a message is worth sending where its request has no `validFor`. While the provider or the network is
    /// away, what was surely not sent is tried until then, and ends as `expired` after it.
    #[serde(default)]
    pub validity: Validity,
    /// Receivers of events: messages that arrive, and every status of messages that were sent. Each has a name of its
    /// own.
    #[serde(default)]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other.name == one.name))")
        .message("must name each receiver once"))]
    pub events: Vec<EventSink>,
    /// Lets the operator replace the credentials. Absent: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_rotation: Option<CredentialRotation>,
    /// What happens to the number's webhooks at the provider when this object is deleted. `Retain` leaves them as they
    /// are; `Delete` removes those that point to this data plane, and takes the number out of the Messaging Service
    /// that the operator added it to. The number itself is never given up.
    #[serde(default = "WhatsAppSenderSpec::default_deletion_policy")]
    pub deletion_policy: DeletionPolicy,
}

impl WhatsAppSenderSpec {
    fn default_deletion_policy() -> DeletionPolicy {
        DeletionPolicy::Retain
    }
}

/// Where a number is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.twilio)").message("must name the provider: twilio"))]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twilio: Option<TwilioProvider>,
}

/// An account at Twilio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.messagingServiceMembership) || has(self.messagingServiceSid)")
    .message("messagingServiceMembership needs the service: set messagingServiceSid, or remove messagingServiceMembership"))]
#[x_kube(validation = Rule::new("self.sandbox || !has(self.sandboxJoinCode)")
    .message("sandboxJoinCode is only for Twilio's Sandbox: set sandbox to true, or remove sandboxJoinCode"))]
#[x_kube(validation = Rule::new("!self.sandbox || !has(self.messagingServiceSid)")
    .message("Twilio's Sandbox is used without a Messaging Service: remove messagingServiceSid, or remove sandbox"))]
#[x_kube(validation = Rule::new("!self.sandbox || !has(self.registration)")
    .message("Twilio's Sandbox is not registered: remove registration, or remove sandbox"))]
#[x_kube(validation = Rule::new("self.sandbox == oldSelf.sandbox")
    .message("sandbox can't be changed: create another WhatsAppSender for a number of your own"))]
#[serde(rename_all = "camelCase")]
pub struct TwilioProvider {
    /// The account SID: `AC` and 32 hexadecimal digits. Immutable.
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.matches('^AC[0-9a-f]{32}$')")
            .message("must be a Twilio account SID: AC and 32 lower-case hexadecimal digits"),
        validation = Rule::new("self == oldSelf")
            .message("can't be changed: create another WhatsAppSender for another account")
    )]
    pub account_sid: String,
    /// The Messaging Service whose sender pool holds the number, if any: `MG` and 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^MG[0-9a-f]{32}$')")
        .message("must be a Messaging Service SID: MG and 32 lower-case hexadecimal digits"))]
    pub messaging_service_sid: Option<String>,
    /// Who puts the number into that service's sender pool. Absent: as `External`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_service_membership: Option<ServiceMembership>,
    /// Whether the number is Twilio's Sandbox for WhatsApp: a number that all accounts share (+14155238886), where
    /// anybody can try things out with phones that have joined. Twilio has no API for it, so the two URLs that the
    /// condition `WebhooksConfigured` tells are to be pasted into Twilio's console. It sends at most one message in 3
    /// seconds, and three templates of Twilio's own. Immutable.
    #[serde(default)]
    pub sandbox: bool,
    /// What a phone must send to the Sandbox after the word `join`, as Twilio's console shows it, such as
    /// `plenty-tiger`. The status repeats it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
        .message("must be the words after `join` in Twilio's console, in lower case, such as plenty-tiger"))]
    pub sandbox_join_code: Option<String>,
    /// A Secret with the key `authToken`: the account's auth token, which verifies the webhooks that Twilio sends and
    /// calls Twilio's API. With the keys `apiKeySid` (`SK…`) and `apiKeySecret` as well, that API key makes the calls
    /// instead, and the auth token only verifies webhooks.
    pub credentials_secret_ref: SecretRef,
    /// Whether Twilio tells of approvals, so that a template is ready seconds after WhatsApp approves it instead of at
    /// the next poll. The operator then keeps a sink and a subscription of Event Streams in the account. Of several
    /// senders of an account in a namespace, the oldest that asks acts for all.
    #[serde(default)]
    pub template_events: bool,
    /// Lets the operator register the number with WhatsApp where the account does not have it. Absent: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Box<Registration>>,
}

/// Who puts a number into the sender pool of its Messaging Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceMembership {
    /// Somebody else. The operator waits until the number is there.
    External,
    /// The operator. It adds the number, and removes it again once the spec no longer names the service, or when this
    /// object is deleted with the policy `Delete`. A number that somebody else added is left there.
    Managed,
}

/// The words with which customers opt out and back in. A message counts when all of it is such a word, in any case and
/// any Unicode composition; spaces, and punctuation and pictures around it, are ignored. A quick reply counts by its
/// title or its payload, and media by its caption. A verdict of the provider's own opt-out management comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
        "self.stopKeywords.all(stop, !self.startKeywords.exists(start, start.trim().lowerAscii() == stop.trim().lowerAscii()))"
    ).message("a word can't both stop and start: remove it from stopKeywords or from startKeywords"))]
#[serde(rename_all = "camelCase")]
pub struct OptOut {
    /// A message that is one of these words opts the customer out: nothing more is sent to them.
    #[serde(default = "OptOut::default_stop_keywords")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)))]
    pub stop_keywords: Vec<String>,
    /// A message that is one of these words opts the customer back in.
    #[serde(default = "OptOut::default_start_keywords")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub start_keywords: Vec<String>,
    /// The reply to a customer who opts out. Absent: no reply. There is none either where the provider judged and
    /// answered the keyword itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub stop_reply: Option<String>,
    /// The reply to a customer who opts back in. Absent: no reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub start_reply: Option<String>,
}

impl OptOut {
    fn default_stop_keywords() -> Vec<String> {
        OptOutConfig::default().stop_keywords
    }
    fn default_start_keywords() -> Vec<String> {
        OptOutConfig::default().start_keywords
    }
}

impl Default for OptOut {
    fn default() -> Self {
        let OptOutConfig { stop_keywords, start_keywords, stop_reply, start_reply } = OptOutConfig::default();
        Self { stop_keywords, start_keywords, stop_reply, start_reply }
    }
}

/// Whether messages outside a conversation need the customer's recorded consent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// Refuse messages that start a conversation with a customer whose consent is not on record.
    #[serde(default)]
    pub required: bool,
    /// Consent lapses after this time, such as `365d`. Absent: it never lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::RULE).message(duration::MESSAGE))]
    pub max_age: Option<String>,
}

/// How long messages and their metadata are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Contents of messages, and raw webhooks.
    #[serde(default = "Retention::default_bodies")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::RULE).message(duration::MESSAGE))]
    pub bodies: String,
    /// Metadata of messages: time, recipient and outcome.
    #[serde(default = "Retention::default_metadata")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::RULE).message(duration::MESSAGE))]
    pub metadata: String,
}

impl Retention {
    fn default_bodies() -> String {
        "30d".into()
    }
    fn default_metadata() -> String {
        "400d".into()
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { bodies: Self::default_bodies(), metadata: Self::default_metadata() }
    }
}

/// How long a message of each category is worth sending, counted from when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validity {
    /// Templates of the category AUTHENTICATION.
    #[serde(default = "Validity::default_authentication")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::VALIDITY_RULE).message(duration::VALIDITY_MESSAGE))]
    pub authentication: String,
    /// Templates of the category UTILITY, and free-form answers.
    #[serde(default = "Validity::default_utility")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::VALIDITY_RULE).message(duration::VALIDITY_MESSAGE))]
    pub utility: String,
    /// Templates of the category MARKETING.
    #[serde(default = "Validity::default_marketing")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::VALIDITY_RULE).message(duration::VALIDITY_MESSAGE))]
    pub marketing: String,
}

impl Validity {
    fn default_authentication() -> String {
        "10m".into()
    }
    fn default_utility() -> String {
        "24h".into()
    }
    fn default_marketing() -> String {
        "24h".into()
    }
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            authentication: Self::default_authentication(),
            utility: Self::default_utility(),
            marketing: Self::default_marketing(),
        }
    }
}

/// How the operator replaces a sender's credentials. Senders that share a Secret rotate together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.apiKey || self.authToken").message("must rotate something: apiKey, authToken or both"))]
#[x_kube(validation = Rule::new(duration::INTERVAL_RULE).message(duration::INTERVAL_MESSAGE))]
#[serde(rename_all = "camelCase")]
pub struct CredentialRotation {
    /// How often: a whole number and a unit of s, m, h or d. At least twice `minOverlap`.
    #[serde(default = "CredentialRotation::default_every")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::RULE).message(duration::MESSAGE))]
    pub every: String,
    /// How long the old API key works after every replica uses the new one.
    #[serde(default = "CredentialRotation::default_min_overlap")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(duration::RULE).message(duration::MESSAGE))]
    pub min_overlap: String,
    /// Whether the operator makes an API key that makes the calls, and replaces it. It replaces the `apiKeySid` of the
    /// Secret, which it does not revoke.
    #[serde(default = "CredentialRotation::default_api_key")]
    pub api_key: bool,
    /// Whether the account's auth token is replaced, too. All software that uses the account must take the token from
    /// the Secret, because the old one ends. The operator needs the right to patch the Secret.
    #[serde(default)]
    pub auth_token: bool,
}

impl CredentialRotation {
    fn default_every() -> String {
        "90d".into()
    }
    fn default_min_overlap() -> String {
        "1h".into()
    }
    fn default_api_key() -> bool {
        true
    }
}

/// A receiver of events. Exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.http)").message("must name the kind of receiver: http"))]
#[serde(rename_all = "camelCase")]
pub struct EventSink {
    /// What the receiver is known by. Events that wait for it are kept under its name, so that its URL may change: they
    /// go to the new one.
    #[serde(default = "EventSink::default_name")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("must have lower-case letters, digits and '-', such as app"))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSink>,
}

impl EventSink {
    fn default_name() -> String {
        "default".into()
    }
}

/// An HTTP endpoint that receives CloudEvents, signed according to Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSink {
    /// The URL that events are posted to.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''")
        .message("must be an http or https URL, such as https://shop.example.com/events"))]
    pub url: String,
    /// The Secret, and its key, that holds the signing secret: `whsec_` and 24 to 64 bytes in base64.
    pub signing_secret_ref: SecretKeyRef,
}

/// What the operator observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppSenderStatus {
    /// The generation that this status describes; -1 before the first reconcile.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The value of the annotation `whatsapp-operator.dev/reconcile-requested-at` that the operator last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_plane: Option<DataPlaneStatus>,
    /// The provider's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's id of the sender, such as `XE…` at Twilio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The provider's own word for the sender's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// WhatsApp's quality rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// How many customers the number may start a conversation with in 24 hours, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_limit: Option<String>,
    /// Where the provider's webhooks point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<WebhooksStatus>,
    /// The Messaging Service that the operator added the number to, or is about to. Absent where somebody else did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership: Option<MembershipStatus>,
    /// What the operator did to register the number. Absent where it did nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationStatus>,
    /// How to use Twilio's Sandbox, where the number is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxStatus>,
    /// How the provider tells of approvals, where this sender acts for its account. Absent where nothing of it is at
    /// the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_events: Option<TemplateEventsStatus>,
    /// The provider's alerts about the sender, as they were told last. They stay after the condition `ProviderAlerts`
    /// has cleared, so that none is told twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertsStatus>,
    /// What Events told last of the sender's state at the provider, so that each change is told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldStatus>,
    /// Where the rotation of the credentials stands. Absent when none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// Until when webhooks are accepted that were signed with a key that was replaced. Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_webhook_keys_until: Option<Time>,
}

impl Default for WhatsAppSenderStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            last_handled_reconcile_at: None,
            data_plane: None,
            provider: None,
            handle: None,
            state: None,
            quality: None,
            messaging_limit: None,
            webhooks: None,
            membership: None,
            registration: None,
            sandbox: None,
            template_events: None,
            alerts: None,
            told: None,
            rotation: None,
            old_webhook_keys_until: None,
        }
    }
}

/// How the provider tells of approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateEventsStatus {
    /// The provider's id of what sends the events: a sink (`DG…`) at Twilio. Absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// When the last test event was asked for that has not arrived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested_at: Option<Time>,
    /// How many test events were asked for that have not arrived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<u32>,
}

/// Where the rotation of a sender's credentials stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationStatus {
    /// The phase: Minting, Verifying, CreatingToken, Publishing, AwaitingAck, PromotingToken, Overlap, Revoking, Held
    /// or Idle.
    pub phase: String,
    /// The phase, and whom or what it waits for.
    pub summary: String,
    /// When the newest rotation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// The provider's id of the API key in use, if the operator made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A membership that the operator made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MembershipStatus {
    pub messaging_service_sid: String,
    /// When the operator asked the provider to add the number, while it does not know whether that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
}

/// The provider's alerts about a sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertsStatus {
    /// How many there were in the hour before they were last looked at. At most 300 of an account are read.
    pub count: i32,
    /// The newest one's code at the provider.
    pub code: String,
    /// The newest one's id at the provider, such as `NO…` at Twilio.
    pub id: String,
    /// The newest one's time.
    pub at: Time,
    /// The provider's id of what the newest one is about, such as a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// What Events told last of a sender's state at the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToldStatus {
    pub online: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline_reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_limit: Option<String>,
    /// When. Absent before the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// How to use Twilio's Sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// What each phone sends to the number before it can take part.
    pub join: String,
    /// The URL for Twilio's console, under "When a message comes in" (POST).
    pub inbound_url: String,
    /// The URL for Twilio's console, under "Status callback URL" (POST).
    pub status_url: String,
}

/// Where the provider's webhooks point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhooksStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
