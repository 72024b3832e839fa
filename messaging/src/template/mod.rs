//! Templates: what may stand in them ([`lint`]), which of their languages is sent ([`mod@resolve`]), whether the values fit
//! ([`values`]), and how they read with the values in them ([`render`]).

mod buttons;
pub mod lint;
pub mod placeholder;
pub mod render;
pub mod resolve;
pub mod values;

pub use resolve::{ResolvedTemplate, resolve};
