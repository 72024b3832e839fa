//! The domain of WhatsApp Business messaging, free of I/O.
//!
//! Everything here decides; nothing here acts. There is no runtime, no HTTP, no SQL, no Kubernetes and no clock:
//! time and randomness come in as arguments, so that a test can replay a bad day in milliseconds.
//!
//! Reading order:
//! - the words: [`id`], [`address`] and its spellings, [`content`], [`text`], [`secret`], [`clock`], [`duration`],
//!   [`retry_after`], [`finding`], [`error`];
//! - what a customer's message does: [`window`], [`opt_out`], [`contact`], and whose it is: [`link`];
//! - what may be sent, as what, and through which sender: [`policy`] and its [`refusal`]s, [`template`], [`routing`];
//! - what happens to it afterwards: [`lifecycle`], [`failure`], how fast: [`rate`], and whether its provider is there: [`breaker`];
//! - what tenants receive, and when a delivery is retried: [`event`], [`publication`];
//! - what passes from the operator to the data plane: [`config`], and the little that passes back: [`hints`];
//! - the seam that the providers' adapters implement: [`provider`].

pub mod address;
pub mod breaker;
pub mod clock;
pub mod config;
pub mod contact;
pub mod content;
pub mod duration;
pub mod error;
pub mod event;
pub mod failure;
pub mod finding;
pub mod hints;
pub mod id;
pub mod lifecycle;
pub mod link;
mod numbering;
pub mod opt_out;
pub mod policy;
pub mod provider;
pub mod public_address;
pub mod publication;
pub mod rate;
pub mod refusal;
pub mod retry_after;
pub mod routing;
pub mod secret;
mod spelling;
pub mod template;
pub mod text;
pub mod window;
