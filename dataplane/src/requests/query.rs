//! Reads a query parameter by parameter and notes every fault, so that a caller gets all of them at once. A parameter
//! that is not read is unknown, and one that is given twice is refused: programs differ in which of the two counts.

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::fields::Errors;
use super::problem::FieldError;

/// A query that is being read.
pub(crate) struct Query {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

/// Whether a part of a URL stands for text that can be stored.
pub(super) fn is_text(encoded: &str) -> bool {
    percent_decode_str(encoded).decode_utf8().is_ok_and(|text| !text.contains('\0'))
}

impl Query {
    pub(crate) fn of(query: Option<&str>, errors: &mut Errors) -> Self {
        let mut given: Vec<(String, String)> = Vec::new();
        for piece in query.unwrap_or("").split('&') {
            let Some((name, value)) = form_urlencoded::parse(piece.as_bytes()).next() else { continue };
            if !is_text(piece) {
                let detail = format!("{name:?} is not UTF-8, or has a NUL in it");
                errors.push(FieldError::parameter(&name, detail, "UTF-8 without NUL, with escapes such as %2B"));
            }
            if given.iter().any(|(other, _)| *other == name) {
                let detail = format!("{name} is given more than once");
                let repeated = FieldError::parameter(&name, detail, "each parameter once");
                errors.push(FieldError { code: "repeated".to_owned(), ..repeated });
            } else {
                given.push((name.into_owned(), value.into_owned()));
            }
        }
        Self { given, known: Vec::new() }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(at).1)
    }

    /// A parameter that is parsed further.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        errors: &mut Errors,
    ) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            errors.push(FieldError::parameter(name, format!("{name} is {text:?}"), expected));
        }
        parsed
    }

    /// Notes the parameters that were not read as unknown.
    pub(crate) fn finish(self, errors: &mut Errors) {
        let expected = format!("one of {}", self.known.join(", "));
        for (name, _) in &self.given {
            errors.push(FieldError::parameter(name, format!("{name:?} is not a parameter here"), &*expected));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(query: &str) -> Vec<(String, String)> {
        let mut errors = Errors::new();
        let mut query = Query::of(Some(query), &mut errors);
        query.text("sink");
        query.parsed("limit", "a number", |text| text.parse::<u32>().ok(), &mut errors);
        query.finish(&mut errors);
        errors.into_iter().map(|error| (error.parameter.unwrap(), error.code)).collect()
    }

    #[test]
    fn every_fault_of_a_query_is_reported_at_once() {
        assert!(faults("sink=a%20b&limit=3&").is_empty() && faults("").is_empty());
        let expected = [("sink", "invalid"), ("limit", "repeated"), ("limit", "invalid"), ("colour", "invalid")];
        assert_eq!(
            faults("sink=%00&limit=x&limit=1&colour=red"),
            expected.map(|(name, code)| (name.to_owned(), code.to_owned()))
        );
        assert_eq!(faults("sink=%FF"), [("sink".to_owned(), "invalid".to_owned())]);
    }
}
