//! Operators list, place and lift holds.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use messaging::id::{SenderName, TenantId};
use serde::{Deserialize, Serialize};

use super::AdminContext;
use crate::requests::body;
use crate::requests::fields::{Errors, Fields};
use crate::requests::problem::Problem;
use crate::store::hold::{Hold, HoldKind, LiftHold, Scope};

/// A hold, as operators see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HoldView {
    tenant: TenantId,
    /// `tenant`, `sender/…`, `template/…` or `sink/…/…`: what `DELETE …/holds/{kind}/{scope}` takes.
    scope: String,
    kind: HoldKind,
    /// Absent on a hold that lasts until it is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    reason: String,
    created_at: Timestamp,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        Self {
            tenant: hold.tenant.clone(),
            scope: hold.scope.to_string(),
            kind: hold.kind,
            until: (!hold.lasts_until_lifted()).then_some(hold.until),
            reason: hold.reason.clone(),
            created_at: hold.created_at,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct HoldList {
    items: Vec<HoldView>,
}

/// A tenant or one of its senders, as a path names it.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    tenant: String,
    sender: Option<String>,
    kind: Option<String>,
}

impl Named {
    pub(super) fn read(self) -> Result<Target, Problem> {
        let nothing = |error: messaging::id::InvalidName| no_such(error.to_string());
        let tenant = TenantId::new(self.tenant).map_err(nothing)?;
        let sender = self.sender.map(SenderName::new).transpose().map_err(nothing)?;
        Ok(Target { tenant, sender })
    }
}

/// What a request applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tenant: TenantId,
    /// `None` for all senders of the tenant.
    pub(super) sender: Option<SenderName>,
}

impl Target {
    fn scope(&self) -> Scope {
        self.sender.clone().map_or(Scope::Tenant, Scope::Sender)
    }

