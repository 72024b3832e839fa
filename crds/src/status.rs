//! What the kinds' specs and statuses have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MessageTemplateStatus, RoutingPolicyStatus, WhatsAppSenderStatus};

/// A status with conditions, as every kind's is.
pub trait Conditions {
    fn conditions(&self) -> &[Condition];
}

impl Conditions for WhatsAppSenderStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditions for MessageTemplateStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl Conditions for RoutingPolicyStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// What happens at the provider when the object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Leave everything at the provider as it is.
    Retain,
    /// Remove it from the provider.
    Delete,
}

/// How many data-plane replicas run the newest config of this object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPlaneStatus {
    /// Replicas that run the newest config.
    pub ready: i32,
    /// Replicas that are alive.
    pub total: i32,
    /// Both, such as `2/2`.
    pub summary: String,
}

impl DataPlaneStatus {
    pub fn new(ready: i32, total: i32) -> Self {
        Self { ready, total, summary: format!("{ready}/{total}") }
    }
}

/// The `observedGeneration` of an object before its first reconcile, so that kstatus does not read it as current.
pub(crate) const NEVER_OBSERVED: i64 = -1;

pub(crate) fn never_observed() -> i64 {
    NEVER_OBSERVED
}
