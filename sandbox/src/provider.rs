//! The trait of a simulated provider. Each provider has its own folder with its state, its routes and its part of the
//! control API. [`crate::stage`] registers it with one line.

use std::fmt;

use jiff::Timestamp;

use crate::{
    http::{Answer, Request},
    reaction::Reaction,
    types::ErrorShape,
    world::{World, webhooks::Fallback},
};

/// An answer, and the account whose credentials the request carried.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) account: Option<String>,
}

/// The credentials of a request, valid or not.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    /// The account that the user name belongs to.
    pub(crate) account: Option<String>,
}

/// An error in the provider's format, caused by a fault or a defect.
#[derive(Debug)]
pub(crate) struct Injected {
    pub(crate) status: u16,
    /// Absent: the usual one for the status.
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) shape: ErrorShape,
}

impl Injected {
    /// The usual error for a status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, code: None, message: None, shape: ErrorShape::default() }
    }
}

pub(crate) trait Provider: fmt::Debug + Send {
    /// Identifies the provider among those of this sandbox.
    fn name(&self) -> &'static str;

    /// Whether this provider answers the request. The first provider to claim a request answers it.
    fn serves(&self, request: &Request) -> bool;

    fn credentials(&self, request: &Request) -> Credentials;

    fn answer(&mut self, world: &mut World, request: &Request) -> Answered;

    fn error(&self, injected: Injected) -> Answer;

    /// Answers a call of the control API about this provider's state; `None` for every other call.
    fn control(&mut self, world: &mut World, path: &[&str], request: &Request) -> Option<Reaction>;

    /// When the next step is due, which no request asks for.
    fn next_step(&self) -> Option<Timestamp>;

    /// Takes that step.
    fn take_step(&mut self, world: &mut World);

    /// Sends one of this provider's webhooks to its fallback address.
    fn fall_back(&mut self, world: &mut World, fallback: Fallback);
}
