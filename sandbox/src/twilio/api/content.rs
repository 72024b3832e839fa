//! Contents: create, change until submitted, list and filter.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use super::{call::Call, pages};
use crate::{
    http::{Answer, Pairs},
    ids,
    twilio::{
        content_types,
        desk::Desk,
        errors::{ApiError, Outcome},
        state::{State, contents::Content},
    },
};

const MOST_VARIABLES: usize = 100;

pub(crate) fn create(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let body = call.json_object()?;
    let types = content_types::check(body.get("types"))?;
    let language = language(body.get("language"))?
        .ok_or_else(|| ApiError::invalid(92003, "'language' parameter required, such as en or pt_BR"))?;
    let content = Content {
        sid: ids::sid(&mut desk.world.rng, "HX"),
        account: call.account.to_owned(),
        friendly_name: body.get("friendly_name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        language,
        variables: variables(body.get("variables"))?.unwrap_or_default(),
        types,
        approval: None,
        created: now,
        updated: now,
        number: desk.state.contents.values().map(|content| content.number + 1).max().unwrap_or(0),
    };
    let rendered = content.render(&call.request.base);
    desk.state.contents.insert(content.sid.clone(), content);
    Ok(Answer::json(StatusCode::CREATED, &rendered))
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    Ok(Answer::json(StatusCode::OK, &find(desk.state, call)?.render(&call.request.base)))
}

/// Changes a content that was never submitted.
pub(crate) fn update(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let now = desk.world.now();
    let content = find(desk.state, call)?;
    if content.approval.is_some() {
        return Err(already_submitted());
    }
    let body = call.json_object()?;
    let types = content_types::check(body.get("types"))?;
    let (language, variables) = (language(body.get("language"))?, variables(body.get("variables"))?);
    content.types = types;
    if let Some(language) = language {
        content.language = language;
    }
    if let Some(variables) = variables {
        content.variables = variables;
    }
    if let Some(name) = body.get("friendly_name").and_then(Value::as_str) {
        content.friendly_name = name.to_owned();
    }
    content.updated = now;
    Ok(Answer::json(StatusCode::OK, &content.render(&call.request.base)))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let sid = find(desk.state, call)?.sid.clone();
    desk.state.contents.remove(&sid);
    Ok(Answer::no_content())
}

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let contents = filtered(desk.state, call)?;
    let render = |content: &Content| content.render(&call.request.base);
    pages::absolute(call.request, "contents", contents, 50, |content| &content.sid, render)
}

pub(crate) fn list_with_approvals(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let contents = filtered(desk.state, call)?;
    pages::absolute(call.request, "contents", contents, 50, |content| &content.sid, Content::with_approval)
}

/// Legacy templates, from before contents existed: none.
pub(crate) fn list_legacy(_desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    pages::absolute(call.request, "contents", Vec::<Value>::new(), 50, |_| "", |content| content)
}

pub(crate) fn find<'s>(state: &'s mut State, call: &Call<'_>) -> Result<&'s mut Content, ApiError> {
    find_in(&mut state.contents, call)
}

pub(crate) fn find_in<'s>(
    contents: &'s mut BTreeMap<String, Content>,
    call: &Call<'_>,
) -> Result<&'s mut Content, ApiError> {
    let content = contents.get_mut(call.id(0)).filter(|content| content.account == call.account);
    content.ok_or_else(|| ApiError::not_found(&call.request.path))
}

pub(crate) fn already_submitted() -> ApiError {
    let message = "The template of this SID was already submitted for approval: create a new one to change anything";
    ApiError::invalid(92009, message)
}

/// The account's contents that match the query's filters, in the requested order.
fn filtered<'s>(state: &'s State, call: &Call<'_>) -> Result<Vec<&'s Content>, ApiError> {
    let query = &call.request.query;
    let mut contents: Vec<&Content> =
        state.contents.values().filter(|content| content.account == call.account).collect();
    contents.sort_by_key(|content| std::cmp::Reverse(content.number));
    if call.request.path.starts_with("/v1/") {
        return Ok(contents);
    }
    let name = pattern(query, "ContentName")?;
    let text = pattern(query, "Content")?;
    let after = timestamp(query, "DateCreatedAfter")?;
    let before = timestamp(query, "DateCreatedBefore")?;
    let (languages, kinds) = (query.all("Language"), query.all("ContentType"));
    let eligibility = query.all("ChannelEligibility");
    contents.retain(|content| {
        let status = content.approval.as_ref().map_or("unsubmitted", |approval| &approval.status);
        name.as_ref().is_none_or(|name| name.is_match(&content.friendly_name))
            && text.as_ref().is_none_or(|text| text.is_match(content_types::text(&content.types)))
            && after.is_none_or(|after| content.created > after)
            && before.is_none_or(|before| content.created < before)
            && (languages.is_empty() || languages.contains(&content.language))
            && (kinds.is_empty() || kinds.iter().any(|kind| content.types.contains_key(kind)))
            && (eligibility.is_empty()
                || eligibility.iter().any(|wanted| {
                    wanted.strip_prefix("whatsapp:").is_some_and(|wanted| wanted.eq_ignore_ascii_case(status))
                }))
    });
    let ascending = |name: &str| query.text(name).map(|order| order.eq_ignore_ascii_case("asc"));
    if let Some(ascending) = ascending("SortByContentName") {
        contents.sort_by(|a, b| a.friendly_name.cmp(&b.friendly_name));
        if !ascending {
            contents.reverse();
        }
    } else if ascending("SortByDate") == Some(true) {
        contents.reverse();
    }
    Ok(contents)
}

fn pattern(query: &Pairs, name: &str) -> Result<Option<Regex>, ApiError> {
    let regex = query.text(name).map(Regex::new).transpose();
    regex.map_err(|_| ApiError::invalid(20001, format!("{name} must be a regular expression")))
}

fn timestamp(query: &Pairs, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let at = query.text(name).map(str::parse).transpose();
    at.map_err(|_| ApiError::invalid(20001, format!("{name} must be a date and time such as 2026-01-31T00:00:00Z")))
}

fn language(value: Option<&Value>) -> Result<Option<String>, ApiError> {
    let Some(language) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let well_formed = |language: &&str| {
        let (code, country) = language.split_once('_').unwrap_or((language, "XX"));
        (2..=3).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_lowercase())
            && (2..=4).contains(&country.len())
            && country.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    match language.as_str().filter(well_formed) {
        Some(language) => Ok(Some(language.to_owned())),
        None => {
            Err(ApiError::invalid(92004, format!("Invalid language code {language}, expected such as en or pt_BR")))
        }
    }
}

fn variables(value: Option<&Value>) -> Result<Option<Map<String, Value>>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(variables)) if variables.len() <= MOST_VARIABLES => Ok(Some(variables.clone())),
        Some(Value::Object(_)) => {
            Err(ApiError::invalid(92002, format!("The 'variables' parameter has more than {MOST_VARIABLES} entries")))
        }
        Some(_) => Err(ApiError::invalid(92007, "'variables' must be an object of sample values")),
    }
}
