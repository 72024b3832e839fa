//! The media of a message: descriptions as JSON, and the bytes.

use http::StatusCode;
use serde_json::{Value, json};

use super::{call::Call, messages, pages};
use crate::{
    clock,
    http::Answer,
    twilio::{
        desk::Desk,
        errors::{ApiError, Outcome},
        state::messages::{Media, Message},
    },
};

pub(crate) fn list(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let message = messages::find(desk.state, call)?.clone();
    let media = message.media.iter().collect();
    pages::relative(call.request, "media_list", media, |media| &media.sid, |media| render(&message, media))
}

pub(crate) fn fetch(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let message = messages::find(desk.state, call)?;
    Ok(Answer::json(StatusCode::OK, &render(message, find(message, call)?)))
}

pub(crate) fn download(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let message = messages::find(desk.state, call)?;
    let media = find(message, call)?;
    Ok(Answer::bytes(StatusCode::OK, &media.content_type, media.data.clone()))
}

pub(crate) fn delete(desk: &mut Desk<'_>, call: &Call<'_>) -> Outcome {
    let message = messages::find(desk.state, call)?;
    find(message, call)?;
    message.media.retain(|media| media.sid != call.id(1));
    Ok(Answer::no_content())
}

fn find<'m>(message: &'m Message, call: &Call<'_>) -> Result<&'m Media, ApiError> {
    let media = message.media.iter().find(|media| media.sid == call.id(1));
    media.ok_or_else(|| ApiError::not_found(&call.request.path))
}

fn render(message: &Message, media: &Media) -> Value {
    let created = clock::rfc2822(media.created);
    json!({
        "account_sid": message.account,
        "content_type": media.content_type,
        "date_created": created,
        "date_updated": created,
        "parent_sid": message.sid,
        "sid": media.sid,
        "uri": message.uri(&format!("/Media/{}", media.sid)),
    })
}
