//! Submitting a content to WhatsApp, and looking at what became of it.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call, content,
    errors::{ApiError, Outcome},
    review::{self, Verdict},
};
use crate::{
    http::Answer,
    world::{Step, World},
};

const CATEGORIES: [&str; 3] = ["UTILITY", "MARKETING", "AUTHENTICATION"];

#[derive(Debug, Clone)]
pub(crate) struct Approval {
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) content_type: String,
    /// Lower case: received, pending, approved, rejected, paused, disabled, or whatever a test wants seen.
    pub(crate) status: String,
    pub(crate) rejection_reason: String,
    pub(crate) allow_category_change: bool,
    /// What the review will come to; absent once it has, or if it never will.
    pub(crate) verdict: Option<Verdict>,
}

impl Approval {
    pub(crate) fn render(&self) -> Value {
        json!({
            "name": self.name,
            "category": self.category,
            "content_type": self.content_type,
            "status": self.status,
            "rejection_reason": self.rejection_reason,
            "allow_category_change": self.allow_category_change,
        })
    }

    /// How a content that was never submitted looks.
    pub(crate) fn none() -> Value {
        json!({
            "name": "",
            "category": "",
            "content_type": "",
            "status": "unsubmitted",
            "rejection_reason": "",
            "allow_category_change": true,
        })
    }
}

pub(crate) fn submit(world: &mut World, call: &Call<'_>) -> Outcome {
    let delay = world.config.delays.review;
    let body = content::json_object(call)?;
    let content = content::find(&mut world.twilio, call)?;
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
    let verdict = review::decide(&world.reviews, content, &approval);
    let delay = verdict.delay.unwrap_or(delay);
    let approval = Approval { verdict: Some(verdict), ..approval };
    let rendered = approval.render();
    content.approval = Some(approval);
    let sid = content.sid.clone();
    // Half the time received, half the time pending.
    world.after(delay / 2, Step::Review(sid.clone()));
    world.after(delay, Step::Review(sid));
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn fetch(world: &mut World, call: &Call<'_>) -> Outcome {
    let content = content::find(&mut world.twilio, call)?;
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
