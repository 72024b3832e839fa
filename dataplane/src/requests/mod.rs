//! How all listeners read and refuse requests: bounded bodies, JSON fields, problem documents, the guard around every
//! route, and log lines that a flood of requests does not repeat.

pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod guard;
pub(crate) mod problem;
pub(crate) mod seldom;
