//! Monitor v1: alerts, the newest first.

use http::StatusCode;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{call::Call, pages};
use crate::{
    http::Answer,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::alerts::Alert,
    },
};

const PAGE_SIZE: usize = 50;

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let query = &call.request.query;
    let time = |name: &str| query.text(name).map(|text| parse(name, text)).transpose();
    let (start, end) = (time("StartDate")?, time("EndDate")?);
    let wanted = |alert: &&Alert| {
        alert.new.account == call.account
            && query.text("LogLevel").is_none_or(|level| alert.new.log_level == level)
            && start.is_none_or(|start| alert.at >= start)
            && end.is_none_or(|end| alert.at <= end)
    };
    let alerts = desk.state.alerts.iter().rev().filter(wanted).collect();
    let render = |alert: &Alert| alert.render(&call.request.base);
    pages::absolute(call.request, "alerts", alerts, PAGE_SIZE, |alert| &alert.sid, render)
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let mut alerts = desk.state.alerts.iter();
    let alert = alerts.find(|alert| alert.sid == call.id(0) && alert.new.account == call.account);
    let alert = alert.ok_or_else(|| ApiError::not_found(&call.request.path))?;
    Ok(Answer::json(StatusCode::OK, &alert.render_whole(&call.request.base)))
}

/// A time, or a day, which begins at midnight.
fn parse(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let invalid = || ApiError::invalid(20001, format!("{name} must be such as 2026-01-31 or 2026-01-31T09:00:00Z"));
    text.parse().ok().or_else(day).ok_or_else(invalid)
}
