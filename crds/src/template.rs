//! `MessageTemplate`: a text that may be sent at any time once WhatsApp has approved it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use messaging::provider::admin::TemplateHandle;
use messaging::template::languages::LANGUAGES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::one_of;
use crate::reference::SenderRef;
use crate::status::{DataPlaneStatus, DeletionPolicy, never_observed};

/// A text, in one or more languages, that may be sent at any time once WhatsApp has approved it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "MessageTemplate",
    plural = "messagetemplates",
    namespaced,
    category = "whatsapp",
    shortname = "wat",
    status = "MessageTemplateStatus",
    derive = "PartialEq",
    doc = "A text, in one or more languages, that may be sent at any time once WhatsApp has approved it. A change is submitted as a new revision, and the last approved one keeps serving until the new one is approved.",
    selectable = ".spec.category",
    printcolumn(
        name = "Category",
        type_ = "string",
        json_path = ".status.category",
        description = "The category that counts: the one that WhatsApp assigned"
    ),
    printcolumn(name = "Approval", type_ = "string", json_path = ".status.approval"),
    printcolumn(
        name = "Languages",
        type_ = "string",
        json_path = ".status.languages.summary",
        description = "Languages whose newest revision is approved in every account, of all languages"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reconciling",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Reconciling\")].reason",
        description = "What is under way, such as Paused; empty at rest"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Replicas",
        type_ = "string",
        json_path = ".status.dataPlane.summary",
        priority = 1,
        description = "Data-plane replicas that run this template's newest config, of those alive"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[x_kube(validation = Rule::new("self.localizations.exists(localization, localization.language == self.fallbackLanguage)")
    .message("must be the language of one of spec.localizations")
    .field_path(".fallbackLanguage"))]
#[x_kube(validation = Rule::new("self.category == 'AUTHENTICATION' || self.localizations.all(localization, has(localization.body))")
    .message("must each have a body")
    .field_path(".localizations"))]
#[x_kube(validation = Rule::new("self.category != 'AUTHENTICATION' || self.localizations.all(localization, !has(localization.body) && !has(localization.header) && !has(localization.footer))")
    .message("must have no body, header or footer in the category AUTHENTICATION, because WhatsApp writes the text itself; a copyCode button holds the code")
    .field_path(".localizations"))]
#[serde(rename_all = "camelCase")]
pub struct MessageTemplateSpec {
    /// The senders that use it: it is submitted to the provider account of each.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = Rule::new("self.all(reference, self.exists_one(other, other.name == reference.name))")
        .message("must name each sender once"))]
    pub sender_refs: Vec<SenderRef>,
    /// What the template is for. WhatsApp may assign another category, also long after the approval. The one that it
    /// assigns decides the price, the priority and the consent that a message needs; see `status.category`.
    pub category: TemplateCategory,
    /// Values that differ from message to message: `{{key}}` in a text is replaced by the variable with that key.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(variable, self.exists_one(other, other.key == variable.key))")
        .message("must have each key once"))]
    pub variables: Vec<Variable>,
    /// The text in each language.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.all(localization, self.exists_one(other, other.language == localization.language))")
        .message("must have each language once"))]
    pub localizations: Vec<Localization>,
    /// The language of messages that name no language.
    #[schemars(length(max = 64))]
    pub fallback_language: String,
    /// When the template counts as ready: once it is approved, or as soon as it is submitted, for pipelines that
    /// can't wait for the review. A review takes minutes to two days.
    #[serde(default = "MessageTemplateSpec::default_ready_when")]
    pub ready_when: ReadyWhen,
    /// What happens to the template at the provider when this object is deleted. What `Retain` leaves there is found
    /// and used again when the same text is applied under this name, in this namespace. What this object did not create
    /// is never deleted, whatever the policy is, unless the annotation `whatsapp-operator.dev/delete-adopted` is
    /// `"true"`.
    #[serde(default = "MessageTemplateSpec::default_deletion_policy")]
    pub deletion_policy: DeletionPolicy,
}

impl MessageTemplateSpec {
    fn default_ready_when() -> ReadyWhen {
        ReadyWhen::Approved
    }
    fn default_deletion_policy() -> DeletionPolicy {
        DeletionPolicy::Delete
    }
}

