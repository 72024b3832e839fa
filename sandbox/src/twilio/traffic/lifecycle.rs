//! What happens to a message next. [`next`] decides and is pure; [`advance`] gathers the facts and applies the
//! decision.

use jiff::Timestamp;

use super::callbacks;
use crate::{
    address,
    twilio::{
        content_types::Session,
        desk::Desk,
        state::{
            Step,
            contents::{ApprovalState, Content},
            messages::{Message, Status},
        },
    },
    world::customers::Customer,
};

/// What a message's next status depends on, besides the message.
pub(crate) struct Facts<'f> {
    pub(crate) customer: &'f Customer,
    /// The sender is Twilio's Sandbox, and the customer has not joined it.
    pub(crate) is_outsider: bool,
    /// The customer wrote to this sender within 24 hours.
    pub(crate) window_open: bool,
    pub(crate) template: Template,
    /// The sender that the messaging service would choose, or the message's own.
    pub(crate) sender: Option<String>,
}

/// What is known about a message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    /// The message has no template: it is free text or media.
    None,
    /// The template was deleted meanwhile.
    Missing,
    Known {
        approval: ApprovalState,
        session: Session,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Become(Status),
    End(Status, i64),
    /// Nothing happens by itself.
    Rest,
}

/// Decides the next step. Statuses only move forward.
pub(crate) fn next(message: &Message, facts: &Facts<'_>, now: Timestamp) -> Next {
    match message.status {
        Status::Accepted | Status::Scheduled if facts.sender.is_none() => Next::End(Status::Failed, 21704),
        Status::Accepted | Status::Scheduled => Next::Become(Status::Queued),
        Status::Queued => leave(message, facts, now),
        Status::Sent => arrive(message, facts),
        Status::Delivered if facts.customer.reads && address::is_whatsapp(&message.to) => Next::Become(Status::Read),
        _ => Next::Rest,
    }
}

/// The checks of Twilio and Meta before a message is sent.
fn leave(message: &Message, facts: &Facts<'_>, now: Timestamp) -> Next {
    if message.expires.is_some_and(|expires| now > expires) {
        return Next::End(Status::Failed, 30036);
    }
    if !address::is_whatsapp(&message.to) {
        return Next::Become(Status::Sent);
    }
    if facts.is_outsider {
        return Next::End(Status::Failed, 63015);
    }
    if let Some(code) = template_problem(facts) {
        return Next::End(Status::Failed, code);
    }
    if let Some(code) = message.content.as_ref().and_then(|content| content.problem) {
        return Next::End(Status::Failed, code);
    }
    Next::Become(Status::Sent)
}

/// Why a message with this content may not be sent now.
fn template_problem(facts: &Facts<'_>) -> Option<i64> {
    let outside = (!facts.window_open).then_some(63016);
    match facts.template {
        Template::None => outside,
        Template::Missing => Some(63027),
        Template::Known { approval, session } => match (approval, session) {
            (ApprovalState::Paused, _) => Some(63041),
            (ApprovalState::Disabled, _) => Some(63042),
            (ApprovalState::Approved, Session::TemplateOrFree | Session::TemplateOnly) => None,
            (_, Session::TemplateOnly) => Some(63016),
            (_, Session::FreeOnly | Session::TemplateOrFree) => outside,
        },
    }
}

/// What happens to a sent message at the recipient.
fn arrive(message: &Message, facts: &Facts<'_>) -> Next {
    let customer = facts.customer;
    let blocked = message.from.as_deref().is_some_and(|from| customer.has_blocked(address::bare(from)));
    if !address::is_whatsapp(&message.to) {
        return Next::Become(Status::Delivered);
    }
    if !customer.on_whatsapp {
        Next::End(Status::Undelivered, 63024)
    } else if customer.in_experiment {
        Next::End(Status::Undelivered, 63032)
    } else if let Some(code) = customer.fails_with {
        Next::End(Status::Undelivered, code)
    } else if blocked || !customer.reachable {
        // Meta does not report a block: the message stays `sent` forever.
        Next::Rest
    } else {
        Next::Become(Status::Delivered)
    }
}

