//! How all listeners read and refuse requests: bounded bodies, JSON fields, queries, problem documents, the guard
//! around every route, and log lines that a flood of requests does not repeat.

pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod guard;
mod json;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod seldom;
