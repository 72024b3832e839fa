//! Settings that may hold a secret. clap repeats a value that it refuses, and what a container prints is in a log.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Reads a value that may hold a secret. What is wrong is reported with the setting's name and what would be right, never
/// with the value. White space around the value is left out: a file's last line break is not part of it.
#[derive(Clone)]
pub(crate) struct Confidential<T> {
    variable: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Confidential<T> {
    /// `variable` is the setting's environment variable. The errors of `read` do not repeat what it was given.
    pub(crate) fn new(variable: &'static str, read: fn(&str) -> Result<T, String>) -> Self {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::settings::Settings;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let all = ["dataplane", "--config-dir", "/configs"].into_iter().chain(arguments.iter().copied());
        Cli::try_parse_from(all).map(|cli| cli.settings)
    }

    #[test]
    fn a_setting_that_may_hold_a_password_is_never_repeated() {
        for (flag, value) in [
            ("--store", "postgres://user:hush@host/data?sslmode=sometimes"),
            ("--store", "postgres://user:hush@host:port/data"),
            ("--store", "host=one password=hush"),
            ("--store", "hush"),
            ("--twilio-base-url", "https://user:hush@proxy:port"),
        ] {
            let mut arguments = vec![flag, value];
            if flag != "--store" {
                arguments.extend(["--store", "sqlite:data.db"]);
            }
            let error = parse(&arguments).unwrap_err();
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hush") && shown.contains(flag), "{shown}");
            }
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }

    #[test]
    fn a_line_break_at_the_end_of_a_url_is_not_part_of_it() {
        let settings = parse(&["--store", "sqlite:data.db\n"]).unwrap();
        assert_eq!(settings.store.to_string(), "sqlite:data.db");
    }
}
