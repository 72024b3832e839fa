use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::clock::tests::at;
use crate::config::{ConsentConfig, ProviderAccount, TwilioAccount};
use crate::contact::{ConsentRecord, Evidence, Suppression};
use crate::id::TemplateName;
use crate::lifecycle::MessageStatus;
use crate::rate::Rate;
use crate::secret::Secret;
use crate::template::{AccountTemplate, Approval, LocalizationConfig, LocalizedContent};

const DAY: i64 = 24 * 60 * 60;

fn limits() -> ProviderLimits {
    let pair = Rate::every(Duration::from_secs(6), 45);
    ProviderLimits { text: 1600, account: Rate::per_second(2000, 200), pair, quotes: false }
}

fn sender() -> SenderConfig {
    SenderConfig {
        phone_number: "+14155238886".parse().expect("a number"),
        provider: ProviderAccount::Twilio(TwilioAccount {
            account_sid: "AC1".into(),
            username: "AC1".into(),
            password: Secret::new("token"),
            webhook_keys: vec![],
            messaging_service_sid: None,
            base_url: None,
        }),
        limits: Default::default(),
        opt_out: Default::default(),
        consent: Default::default(),
        retention: Default::default(),
        validity: Default::default(),
        events: vec![],
        paused: false,
    }
}

fn template() -> TemplateConfig {
    let content = LocalizedContent {
        body: "Hi {{1}}, order {{2}} has left our house.".into(),
        header: None,
        footer: None,
        buttons: vec![],
    };
    let account = AccountTemplate { handle: "HX1".into(), approval: Approval::Approved };
    let accounts = BTreeMap::from([("AC1".to_owned(), account.into())]);
    TemplateConfig {
        category: TemplateCategory::Utility,
        variables: vec!["1".into(), "2".into()],
        fallback_language: "en_US".into(),
        localizations: BTreeMap::from([("en_US".to_owned(), LocalizationConfig { content, accounts }.into())]).into(),
    }
}

fn text() -> OutboundContent {
    OutboundContent::Text { body: "on our way".into() }
}

