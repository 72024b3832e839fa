//! Tests the Twilio adapter over real sockets: against a scripted peer for what goes wrong on the wire, and against the
//! sandbox for what Twilio does.

mod account;
mod admin;
mod against_sandbox;
mod outcomes;
mod scripted;
mod streams;
