//! One page of a list, in either of Twilio's formats.
//!
//! The 2010 API puts `next_page_uri` (relative) beside the rows; the newer APIs put an absolute `next_page_url` into
//! `meta`. (Twilio's OpenAPI documents.)

use serde_json::Value;

use super::hosts::Hosts;

/// A list with more pages than this counts as endless.
pub(crate) const MOST_PAGES: u32 = 1000;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Value>,
    /// Path and query of the next page, on the same host.
    pub(crate) next: Option<String>,
}

/// Reads a page whose rows are under `key`.
pub(crate) fn parse(hosts: &Hosts, body: &[u8], key: &str) -> Result<Page, String> {
    let mut page: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let rows = match page.get_mut(key).map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => return Err(format!("a page of {key} has no list under {key:?}")),
    };
    let link = page.get("next_page_uri").or_else(|| page.get("meta")?.get("next_page_url"));
    let next = match link {
        None | Some(Value::Null) => None,
        Some(Value::String(link)) if link.is_empty() => None,
        Some(Value::String(link)) => {
            Some(hosts.path_of_link(link).ok_or_else(|| format!("a page of {key} has a link that is not a path"))?)
        }
        Some(_) => return Err(format!("a page of {key} has a link that is not text")),
    };
    Ok(Page { rows, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_both_formats_are_followed() {
        let of = |body: &str| parse(&Hosts::new(None), body.as_bytes(), "rows");
        let next = |page: Result<Page, String>| page.expect("a page").next;
        assert_eq!(next(of(r#"{"rows":[1],"next_page_uri":"/x?Page=1"}"#)).as_deref(), Some("/x?Page=1"));
        assert_eq!(
            next(of(
                r#"{"rows":[],"meta":{"next_page_url":"https://content.twilio.com/v1/Content?Page=2","key":"rows"}}"#
            ))
            .as_deref(),
            Some("/v1/Content?Page=2")
        );
        for last in
            [r#"{"rows":[],"next_page_uri":null}"#, r#"{"rows":[],"meta":{"next_page_url":null}}"#, r#"{"rows":[]}"#]
        {
            assert_eq!(next(of(last)), None, "{last}");
        }
        for bad in
            ["", "[]", r#"{"rows":3}"#, r#"{"rows":[],"next_page_uri":"//evil/x"}"#, r#"{"rows":[],"next_page_uri":4}"#]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
