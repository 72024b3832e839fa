//! The config to publish of a tenant: compiled, without what is faulty, and within the size that can be published.
//! Pure.

use messaging::config::TenantConfig;
use messaging::config::parts::LARGEST_IN_PARTS;

use super::compile::{Input, compile};
use super::fit::fitting;
use super::sound::{LeftOut, sound};

/// What is to be published.
pub(super) struct Composed {
    /// With its JSON; `None` when there is nothing to publish, and then the Secret must not exist.
    pub(super) config: Option<(TenantConfig, Vec<u8>)>,
    pub(super) left_out: LeftOut,
}

pub(super) fn compose(input: Input<'_>) -> Composed {
    let previous = input.previous;
    let Some(compiled) = compile(input) else { return Composed { config: None, left_out: LeftOut::new() } };
    let (config, mut left_out) = sound(compiled, previous);
    let config = fitting(config, previous, LARGEST_IN_PARTS, &mut left_out);
    Composed { config: Some(config), left_out }
}
