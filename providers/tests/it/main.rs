//! The Twilio adapter against real sockets: a scripted peer for what goes wrong on the wire, and the sandbox for what
//! Twilio does.

mod account;
mod admin;
mod against_sandbox;
mod outcomes;
mod scripted;
