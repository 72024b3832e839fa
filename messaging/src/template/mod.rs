//! Templates: what one is ([`TemplateCategory`], [`LocalizedContent`], [`Approval`], [`TemplateConfig`]), what it may say
//! ([`lint`]), which of its languages is sent ([`mod@resolve`]), whether the values fit ([`values`]), and how it reads with
//! the values in place ([`render`]).

mod approval;
mod buttons;
mod category;
mod content;
mod emoji;
mod findings;
pub mod languages;
pub mod lint;
pub mod placeholder;
pub mod render;
pub mod resolve;
mod sendable;
pub mod values;

pub use approval::Approval;
pub use category::{TemplateCategory, UnknownCategory};
pub use content::{LocalizedContent, TemplateButton};
pub use resolve::{ResolvedTemplate, is_same_language, resolve};
pub use sendable::{AccountTemplate, LocalizationConfig, TemplateConfig};
