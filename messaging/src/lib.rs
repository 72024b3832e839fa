//! The domain of WhatsApp Business messaging, free of I/O.
//!
//! Everything here decides; nothing here acts. There is no runtime, no HTTP, no SQL, no Kubernetes and no clock:
//! time and randomness come in as arguments, so that a test can replay a bad day in milliseconds.
//!
//! Reading order: the words ([`id`], [`address`], [`content`]), what happens to a message ([`lifecycle`],
//! [`failure`]), what may be sent and where to ([`policy`], [`routing`], [`template`]), what passes between the
//! operator and the data plane ([`config`]), and the seam behind which the providers stand ([`provider`]).

pub mod address;
pub mod clock;
pub mod config;
pub mod content;
pub mod event;
pub mod failure;
pub mod id;
pub mod lifecycle;
pub mod provider;
pub mod secret;
