//! Submits a content to WhatsApp, and reads its approval.

use http::StatusCode;
use serde_json::{Value, json};

use super::{call::Call, content};
use crate::{
    http::Answer,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{Step, approvals::Approval, reviews},
    },
};

const CATEGORIES: [&str; 3] = ["UTILITY", "MARKETING", "AUTHENTICATION"];

pub(crate) fn submit(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let delay = desk.world.delays.review;
    let body = call.json_object()?;
    let content = content::find_in(&mut desk.state.contents, call)?;
    if content.approval.is_some() {
        return Err(content::already_submitted());
    }
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let category = body.get("category").and_then(Value::as_str).unwrap_or_default();
    let well_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 512 || !name.chars().all(well_named) {
        let message = "name must be 1 to 512 lower-case letters, digits and underscores";
        return Err(ApiError::invalid(20001, format!("{message}, not '{name}'")));
    }
    if !CATEGORIES.contains(&category) {
        let known = CATEGORIES.join(", ");
        return Err(ApiError::invalid(20001, format!("category must be one of {known}, not '{category}'")));
    }
    let approval = Approval {
        name: name.to_owned(),
        category: category.to_owned(),
        content_type: content.types.keys().next().cloned().unwrap_or_default(),
        status: "received".to_owned(),
        rejection_reason: String::new(),
        allow_category_change: body.get("allow_category_change").and_then(Value::as_bool).unwrap_or(true),
        verdict: None,
    };
    let verdict = reviews::decide(&desk.state.reviews, content, &approval);
    let delay = verdict.delay.unwrap_or(delay);
    let approval = Approval { verdict: Some(verdict), ..approval };
    let rendered = approval.render();
    content.approval = Some(approval);
    let sid = content.sid.clone();
    // Half of the delay is spent as received, the other half as pending.
    desk.after(delay / 2, Step::Review(sid.clone()));
    desk.after(delay, Step::Review(sid));
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let content = content::find(desk.state, call)?;
    let mut whatsapp = content.approval.as_ref().map_or_else(Approval::none, Approval::render);
    whatsapp["type"] = json!("whatsapp");
    let body = json!({
        "sid": content.sid,
        "account_sid": content.account,
        "whatsapp": whatsapp,
        "url": format!("{}/v1/Content/{}/ApprovalRequests", call.request.base, content.sid),
    });
    Ok(Answer::json(StatusCode::OK, &body))
}
