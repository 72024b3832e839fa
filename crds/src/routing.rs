//! `RoutingPolicy`: which sender, or Messaging Service, a message leaves through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use messaging::address::Country;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::one_of;
use crate::reference::SenderRef;
use crate::status::{DataPlaneStatus, never_observed};

/// Which sender, or Messaging Service, a message leaves through when the application names no sender.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "whatsapp-operator.dev",
    version = "v1alpha1",
    kind = "RoutingPolicy",
    plural = "routingpolicies",
    namespaced,
    category = "whatsapp",
    shortname = "war",
    status = "RoutingPolicyStatus",
    derive = "PartialEq",
    doc = "Which sender, or Messaging Service, a message leaves through, by the recipient's country. It applies to messages that name it, and the policy named default (or the only one) to messages that name neither a sender nor a policy.",
    printcolumn(
        name = "Default",
        type_ = "string",
        json_path = ".status.default",
        description = "The target for countries that have no route of their own"
    ),
    printcolumn(
        name = "Countries",
        type_ = "integer",
        json_path = ".status.countries",
        description = "How many countries have a route of their own"
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
        description = "Data-plane replicas that run this policy's newest config, of those alive"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[x_kube(validation = Rule::new(
        "self.byCountry.all(route, route.countries.all(country, self.byCountry.exists_one(other, country in other.countries)))"
    )
    .message("must name each country once: a country can have one route only")
    .field_path(".byCountry"))]
#[serde(rename_all = "camelCase")]
pub struct RoutingPolicySpec {
    /// The target for countries that have no route of their own.
    pub default: RouteTarget,
    /// Routes by the recipient's country. Each country may be in one route.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub by_country: Vec<CountryRoute>,
}

/// The target for messages to some countries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountryRoute {
    /// Countries by ISO 3166-1 alpha-2 code, such as `GB`.
    #[schemars(length(min = 1, max = 64), inner(length(max = 16)))]
    #[x_kube(
        validation = Rule::new(one_of::each(Country::with_numbers().map(String::from)))
            .message("must be countries by their ISO 3166-1 alpha-2 codes in upper case, such as GB (not UK) or DE"),
        validation = Rule::new("self.all(country, self.exists_one(other, other == country))")
            .message("must name each country once")
    )]
    pub countries: Vec<String>,
    pub to: RouteTarget,
}

/// A sender, or a Messaging Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.messagingServiceSid) != has(self.senderRef)")
    .message("must have exactly one of messagingServiceSid and senderRef"))]
#[serde(rename_all = "camelCase")]
pub struct RouteTarget {
    /// A Twilio Messaging Service of the account of one of this namespace's senders; the service picks the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^MG[0-9a-f]{32}$')")
        .message("must be a Messaging Service SID: MG and 32 lower-case hexadecimal digits"))]
    pub messaging_service_sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_ref: Option<SenderRef>,
}

/// What the operator observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutingPolicyStatus {
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
    /// The default target in short: a sender's name, or a Messaging Service's SID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// How many countries have a route of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<i32>,
    /// The senders whose credentials, limits and suppressions apply to the Messaging Services in the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["messagingServiceSid".into()]))]
    pub services: Vec<ServiceSender>,
}

/// The sender through whose account a Messaging Service is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSender {
    pub messaging_service_sid: String,
    pub sender: String,
}

impl Default for RoutingPolicyStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            last_handled_reconcile_at: None,
            data_plane: None,
            default: None,
            countries: None,
            services: Vec::new(),
        }
    }
}