/// WhatsApp's categories of templates, the least restricted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TemplateCategory {
    /// One-time codes.
    Authentication,
    /// Messages about something that the customer has ordered or agreed to.
    Utility,
    /// Everything else.
    Marketing,
}

impl From<TemplateCategory> for messaging::template::TemplateCategory {
    fn from(category: TemplateCategory) -> Self {
        match category {
            TemplateCategory::Authentication => Self::Authentication,
            TemplateCategory::Utility => Self::Utility,
            TemplateCategory::Marketing => Self::Marketing,
        }
    }
}

impl From<messaging::template::TemplateCategory> for TemplateCategory {
    fn from(category: messaging::template::TemplateCategory) -> Self {
        match category {
            messaging::template::TemplateCategory::Authentication => Self::Authentication,
            messaging::template::TemplateCategory::Utility => Self::Utility,
            messaging::template::TemplateCategory::Marketing => Self::Marketing,
        }
    }
}

/// When a template counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadyWhen {
    /// Once the newest revision is approved in every language and account.
    Approved,
    /// Once the newest revision is submitted everywhere.
    Submitted,
}

/// A value that differs from message to message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// The text between the braces. At Twilio: numbers, from 1.
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_]+$')")
        .message("must be letters, digits and '_', such as 1"))]
    pub key: String,
    /// An explanation for the people who fill it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub description: Option<String>,
    /// A sample value, for WhatsApp's reviewers.
    #[schemars(length(min = 1, max = 256))]
    pub example: String,
}

/// The text in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Localization {
    /// A language that WhatsApp knows, such as `en_US` or `de`.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(one_of::itself(LANGUAGES))
        .message("must be a language that WhatsApp has, with a region where it distinguishes them, such as de, en_US or pt_BR"))]
    pub language: String,
    /// The message, with a `{{key}}` for each variable. At most 1,024 characters. Left out in the category
    /// AUTHENTICATION, whose text WhatsApp writes itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 1024))]
    pub body: String,
    /// A bold line above the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60))]
    pub header: Option<String>,
    /// A grey line below the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60))]
    pub footer: Option<String>,
    /// Buttons below the message. Which kinds may be combined is checked when the template is submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub buttons: Vec<Button>,
    /// Templates that exist at the provider and say exactly this, by their ids there, such as `HX…` at Twilio: at most
    /// one for each account. They are used as they are, without a new review, and never deleted. Where an account has
    /// none, one with the same text is looked for before a new one is submitted. To change the text later, remove the
    /// id as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    #[x_kube(
        validation = Rule::new("self.all(handle, handle.matches('^[A-Za-z0-9_-]+$'))")
            .message("must each be the id of a template at the provider, such as HX and 32 hexadecimal digits at Twilio"),
        merge_strategy = ListMerge::Set
    )]
    pub adopt: Vec<String>,
}

/// A button. Exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
        "[has(self.quickReply), has(self.url), has(self.phoneNumber), has(self.copyCode)].filter(kind, kind).size() == 1"
    ).message("must be exactly one of quickReply, url, phoneNumber and copyCode"))]
#[serde(rename_all = "camelCase")]
pub struct Button {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick_reply: Option<QuickReplyButton>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlButton>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<PhoneNumberButton>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_code: Option<CopyCodeButton>,
}

/// A tap answers with the title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuickReplyButton {
    #[schemars(length(min = 1, max = 25))]
    pub title: String,
    /// The payload of the reply when the button is tapped.
    #[schemars(length(min = 1, max = 200))]
    pub id: String,
}

/// A tap opens a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct UrlButton {
    #[schemars(length(min = 1, max = 25))]
    pub title: String,
    /// The page's URL, which may end in one `{{key}}`.
    #[schemars(length(max = 2000))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/{}]+')")
        .message("must be an http or https URL, such as https://shop.example.com/orders/{{1}}"))]
    pub url: String,
}

/// A tap calls a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PhoneNumberButton {
    #[schemars(length(min = 1, max = 25))]
    pub title: String,
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^\\\\+[1-9][0-9]{6,14}$')")
        .message("must be a phone number in E.164: + and 7 to 15 digits, such as +447700900123"))]
    pub phone: String,
}

