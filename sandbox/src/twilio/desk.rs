//! What every operation of Twilio works on: its own state, and the world.

use std::time::Duration;

use jiff::Timestamp;

use super::state::{State, Step};
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Desk<'w> {
    pub(crate) state: &'w mut State,
    pub(crate) world: &'w mut World,
}

impl Desk<'_> {
    pub(crate) fn after(&mut self, delay: Duration, step: Step) {
        let at = self.world.time_after(delay);
        self.at(at, step);
    }

    pub(crate) fn at(&mut self, time: Timestamp, step: Step) {
        self.state.steps.add(time, step);
    }
}