    /// Refuses a mistyped name: a hold on it would seem to be in force, and hold nothing.
    fn check_is_configured(&self, context: &AdminContext) -> Result<(), Problem> {
        let Target { tenant, sender } = self;
        if !context.shared.configs.is_ready() {
            return Err(Problem::try_again("the tenants' configs are not loaded yet"));
        }
        let Some(config) = context.shared.configs.get(tenant) else {
            return Err(no_such(format!("there is no tenant {tenant} with a config that is served")));
        };
        match sender {
            Some(sender) if config.sender(sender).is_none() => {
                let known: Vec<_> = config.config.senders.keys().map(SenderName::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(no_such(format!("the tenant {tenant} has no sender {sender}; expected one of: {known}")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn no_such(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

/// The kind that a path names. Operators pause and drain; the other kinds are placed by workers.
fn kind_of_path(kind: Option<&str>) -> Result<HoldKind, Problem> {
    let kind = kind.unwrap_or_default();
    let parsed = kind.parse().ok().filter(|kind: &HoldKind| kind.is_of_a_person());
    parsed.ok_or_else(|| no_such(format!("{kind:?} is not an action here; expected pause, drain or purge")))
}

/// Reads a body whose fields are all optional; no body is the same as an empty object.
pub(super) async fn read_optional(headers: &HeaderMap, body: Body) -> Result<serde_json::Value, Problem> {
    let body = body::read(body, body::LIMIT).await?;
    if body.is_empty() {
        return Ok(serde_json::json!({}));
    }
    body::check_is_json(headers)?;
    body::json(&body)
}

/// Until when, and why.
#[derive(Debug, PartialEq, Eq)]
struct HoldRequest {
    until: Timestamp,
    reason: String,
}

impl HoldRequest {
    fn read(body: serde_json::Value, now: Timestamp) -> Result<Self, Errors> {
        let mut errors = Errors::new();
        let Some(mut fields) = Fields::of("", body, &mut errors) else { return Err(errors) };
        let until = fields.parsed(
            "until",
            "a future time in RFC 3339, such as 2026-12-01T09:00:00Z; or nothing, for a hold until it is lifted",
            |text| text.parse().ok().filter(|until| *until > now),
            &mut errors,
        );
        let reason = fields.said("reason", "why, in a sentence; or nothing", &mut errors);
        fields.finish(&mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            until: until.unwrap_or(Timestamp::MAX),
            reason: reason.unwrap_or_else(|| "an operator asked for it".to_owned()),
        })
    }
}

pub(super) async fn list(State(context): State<Arc<AdminContext>>) -> Result<Json<HoldList>, Problem> {
    let now = context.shared.clock.now();
    let mut holds = context.shared.store.holds(now).await?;
    holds.extend(context.brakes.away(&context.shared.configs, now).into_iter().map(|away| {
        Hold {
            tenant: away.tenant,
            scope: Scope::Sender(away.sender),
            kind: HoldKind::Breaker,
            until: away.until,
            reason:
                "its provider does not answer this replica; it is asked again then, and messages leave once it answers"
                    .into(),
            created_at: away.since,
        }
    }));
    holds.sort_by(|a, b| (&a.tenant, &a.scope, a.kind).cmp(&(&b.tenant, &b.scope, b.kind)));
    Ok(Json(HoldList { items: holds.iter().map(HoldView::from).collect() }))
}

/// Pauses or drains. Replaces an earlier hold of the same kind.
pub(super) async fn put(
    State(context): State<Arc<AdminContext>>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<HoldView>, Problem> {
    let kind = kind_of_path(named.kind.as_deref())?;
    let target = named.read()?;
    let now = context.shared.clock.now();
    let body = read_optional(&headers, body).await?;
    let HoldRequest { until, reason } = HoldRequest::read(body, now).map_err(Problem::invalid)?;
    target.check_is_configured(&context)?;
    let hold = Hold { tenant: target.tenant.clone(), scope: target.scope(), kind, until, reason, created_at: now };
    context.shared.holds.put(hold.clone()).await?;
    tracing::warn!(tenant = %hold.tenant, scope = %hold.scope, kind = kind.as_str(), %until, reason = hold.reason, "an operator placed a hold");
    Ok(Json(HoldView::from(&hold)))
}

/// Lifts a pause or a drain. Without one it succeeds too: the result is the same.
pub(super) async fn lift(
    State(context): State<Arc<AdminContext>>,
    Path(named): Path<Named>,
) -> Result<StatusCode, Problem> {
    let kind = kind_of_path(named.kind.as_deref())?;
    let target = named.read()?;
    lift_hold(&context, LiftHold { scope: target.scope(), tenant: target.tenant, kind }).await
}

/// Lifts a hold of any kind, named as in the list.
pub(super) async fn lift_any(
    State(context): State<Arc<AdminContext>>,
    Path((tenant, kind, scope)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let tenant = TenantId::new(tenant).map_err(|error| no_such(error.to_string()))?;
    let kind = kind.parse().map_err(|error: String| no_such(error))?;
    let scope = scope.parse().map_err(|error: String| no_such(error))?;
    lift_hold(&context, LiftHold { tenant, scope, kind }).await
}

async fn lift_hold(context: &AdminContext, lift: LiftHold) -> Result<StatusCode, Problem> {
    let LiftHold { tenant, scope, kind } = lift.clone();
    if context.shared.holds.lift(lift).await? {
        tracing::warn!(%tenant, %scope, kind = kind.as_str(), "an operator lifted a hold");
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_hold_without_a_time_lasts_until_it_is_lifted() {
        let request = HoldRequest::read(json!({}), now()).unwrap();
        assert_eq!(request.until, Timestamp::MAX);
        assert!(!request.reason.is_empty());
    }

    #[test]
    fn every_fault_of_a_hold_is_reported() {
        for reason in [json!(1), json!(" \u{200b}")] {
            let body = json!({ "until": "2026-11-01T12:00:00Z", "reason": reason, "untill": "x" });
            let errors = HoldRequest::read(body, now()).unwrap_err();
            let pointers: Vec<_> = errors.iter().filter_map(|error| error.pointer.as_deref()).collect();
            assert_eq!(pointers, ["/until", "/reason", "/untill"]);
        }
    }

    #[test]
    fn an_operator_cannot_place_a_breaker() {
        assert_eq!(kind_of_path(Some("drain")).unwrap(), HoldKind::Drain);
        for kind in [Some("breaker"), Some("gone"), Some("purge"), Some(""), None] {
            assert_eq!(kind_of_path(kind).unwrap_err().status(), StatusCode::NOT_FOUND);
        }
    }
}