fn of_template(values: &[(&str, &str)]) -> OutboundContent {
    OutboundContent::Template {
        name: TemplateName::new("order-shipped").expect("a name"),
        language: None,
        values: values.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

fn shipped() -> OutboundContent {
    of_template(&[("1", "Ava"), ("2", "18473")])
}

fn wrote_at(seconds: i64) -> ContactState {
    ContactState::default().after_message(at(seconds), None, "")
}

fn consented(status: ConsentStatus, seconds: i64) -> ContactState {
    let evidence = Evidence { source: "checkout-form".into(), reference: None, at: None, note: None };
    ContactState::default().consented(ConsentRecord { status, recorded_at: at(seconds), evidence })
}

fn suppressed(reason: SuppressionReason) -> ContactState {
    let detail = "the contact sent \"STOP\"".into();
    wrote_at(0).suppressed(Suppression { reason, at: at(1), detail })
}

/// A question that passes, which each test changes in one respect: text, an hour into an open window.
struct Case {
    to: &'static str,
    content: OutboundContent,
    purpose: Purpose,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    contact: ContactState,
    sender: SenderConfig,
    template: Option<TemplateConfig>,
    now: Timestamp,
}

fn case() -> Case {
    Case {
        to: "+447700900123",
        content: text(),
        purpose: Purpose::Message,
        not_before: None,
        expires_at: None,
        contact: wrote_at(0),
        sender: sender(),
        template: Some(template()),
        now: at(3600),
    }
}

impl Case {
    fn check(&self) -> Result<Permit, Refusal> {
        let to = self.to.parse().expect("an address");
        let (content, purpose) = (&self.content, self.purpose);
        let intent = SendIntent { to: &to, content, purpose, not_before: self.not_before, expires_at: self.expires_at };
        check(&intent, &self.contact, &self.sender, limits(), self.template.as_ref(), self.now)
    }

    fn refusal(&self) -> Refusal {
        self.check().expect_err("refused")
    }

    fn code(&self) -> RefusalCode {
        self.refusal().code
    }
}

#[test]
fn free_form_text_passes_in_the_window_without_consent() {
    let permit = Case { sender: requires_consent(None), ..case() }.check().expect("allowed");
    assert_eq!(permit.content, RenderedContent::Text { body: "on our way".into() });
    assert_eq!(permit.category, None);
}

#[test]
fn free_form_outside_the_window_is_refused_and_a_template_is_suggested() {
    let closed = Case { now: at(DAY), ..case() }.refusal();
    assert_eq!((closed.code, closed.status()), (RefusalCode::WindowClosed, MessageStatus::Rejected));
    assert_eq!(closed.pointer, "/text");
    insta::assert_snapshot!(closed.to_string(), @r#"text: the 24-hour window with +447700900123 closed at 2026-09-22T14:13:20Z; expected an approved template instead ("template": {"name": …}), or a message from the contact first"#);
    assert!(Case { now: at(DAY - 1), ..case() }.check().is_ok());

    let never = Case { contact: ContactState::default(), ..case() }.refusal();
    assert_eq!(never.code, RefusalCode::WindowClosed);
    assert!(never.detail.contains("has never written"), "{never}");
}

#[test]
fn a_scheduled_text_is_judged_by_the_window_at_its_time() {
    assert!(Case { not_before: Some(at(DAY - 1)), ..case() }.check().is_ok());
    let refusal = Case { not_before: Some(at(DAY)), ..case() }.refusal();
    assert!(refusal.detail.contains("by scheduleAt"), "{refusal}");
    assert!(Case { not_before: Some(at(-5)), ..case() }.check().is_ok());
}

#[test]
fn an_approved_template_passes_at_any_time() {
    for contact in [ContactState::default(), wrote_at(0), wrote_at(-2 * DAY)] {
        let permit = Case { content: shipped(), contact, ..case() }.check().expect("allowed");
        let values = BTreeMap::from([("1".to_owned(), "Ava".to_owned()), ("2".to_owned(), "18473".to_owned())]);
        let (handle, language) = ("HX1".to_owned(), "en_US".to_owned());
        assert_eq!(permit.content, RenderedContent::Template { handle, language, values });
        assert_eq!(permit.category, Some(TemplateCategory::Utility));
    }
}

#[test]
fn nothing_reaches_a_suppressed_contact_whatever_else_would_allow_it() {
    use SuppressionReason::{Blocked, Manual, OptedOut, Unreachable};
    for reason in [OptedOut, Blocked, Unreachable, Manual] {
        for content in [text(), shipped()] {
            let refusal = Case { content, contact: suppressed(reason), ..case() }.refusal();
            assert_eq!((refusal.code, refusal.status()), (RefusalCode::Suppressed, MessageStatus::Suppressed));
            assert_eq!(refusal.pointer, "/to");
        }
    }
}

#[test]
fn only_the_reply_to_a_keyword_reaches_a_contact_who_opted_out_and_only_in_the_window() {
    let reply = || Case { purpose: Purpose::KeywordReply, contact: suppressed(SuppressionReason::OptedOut), ..case() };
    assert!(reply().check().is_ok());
    assert_eq!(Case { now: at(DAY), ..reply() }.code(), RefusalCode::WindowClosed);
    assert_eq!(Case { contact: suppressed(SuppressionReason::Manual), ..reply() }.code(), RefusalCode::Suppressed);
}

fn requires_consent(max_age_seconds: Option<u64>) -> SenderConfig {
    SenderConfig { consent: ConsentConfig { required: true, max_age_seconds }, ..sender() }
}

#[test]
fn a_template_needs_consent_where_the_sender_requires_it() {
    use ConsentStatus::{Granted, Revoked};
    let of = |contact, sender| Case { content: shipped(), contact, sender, ..case() };
    assert_eq!(of(wrote_at(0), requires_consent(None)).code(), RefusalCode::ConsentRequired);
    assert!(of(consented(Granted, 0), requires_consent(None)).check().is_ok());
    assert!(of(wrote_at(0), sender()).check().is_ok());

    let fresh = Case { now: at(99), ..of(consented(Granted, 0), requires_consent(Some(100))) };
    assert!(fresh.check().is_ok());
    assert_eq!(Case { now: at(100), ..fresh }.code(), RefusalCode::ConsentStale);

    for sender in [sender(), requires_consent(None)] {
        let revoked = of(consented(Revoked, 0), sender).refusal();
        assert_eq!((revoked.code, revoked.status()), (RefusalCode::ConsentRevoked, MessageStatus::Suppressed));
    }
}

#[test]
fn consent_ages_from_when_it_was_given_and_not_from_the_future() {
    let mut contact = consented(ConsentStatus::Granted, 50);
    let consent = contact.consent.as_mut().expect("consented");
    consent.evidence.at = Some(at(0));
    assert_eq!(consent.given_at(), at(0));
    consent.evidence.at = Some(at(900));
    assert_eq!(consent.given_at(), at(50));
}

#[test]
fn a_template_that_is_missing_or_not_approved_is_refused() {
    let of = |template| Case { content: shipped(), template, ..case() };
    assert_eq!(of(None).code(), RefusalCode::TemplateUnknown);
    let with = |approval: Approval| {
        let mut template = template();
        let localization = Arc::make_mut(&mut template.localizations).get_mut("en_US").expect("there");
        localization.accounts.get_mut("AC1").expect("there").approval = approval;
        of(Some(template)).code()
    };
    let reason = || "quality".to_owned();
    assert_eq!(with(Approval::Pending), RefusalCode::TemplateNotApproved);
    assert_eq!(with(Approval::Rejected { reason: reason() }), RefusalCode::TemplateNotApproved);
    assert_eq!(with(Approval::Paused { reason: reason() }), RefusalCode::TemplatePaused);
    assert_eq!(with(Approval::Disabled { reason: reason() }), RefusalCode::TemplateDisabled);
}

#[test]
fn values_must_be_those_of_the_template_and_acceptable_to_whatsapp() {
    let of = |values: &[(&str, &str)]| Case { content: of_template(values), ..case() }.refusal();
    let missing = of(&[("1", "Ava")]);
    assert_eq!((missing.code, missing.pointer.as_str()), (RefusalCode::TemplateValuesMissing, "/template/values"));
    assert_eq!(
        missing.to_string(),
        "template.values: the template's variables \"2\" have no value; expected a value for each of 1, 2"
    );
    let unknown = of(&[("1", "Ava"), ("2", "7"), ("a/b", "?")]);
    assert_eq!((unknown.code, unknown.pointer.as_str()), (RefusalCode::TemplateValuesUnknown, "/template/values/a~1b"));
    let invalid = of(&[("1", "Ava\n"), ("2", "7")]);
    assert_eq!((invalid.code, invalid.pointer.as_str()), (RefusalCode::TemplateValueInvalid, "/template/values/1"));
    assert_eq!(of(&[("1", &"a".repeat(1000)), ("2", "7")]).code, RefusalCode::TemplateTooLong);
}

#[test]
fn an_authentication_template_needs_a_phone_number() {
    let template = Some(TemplateConfig { category: TemplateCategory::Authentication, ..template() });
    let to_user = Case { to: "GB.1a2b3c", content: shipped(), template, ..case() };
    assert_eq!(to_user.code(), RefusalCode::PhoneNumberRequired);
    assert!(Case { to: "+447700900123", ..to_user }.check().is_ok());
    assert!(Case { to: "GB.1a2b3c", content: shipped(), ..case() }.check().is_ok());
}

#[test]
fn text_that_the_provider_would_not_accept_is_refused_at_once() {
    let of = |body: &str| Case { content: OutboundContent::Text { body: body.to_owned() }, ..case() };
    assert!(of(&"ü".repeat(1600)).check().is_ok());
    assert_eq!(of(&"ü".repeat(1601)).code(), RefusalCode::TextTooLong);
    for nothing in ["", " \n", "\u{200b}\u{feff}"] {
        assert_eq!(of(nothing).code(), RefusalCode::TextEmpty, "{nothing:?}");
    }
}

#[test]
fn a_message_whose_validity_has_ended_expires() {
    let of = |expires_at| Case { expires_at: Some(at(expires_at)), ..case() };
    assert!(of(3601).check().is_ok());
    let expired = of(3600).refusal();
    assert_eq!((expired.code, expired.status()), (RefusalCode::Expired, MessageStatus::Expired));
    let scheduled_too_late = Case { not_before: Some(at(3700)), ..of(3650) };
    assert_eq!(scheduled_too_late.code(), RefusalCode::Expired);
}

#[test]
fn a_paused_sender_defers_and_refuses_nothing() {
    assert!(Case { sender: SenderConfig { paused: true, ..sender() }, ..case() }.check().is_ok());
}

#[test]
fn codes_are_words_that_differ_and_end_in_a_terminal_status() {
    let words: std::collections::BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), RefusalCode::ALL.len());
    assert!(RefusalCode::ALL.iter().all(|code| code.status().is_terminal()));
}
