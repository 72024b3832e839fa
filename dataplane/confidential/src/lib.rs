//! Settings that may hold a secret, for every program whose settings clap reads. clap repeats a value that it refuses,
//! and what a container prints is in a log.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Reads a value that may hold a secret. What is wrong is reported with the setting's name and what would be right,
/// never with the value. White space around the value is left out: a file's last line break is not part of it.
#[derive(Clone)]
pub struct Confidential<T> {
    variable: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Confidential<T> {
    /// `variable` is the setting's environment variable. The errors of `read` do not repeat what it was given.
    pub fn new(variable: &'static str, read: fn(&str) -> Result<T, String>) -> Self {
        Self { variable, read }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Confidential<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let read = match value.to_str() {
            Some(text) => (self.read)(text.trim()),
            None => Err("is not UTF-8".to_owned()),
        };
        read.map_err(|why| {
            let setting = arg.map(|arg| format!("{arg}, or ")).unwrap_or_default();
            command.clone().error(ErrorKind::ValueValidation, format!("{setting}{}: {why}", self.variable))
        })
    }
}
