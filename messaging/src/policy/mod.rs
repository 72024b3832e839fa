//! Whether a message may be sent. Checked when it is accepted and again when it is dispatched.
//!
//! [`CHECKS`] lists every rule, in the order in which reasons are reported. A paused sender is not a reason: it defers
//! a message ([`SenderConfig::paused`]) and forbids nothing.

use std::time::Duration;

use jiff::Timestamp;

use crate::address::Address;
use crate::clock::after;
use crate::config::SenderConfig;
use crate::contact::{ConsentStatus, ContactState, SuppressionReason};
use crate::content::OutboundContent;
use crate::id::TemplateName;
use crate::provider::{ProviderLimits, RenderedContent};
use crate::refusal::{Refusal, RefusalCode};
use crate::template::{self, ResolvedTemplate};
use crate::template::{TemplateCategory, TemplateConfig};
use crate::text;
use crate::window::Window;

/// A message that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct SendIntent<'a> {
    pub to: &'a Address,
    pub content: &'a OutboundContent,
    pub purpose: Purpose,
    /// It leaves no earlier than this, so a future time is the one that policy is checked for.
    pub not_before: Option<Timestamp>,
    /// It must have left before this.
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What a tenant sends.
    Message,
    /// Our single reply to a stop or start keyword. Inside the window it may go to a contact who just opted out.
    KeywordReply,
}

/// A message that may be sent, with every reference resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// What to hand to the provider.
    pub content: RenderedContent,
    /// Of a template.
    pub category: Option<TemplateCategory>,
}

/// Every check, in order; the first that objects gives the reason.
pub const CHECKS: &[Check] = &[
    is_not_suppressed,
    has_consent,
    has_text_that_fits,
    is_in_the_window_or_a_template,
    names_a_template_that_may_be_sent,
    has_a_phone_number_if_the_template_needs_one,
    has_values_that_fit,
    is_not_expired,
];

/// A check objects or passes. Passing never overrides a later check.
pub type Check = fn(&Question<'_>) -> Result<(), Refusal>;

/// Everything that a check may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    intent: &'a SendIntent<'a>,
    contact: &'a ContactState,
    sender: &'a SenderConfig,
    limits: ProviderLimits,
    template: Option<&'a TemplateConfig>,
    /// The earliest moment at which the message can leave.
    leaves_at: Timestamp,
}

/// Whether the message may be sent through this sender, whose provider has these limits, to this contact. `template` is
/// the tenant's template that the content names, if there is one.
pub fn check(
    intent: &SendIntent<'_>,
    contact: &ContactState,
    sender: &SenderConfig,
    limits: ProviderLimits,
    template: Option<&TemplateConfig>,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    let leaves_at = intent.not_before.map_or(now, |at| at.max(now));
    let question = Question { intent, contact, sender, limits, template, leaves_at };
    CHECKS.iter().try_for_each(|check| check(&question))?;

    let content = match intent.content {
        OutboundContent::Text { body } => RenderedContent::Text { body: body.clone() },
        OutboundContent::Media { url, caption } => {
            RenderedContent::Media { url: url.clone(), caption: caption.clone() }
        }
        OutboundContent::Template { name, language, values } => {
            let (_, resolved) = question.resolve(name, language.as_deref())?;
            RenderedContent::Template {
                handle: resolved.handle.to_owned(),
                language: resolved.language.to_owned(),
                values: template::values::used(&resolved, values),
            }
        }
    };
    let category = template.filter(|_| !intent.content.is_free_form()).map(|template| template.category);
    Ok(Permit { content, category })
}

fn is_not_suppressed(q: &Question<'_>) -> Result<(), Refusal> {
    let Some(suppression) = q.contact.suppression(q.leaves_at) else { return Ok(()) };
    if q.intent.purpose == Purpose::KeywordReply && suppression.reason == SuppressionReason::OptedOut {
        return Ok(());
    }
    let (to, reason, at) = (q.intent.to, suppression.reason.as_str(), suppression.at);
    Err(Refusal::new(
        RefusalCode::Suppressed,
        "/to",
        format!("to: {to} is suppressed since {at} ({reason}): {}", suppression.detail),
        match suppression.reason {
            SuppressionReason::OptedOut => {
                "a contact who has not opted out; a start keyword from them, or a later consent, lifts it"
            }
            SuppressionReason::Blocked => {
                "a contact who can be reached; a message from them lifts the suppression, and it lapses after 30 days"
            }
            SuppressionReason::Unreachable => {
                "a contact who can be reached; a message from them lifts the suppression, and it lapses after 7 days"
            }
            SuppressionReason::Manual => "a contact that you have not suppressed",
        },
    ))
}