/// A tap copies a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CopyCodeButton {
    #[schemars(length(min = 1, max = 25))]
    pub title: String,
    /// A sample of the code, or the `{{key}}` of the variable that holds it.
    #[schemars(length(min = 1, max = 40))]
    pub code: String,
}

/// What the operator observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageTemplateStatus {
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
    /// The state of the newest revision that is furthest from approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<RevisionState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<LanguagesStatus>,
    /// The category that messages with the template count as. WhatsApp's word wins over the spec's. Where it differs
    /// between languages or accounts, the most restricted one counts for all: MARKETING before UTILITY before
    /// AUTHENTICATION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<TemplateCategory>,
    /// The revisions of each language at each provider account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["account".into(), "language".into()]))]
    pub locations: Vec<TemplateLocationStatus>,
    /// The contents of the revisions named above; the spec holds only the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub revisions: Vec<RevisionContent>,
}

impl Default for MessageTemplateStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            last_handled_reconcile_at: None,
            data_plane: None,
            approval: None,
            languages: None,
            category: None,
            locations: Vec::new(),
            revisions: Vec::new(),
        }
    }
}

/// Languages whose newest revision is approved in every account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LanguagesStatus {
    pub approved: i32,
    pub total: i32,
    /// Both, such as `1/2`.
    pub summary: String,
}

impl LanguagesStatus {
    pub fn new(approved: i32, total: i32) -> Self {
        Self { approved, total, summary: format!("{approved}/{total}") }
    }
}

/// The revisions of one language at one provider account. A language moves to its newest revision once every account
/// has approved it; until then the older one keeps serving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateLocationStatus {
    /// The provider account, such as `AC…` at Twilio.
    pub account: String,
    pub language: String,
    /// The approved revision that messages are sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<RevisionStatus>,
    /// The revision of the current spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<RevisionStatus>,
    /// Adopted templates that are no longer used, and are deleted once no replica sends with them, because an
    /// annotation handed them over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub retiring: Vec<TemplateHandle>,
}

/// A revision at a provider account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Its name, made from this object and the revision's content. An adopted one has another name at the provider.
    pub name: String,
    /// The provider's handle, such as `HX…` at Twilio; absent while it is being created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub handle: Option<TemplateHandle>,
    pub state: RevisionState,
    /// Whether this object created it. Its name at the provider proves that, so this is right again after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<RevisionOrigin>,
    /// Why it was rejected, paused or disabled, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The category that WhatsApp assigned. Absent before it is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<TemplateCategory>,
    /// When the operator last began to create or submit it. The operator waits for the outcome before it tries again,
    /// because the provider's list of templates may lag behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_action_at: Option<Time>,
}

/// Who made a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RevisionOrigin {
    /// The operator created it for this object.
    Created,
    /// It was there: made by other means, or left by an earlier object.
    Adopted,
}

/// The state of a revision's review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RevisionState {
    /// It is approved, and may be sent.
    Approved,
    /// It is under review.
    Pending,
    /// It exists at the provider, and has not been submitted for review yet.
    Unsubmitted,
    /// It is being created at the provider.
    Creating,
    /// The provider reported a state that this version does not know.
    Unknown,
    /// WhatsApp paused it for a time, because of its quality.
    Paused,
    /// WhatsApp disabled it for good.
    Disabled,
    /// WhatsApp rejected it.
    Rejected,
}

impl RevisionState {
    pub const ALL: [Self; 8] = [
        Self::Approved,
        Self::Pending,
        Self::Unsubmitted,
        Self::Creating,
        Self::Unknown,
        Self::Paused,
        Self::Disabled,
        Self::Rejected,
    ];

    /// As the status shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Pending => "Pending",
            Self::Unsubmitted => "Unsubmitted",
            Self::Creating => "Creating",
            Self::Unknown => "Unknown",
            Self::Paused => "Paused",
            Self::Disabled => "Disabled",
            Self::Rejected => "Rejected",
        }
    }
}

/// The contents of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionContent {
    /// The revision's name at the provider.
    pub name: String,
    /// The category that it was submitted in.
    pub category: TemplateCategory,
    /// Keys of the variables that a message must give values for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    pub content: Localization,
}
