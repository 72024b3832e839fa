//! Parses a JSON body, and notes what a program may read in more than one way or cannot store: keys that an object has
//! twice, and NUL in a text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fields::{Errors, escaped};
use super::problem::FieldError;

/// The value of a body, and the faults in it; an error where it is not JSON.
pub(super) fn parse(body: &[u8]) -> Result<(Value, Errors), serde_json::Error> {
    let mut errors = Errors::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = At { pointer: String::new(), errors: &mut errors }.deserialize(&mut json)?;
    json.end()?;
    Ok((value, errors))
}

/// The value that is read at this place of the body.
struct At<'a> {
    pointer: String,
    errors: &'a mut Errors,
}

impl At<'_> {
    fn check_text(&mut self, text: &str) {
        if text.contains('\0') {
            let detail = "the text has a NUL (\\u0000) in it";
            self.errors.push(FieldError::body(self.pointer.clone(), "invalid", detail, "text without NUL"));
        }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<Value, E> {
        self.check_text(text);
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Self { pointer, errors } = self;
        let mut read = Vec::new();
        while let Some(item) =
            items.next_element_seed(At { pointer: format!("{pointer}/{}", read.len()), errors: &mut *errors })?
        {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let Self { pointer, errors } = self;
        let mut read = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let mut at = At { pointer: format!("{pointer}/{}", escaped(&key)), errors: &mut *errors };
            at.check_text(&key);
            if read.contains_key(&key) {
                let detail = format!("the object has {key:?} more than once");
                at.errors.push(FieldError::body(at.pointer.clone(), "repeated", detail, "each key once"));
            }
            let value = fields.next_value_seed(at)?;
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faults(body: &str) -> Vec<(String, String)> {
        let (_, errors) = parse(body.as_bytes()).unwrap();
        errors.into_iter().map(|error| (error.pointer.unwrap(), error.code)).collect()
    }

    #[test]
    fn a_repeated_key_and_a_nul_are_named_wherever_they_are() {
        let body =
            r#"{"to":"a","metadata":{"a/b":"1","a/b":"2"},"list":[1,"x\u0000"],"to":"b","text":{"body\u0000":"x"}}"#;
        let found = faults(body);
        let expected =
            [("/metadata/a~1b", "repeated"), ("/list/1", "invalid"), ("/to", "repeated"), ("/text/body\0", "invalid")];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
        assert!(faults(r#"{"a":{"x":1},"b":{"x":1}}"#).is_empty());
    }

    proptest! {
        #[test]
        fn what_has_no_fault_is_what_any_parser_reads(text in r#"[\[\]{}:,"a0\\u.e \-\x00]{0,24}|\{("[a-c]":(-?[0-9]{1,20}|null|true|1e3|"é\\n"|\[1,\{\}\]),?){0,3}\}"#) {
            let theirs = serde_json::from_str::<Value>(&text);
            match parse(text.as_bytes()) {
                Ok((ours, _)) => prop_assert_eq!(ours, theirs.unwrap()),
                Err(error) => prop_assert_eq!(error.to_string(), theirs.unwrap_err().to_string()),
            }
        }
    }
}