/// Only a business-initiated message needs consent. A free-form reply inside the window does not, because the customer
/// wrote first. A template does even there, since it is not necessarily a reply.
fn has_consent(q: &Question<'_>) -> Result<(), Refusal> {
    if q.intent.content.is_free_form() {
        return Ok(()); // The window check decides: outside the window nothing free-form passes.
    }
    let to = q.intent.to;
    let record_it = format!("consent that is recorded with its evidence: PUT /v1/contacts/{to}/consent");
    let refuse = |code, detail: String| Err(Refusal::new(code, "/to", format!("to: {detail}"), record_it));
    let Some(consent) = &q.contact.consent else {
        return match q.sender.consent.required {
            true => {
                refuse(RefusalCode::ConsentRequired, format!("{to} has not consented, and this sender requires it"))
            }
            false => Ok(()),
        };
    };
    let given_at = consent.given_at();
    if consent.status == ConsentStatus::Revoked {
        // This holds even where consent is not required: a contact who revoked it does not want messages.
        return refuse(RefusalCode::ConsentRevoked, format!("{to} revoked consent at {given_at}"));
    }
    match q.sender.consent.max_age_seconds {
        Some(seconds) if q.sender.consent.required => {
            let lapses_at = after(given_at, Duration::from_secs(seconds));
            if q.leaves_at < lapses_at {
                return Ok(());
            }
            let detail = format!("the consent of {to} was given at {given_at} and lapsed at {lapses_at}");
            refuse(RefusalCode::ConsentStale, detail)
        }
        _ => Ok(()),
    }
}

fn has_text_that_fits(q: &Question<'_>) -> Result<(), Refusal> {
    let limit = q.limits.text;
    let (pointer, path, text) = match q.intent.content {
        OutboundContent::Text { body } => ("/text/body", "text.body", body.as_str()),
        OutboundContent::Media { caption: Some(caption), .. } => ("/media/caption", "media.caption", caption.as_str()),
        OutboundContent::Media { caption: None, .. } | OutboundContent::Template { .. } => return Ok(()),
    };
    let expected = format!("1 to {limit} characters");
    let length = text.chars().count();
    if text::is_blank(text) {
        return Err(Refusal::new(RefusalCode::TextEmpty, pointer, format!("{path}: there is no text in it"), expected));
    }
    if length > limit {
        let detail = format!("{path}: it has {length} characters");
        return Err(Refusal::new(RefusalCode::TextTooLong, pointer, detail, expected));
    }
    Ok(())
}

fn is_in_the_window_or_a_template(q: &Question<'_>) -> Result<(), Refusal> {
    let (pointer, path) = match q.intent.content {
        OutboundContent::Text { .. } => ("/text", "text"),
        OutboundContent::Media { .. } => ("/media", "media"),
        OutboundContent::Template { .. } => return Ok(()),
    };
    let to = q.intent.to;
    let detail = match q.window() {
        Window::Open { .. } => return Ok(()),
        Window::NeverOpened => format!("{path}: {to} has never written to this sender, so no 24-hour window is open"),
        Window::Closed { closed_at } if q.intent.not_before == Some(q.leaves_at) => {
            format!("{path}: by scheduleAt the 24-hour window with {to} has closed, at {closed_at}")
        }
        Window::Closed { closed_at } => format!("{path}: the 24-hour window with {to} closed at {closed_at}"),
    };
    let expected = "an approved template instead (\"template\": {\"name\": …}), or a message from the contact first";
    Err(Refusal::new(RefusalCode::WindowClosed, pointer, detail, expected))
}

fn names_a_template_that_may_be_sent(q: &Question<'_>) -> Result<(), Refusal> {
    match q.intent.content {
        OutboundContent::Template { name, language, .. } => q.resolve(name, language.as_deref()).map(drop),
        OutboundContent::Text { .. } | OutboundContent::Media { .. } => Ok(()),
    }
}

/// WhatsApp sends one-tap, zero-tap and copy-code authentication templates to phone numbers only.
fn has_a_phone_number_if_the_template_needs_one(q: &Question<'_>) -> Result<(), Refusal> {
    match (q.intent.to, q.intent.content, q.template) {
        (Address::User(id), OutboundContent::Template { name, .. }, Some(template))
            if template.category == TemplateCategory::Authentication =>
        {
            Err(Refusal::new(
                RefusalCode::PhoneNumberRequired,
                "/to",
                format!("to: {id} is a business-scoped user id, and {name} is an authentication template"),
                "a phone number in E.164, such as +447700900123",
            ))
        }
        _ => Ok(()),
    }
}

fn has_values_that_fit(q: &Question<'_>) -> Result<(), Refusal> {
    let OutboundContent::Template { name, language, values } = q.intent.content else { return Ok(()) };
    let (template, resolved) = q.resolve(name, language.as_deref())?;
    template::values::check(template, &resolved, values)
}

fn is_not_expired(q: &Question<'_>) -> Result<(), Refusal> {
    match q.intent.expires_at {
        Some(expires_at) if expires_at <= q.leaves_at => Err(Refusal::new(
            RefusalCode::Expired,
            "/validFor",
            format!("validFor: the message expired at {expires_at} and could leave at {} at the earliest", q.leaves_at),
            "a validity that ends after the message can leave",
        )),
        _ => Ok(()),
    }
}

impl<'a> Question<'a> {
    fn window(&self) -> Window {
        Window::at(self.contact.last_inbound_at, self.leaves_at)
    }

    fn resolve(
        &self,
        name: &TemplateName,
        language: Option<&str>,
    ) -> Result<(&'a TemplateConfig, ResolvedTemplate<'a>), Refusal> {
        let template = self.template.ok_or_else(|| {
            Refusal::new(
                RefusalCode::TemplateUnknown,
                "/template/name",
                format!("template.name: there is no template {name}"),
                "the name of a MessageTemplate in your namespace",
            )
        })?;
        let resolved = template::resolve(template, language, self.sender.provider.account_key())?;
        Ok((template, resolved))
    }
}

#[cfg(test)]
mod tests;
