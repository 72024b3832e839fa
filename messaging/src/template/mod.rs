//! Templates: what one is ([`TemplateCategory`], [`LocalizedContent`], [`Approval`], [`TemplateConfig`]), what it may
//! say ([`lint`]), how two differ ([`mod@differences`]), which of its languages is sent ([`mod@resolve`]), whether the
//! values fit ([`values`]), and how it reads with the values in place ([`render`]).

mod approval;
mod buttons;
mod category;
mod content;
pub mod differences;
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
pub use content::{COPY_CODE_LABEL, LocalizedContent, TemplateButton};
pub use differences::differences;
pub use resolve::{ResolvedTemplate, is_same_language, resolve};
pub use sendable::{AccountTemplate, LocalizationConfig, TemplateConfig};
