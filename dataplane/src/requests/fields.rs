//! Reads a JSON object field by field and notes every fault, so that a caller gets all of them at once. A field that is
//! not read is unknown.

use messaging::text::is_blank;
use serde_json::{Map, Value};

use super::problem::FieldError;

/// An object that is being read.
pub(crate) struct Fields {
    pointer: String,
    object: Map<String, Value>,
    known: Vec<&'static str>,
}

/// The faults found so far.
pub(crate) type Errors = Vec<FieldError>;

/// Escapes a key for a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A value's type, for people.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(crate) fn wrong_type(pointer: &str, value: &Value, expected: &str) -> FieldError {
    let name = if pointer.is_empty() { "the body" } else { pointer };
    FieldError::body(pointer, "invalid", format!("{name} is {}", kind(value)), expected)
}

impl Fields {
    /// Starts to read a value, which must be an object.
    pub(crate) fn of(pointer: impl Into<String>, value: Value, errors: &mut Errors) -> Option<Self> {
        let pointer = pointer.into();
        match value {
            Value::Object(object) => Some(Self { pointer, object, known: Vec::new() }),
            other => {
                errors.push(wrong_type(&pointer, &other, "a JSON object"));
                None
            }
        }
    }

    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// A field of any type; `null` is the same as an absent field.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.object.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&mut self, name: &'static str, errors: &mut Errors) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            other => {
                errors.push(wrong_type(&self.pointer(name), &other, "a string"));
                None
            }
        }
    }

    /// A string with something in it that can be seen.
    pub(crate) fn said(&mut self, name: &'static str, expected: &str, errors: &mut Errors) -> Option<String> {
        let text = self.string(name, errors)?;
        if is_blank(&text) {
            let detail = format!("{name} has no text in it");
            errors.push(FieldError::body(self.pointer(name), "invalid", detail, expected));
            return None;
        }
        Some(text)
    }

    pub(crate) fn required_string(
        &mut self,
        name: &'static str,
        expected: &str,
        errors: &mut Errors,
    ) -> Option<String> {
        let was = errors.len();
        let text = self.string(name, errors);
        if text.is_none() && errors.len() == was {
            errors.push(FieldError::body(self.pointer(name), "required", format!("{name} is missing"), expected));
        }
        text
    }

    /// A string field that is parsed further.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        errors: &mut Errors,
    ) -> Option<T> {
        let text = self.string(name, errors)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            errors.push(FieldError::body(self.pointer(name), "invalid", format!("{name} is {text:?}"), expected));
        }
        parsed
    }

    /// Notes the fields that were not read as unknown.
    pub(crate) fn finish(self, errors: &mut Errors) {
        for name in self.object.keys() {
            errors.push(FieldError::body(
                format!("{}/{}", self.pointer, escaped(name)),
                "unknown_field",
                format!("{name:?} is not a field here"),
                format!("one of {}", self.known.join(", ")),
            ));
        }
    }
}
