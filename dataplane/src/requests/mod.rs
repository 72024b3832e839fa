//! How all listeners read and refuse requests: bounded bodies, JSON fields, problem documents, and the guard around
//! every route.

pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod guard;
pub(crate) mod problem;
