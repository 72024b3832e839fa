//! Twilio as a provider of the sandbox.

use http::StatusCode;
use jiff::Timestamp;

use super::{
    api, control,
    desk::Desk,
    errors::{ApiError, usual_code},
    setup,
    state::{State, Step},
    traffic::{events, lifecycle, webhooks},
};
use crate::{
    http::{Answer, Request},
    provider::{Answered, Credentials, Injected, Provider},
    reaction::Reaction,
    seed::Seed,
    world::{World, webhooks::Fallback},
};

#[derive(Debug, Default)]
struct Twilio {
    state: State,
}

/// Twilio with the seed's accounts and review rules.
pub(crate) fn open(seed: &Seed, world: &mut World) -> anyhow::Result<Box<dyn Provider>> {
    let mut twilio = Twilio::default();
    for account in &seed.accounts {
        setup::create_account(&mut twilio.desk(world), account.clone())?;
    }
    twilio.state.reviews.add(seed.reviews.clone())?;
    Ok(Box::new(twilio))
}

impl Twilio {
    fn desk<'w>(&'w mut self, world: &'w mut World) -> Desk<'w> {
        Desk { state: &mut self.state, world }
    }
}

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        webhooks::PROVIDER
    }

    /// Unknown paths get Twilio's 404.
    fn serves(&self, _: &Request) -> bool {
        true
    }

    fn credentials(&self, request: &Request) -> Credentials {
        let username = api::basic(request).map(|(username, _)| username);
        let account = username.as_deref().and_then(|username| self.state.account_of(username));
        Credentials { username, account }
    }

    fn answer(&mut self, world: &mut World, request: &Request) -> Answered {
        api::answer(&mut self.desk(world), request)
    }

    fn error(&self, injected: Injected) -> Answer {
        let Injected { status, code, message, shape } = injected;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (usual_code, usual_message) = usual_code(status);
        let message = message.unwrap_or_else(|| usual_message.to_owned());
        ApiError::new(status, code.unwrap_or(usual_code), message).in_shape(shape).answer()
    }

    fn control(&mut self, world: &mut World, path: &[&str], request: &Request) -> Option<Reaction> {
        control::answer(&mut self.desk(world), path, request)
    }

    fn next_step(&self) -> Option<Timestamp> {
        self.state.steps.next()
    }

    fn take_step(&mut self, world: &mut World) {
        match self.state.steps.pop() {
            None => {}
            Some(Step::Advance(sid)) => lifecycle::advance(&mut self.desk(world), &sid),
            Some(Step::Review(sid)) => {
                let now = world.now();
                events::change(&mut self.desk(world), &sid, |content| content.take_review_step(now));
            }
            Some(Step::SenderSettles(sid)) => {
                if let Some(sender) = self.state.senders.get_mut(&sid) {
                    sender.settle();
                }
            }
        }
    }

    fn fall_back(&mut self, world: &mut World, fallback: Fallback) {
        webhooks::fall_back(&mut self.desk(world), fallback);
    }
}