/// Takes a message one step further, reports it, and schedules the step after.
pub(crate) fn advance(desk: &mut Desk<'_>, sid: &str) {
    let now = desk.world.now();
    let Some(message) = desk.state.messages.get(sid) else { return };
    let sender = message.from.clone().or_else(|| {
        let service = desk.state.services.get(message.service.as_deref()?)?;
        desk.state.choose_sender(service, &message.to)
    });
    let try_out = sender.as_deref().and_then(|from| desk.state.sender_at(&message.account, from)?.try_out.as_ref());
    let is_outsider = try_out.is_some_and(|try_out| !try_out.has_joined(address::bare(&message.to), now));
    let facts = Facts {
        is_outsider,
        customer: desk.world.customers.of(&message.to),
        window_open: sender.as_deref().is_some_and(|from| desk.world.customers.window_open(&message.to, from, now)),
        template: template(message, |sid| desk.state.contents.get(sid)),
        sender,
    };
    let next = next(message, &facts, now);
    let sender = facts.sender;
    let Some(message) = desk.state.messages.get_mut(sid) else { return };
    let (status, error_code) = match next {
        Next::Rest => return,
        Next::Become(status) => (status, None),
        Next::End(status, code) => (status, Some(code)),
    };
    message.from = message.from.take().or(sender);
    message.error_code = error_code;
    message.becomes(status, now);
    callbacks::report(desk, sid);
    if error_code.is_none() {
        desk.after(desk.world.delays.status, Step::Advance(sid.to_owned()));
    }
}

fn template<'c>(message: &Message, content: impl Fn(&str) -> Option<&'c Content>) -> Template {
    match &message.content {
        None => Template::None,
        Some(used) => content(&used.sid).map_or(Template::Missing, |content| Template::Known {
            approval: content.approval_state(),
            session: content.session(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::state::messages::ContentUse;

    fn message(status: Status, with_content: bool) -> Message {
        let now = Timestamp::UNIX_EPOCH;
        Message {
            sid: "SM1".to_owned(),
            account: "AC1".to_owned(),
            service: None,
            direction: "outbound-api",
            from: Some("whatsapp:+14155238886".to_owned()),
            to: "whatsapp:+447700900123".to_owned(),
            body: String::new(),
            media: Vec::new(),
            content: with_content.then(|| ContentUse {
                sid: "HX1".to_owned(),
                variables: std::collections::BTreeMap::new(),
                problem: None,
            }),
            status,
            error_code: None,
            status_callback: None,
            created: now,
            updated: now,
            sent: None,
            expires: None,
            history: Vec::new(),
            deleted: false,
        }
    }

    fn decide(message: &Message, customer: &Customer, window_open: bool, template: Template) -> Next {
        let facts = Facts { is_outsider: false, customer, window_open, template, sender: message.from.clone() };
        next(message, &facts, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn free_text_leaves_only_inside_the_window() {
        let queued = message(Status::Queued, false);
        let customer = Customer::default();
        assert_eq!(decide(&queued, &customer, true, Template::None), Next::Become(Status::Sent));
        assert_eq!(decide(&queued, &customer, false, Template::None), Next::End(Status::Failed, 63016));
    }

    #[test]
    fn a_template_leaves_outside_the_window_once_it_is_approved() {
        let queued = message(Status::Queued, true);
        let customer = Customer::default();
        let with = |approval| Template::Known { approval, session: Session::TemplateOrFree };
        let outcome = |approval| decide(&queued, &customer, false, with(approval));
        assert_eq!(outcome(ApprovalState::Approved), Next::Become(Status::Sent));
        assert_eq!(outcome(ApprovalState::Unapproved), Next::End(Status::Failed, 63016));
        assert_eq!(outcome(ApprovalState::Paused), Next::End(Status::Failed, 63041));
        assert_eq!(outcome(ApprovalState::Disabled), Next::End(Status::Failed, 63042));
        assert_eq!(decide(&queued, &customer, false, Template::Missing), Next::End(Status::Failed, 63027));
    }

    #[test]
    fn a_message_to_a_customer_who_blocked_the_sender_stays_sent() {
        let sent = message(Status::Sent, false);
        let mut customer = Customer::default();
        assert_eq!(decide(&sent, &customer, true, Template::None), Next::Become(Status::Delivered));
        customer.block("+14155238886", false);
        assert_eq!(decide(&sent, &customer, true, Template::None), Next::Rest);
    }

    #[test]
    fn an_expired_message_is_not_sent() {
        let mut queued = message(Status::Queued, false);
        queued.expires = Some(Timestamp::from_second(-1).unwrap());
        assert_eq!(decide(&queued, &Customer::default(), true, Template::None), Next::End(Status::Failed, 30036));
    }
}
