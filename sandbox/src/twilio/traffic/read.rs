//! Customers read what was delivered.

use super::callbacks;
use crate::{
    address,
    twilio::{desk::Desk, state::messages::Status},
};

/// Marks the messages that the customer reads as `read` and reports them. Returns their number.
pub(crate) fn read_by_customer(desk: &mut Desk<'_>, customer: &str, only: Option<&str>) -> usize {
    let now = desk.world.now();
    let customer = desk.world.customers.of(customer).clone();
    let is_theirs = |to: &str| {
        let bare = address::bare(to);
        customer.phone_number.as_deref() == Some(bare) || customer.external_user_id.as_deref() == Some(bare)
    };
    let unread: Vec<String> = desk
        .state
        .messages
        .oldest_first()
        .filter(|message| message.status == Status::Delivered && address::is_whatsapp(&message.to))
        .filter(|message| is_theirs(&message.to) && only.is_none_or(|sid| message.sid == sid))
        .map(|message| message.sid.clone())
        .collect();
    for sid in &unread {
        if let Some(message) = desk.state.messages.get_mut(sid) {
            message.becomes(Status::Read, now);
        }
        callbacks::report(desk, sid);
    }
    unread.len()
}
