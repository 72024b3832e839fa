//! Registering numbers at the fake. What WhatsApp does afterwards, it does when the test says so.

use std::collections::BTreeMap;

use async_trait::async_trait;
use messaging::address::PhoneNumber;
use messaging::failure::{Failure, FailureClass};
use messaging::provider::ProviderError;
use messaging::provider::admin::{
    BusinessProfile, CodeBy, Registered, Registration, RegistrationAdmin, SenderObservation, Stage, Verified,
    WebhookTargets,
};
use messaging::secret::Secret;

use super::senders::online_sender;
use super::{FakeAdmin, State, provider_error};

#[derive(Debug, Default)]
pub(super) struct Registrations {
    /// What WhatsApp sends to a number. To one without, it sends nothing, because the provider answers for it.
    codes: BTreeMap<PhoneNumber, String>,
    /// Whether the code was right that was told last of a sender, by its handle, until WhatsApp has looked.
    claims: BTreeMap<String, bool>,
    /// Every code that was told.
    told: Vec<String>,
    registered: Vec<Registration>,
    answer: Option<Registered>,
    refusal: Option<&'static str>,
    locks_codes: bool,
}

/// A registration with nothing but what every one has.
pub(crate) fn registration(number: &str) -> Registration {
    Registration {
        number: number.parse().unwrap(),
        code_by: CodeBy::Sms,
        business_account: None,
        profile: BusinessProfile { name: "Shop".into(), ..BusinessProfile::default() },
        webhooks: WebhookTargets::default(),
    }
}

fn set(sender: &mut SenderObservation, status: &str, stage: Stage) {
    sender.status = status.to_owned();
    sender.online = status == "ONLINE";
    sender.stage = stage;
}

impl FakeAdmin {
    /// WhatsApp sends this code to the number when it is registered, and from then on.
    pub(crate) fn set_code(&self, number: &str, code: &str) {
        self.state().registrations.codes.insert(number.parse().unwrap(), code.to_owned());
    }

    /// WhatsApp does what is due: it asks for a code, or looks at one.
    pub(crate) fn whatsapp_goes_on(&self) {
        let state = &mut *self.state();
        let State { senders, registrations, .. } = state;
        for (number, sender) in senders.iter_mut().filter(|(_, sender)| sender.stage == Stage::UnderWay) {
            let is_known = match registrations.claims.remove(&sender.handle) {
                Some(is_right) => is_right,
                None => !registrations.codes.contains_key(number),
            };
            if is_known {
                set(sender, "ONLINE", Stage::Settled);
            } else {
                set(sender, "PENDING_VERIFICATION", Stage::AwaitsCode);
            }
        }
    }

    /// Somebody began to register the number in the provider's console.
    pub(crate) fn begin_in_console(&self, number: &str, handle: &str) {
        self.add_sender(number, handle);
        let mut state = self.state();
        let sender = state.senders.values_mut().find(|sender| sender.handle == handle).expect("the sender exists");
        set(sender, "PENDING_VERIFICATION", Stage::AwaitsCode);
    }

    /// Every registration is answered with this, and nothing is registered.
    pub(crate) fn answer_registrations(&self, answer: Option<Registered>) {
        self.state().registrations.answer = answer;
    }

    /// Every registration and every code is refused for this reason.
    pub(crate) fn refuse_registrations(&self, why: Option<&'static str>) {
        self.state().registrations.refusal = why;
    }

    /// Every code is one too many.
    pub(crate) fn lock_codes(&self) {
        self.state().registrations.locks_codes = true;
    }

    /// The codes that were told, from the first to the last.
    pub(crate) fn told_codes(&self) -> Vec<String> {
        self.state().registrations.told.clone()
    }

    /// What was registered, from the first to the last.
    pub(crate) fn registered(&self) -> Vec<Registration> {
        self.state().registrations.registered.clone()
    }
}

fn refused(why: &str) -> ProviderError {
    ProviderError { failure: Failure::new(FailureClass::Request, why), http_status: Some(400), retry_after: None }
}

#[async_trait]
impl RegistrationAdmin for FakeAdmin {
    fn permission(&self) -> &'static str {
        "the permission to register"
    }

    async fn register(&self, registration: &Registration) -> Result<Registered, ProviderError> {
        let registered = {
            let mut state = self.begin("register_sender")?;
            let State { senders, registrations, .. } = &mut *state;
            if let Some(why) = registrations.refusal {
                return Err(refused(why));
            }
            match registrations.answer {
                Some(answer) => answer,
                None if senders.contains_key(&registration.number) => Registered::IsTaken,
                None => {
                    registrations.registered.push(registration.clone());
                    let webhooks = registration.webhooks.clone();
                    let handle = format!("XE{}", registrations.registered.len());
                    let mut sender = SenderObservation { webhooks, ..online_sender(&handle) };
                    set(&mut sender, "CREATING", Stage::UnderWay);
                    senders.insert(registration.number.clone(), sender);
                    Registered::Begun
                }
            }
        };
        self.end("register_sender", registered).await
    }

    async fn verify(&self, handle: &str, code: &Secret) -> Result<Verified, ProviderError> {
        let verified = {
            let mut state = self.begin("verify_sender")?;
            let State { senders, registrations, .. } = &mut *state;
            registrations.told.push(code.expose().to_owned());
            if let Some(why) = registrations.refusal {
                return Err(refused(why));
            }
            let Some((number, sender)) = senders.iter_mut().find(|(_, sender)| sender.handle == handle) else {
                return Err(provider_error(Some(404), None));
            };
            if registrations.locks_codes {
                Verified::TooOften
            } else {
                let is_right = registrations.codes.get(number).is_some_and(|right| right == code.expose());
                registrations.claims.insert(handle.to_owned(), is_right);
                set(sender, "VERIFYING", Stage::UnderWay);
                Verified::Submitted
            }
        };
        self.end("verify_sender", verified).await
    }
}
