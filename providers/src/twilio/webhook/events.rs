//! Reads a batch of Event Streams for what the operator should look at.
//!
//! The documentation's own examples are careless, so a batch is read loosely: a list or one event, and of an event only
//! what its data says. Whatever has not the shape of an id is left out.

use messaging::hints::About;
use messaging::provider::admin::TemplateHandle;
use messaging::provider::webhook::Hinted;
use serde_json::Value;

/// Longer than any id of a test event.
const LONGEST_TEST_ID: usize = 64;

/// `None` for a body that is no JSON.
pub(super) fn hints(body: &[u8]) -> Option<Vec<Hinted>> {
    Some(match serde_json::from_slice(body).ok()? {
        Value::Array(events) => events.iter().filter_map(hint).collect(),
        event => hint(&event).into_iter().collect(),
    })
}

fn hint(event: &Value) -> Option<Hinted> {
    let data = event.get("data")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let account = data.get("accountSid").and_then(text);
    let template = data.get("template").and_then(|template| template.get("sid")).and_then(text);
    let about = match template {
        // What the event says about the template is not read: it may be old, or repeated.
        Some(sid) => data
            .get("type")
            .is_some_and(Value::is_string)
            .then_some(sid)
            .filter(|sid| is_content(sid))
            .map(|sid| About::Template(TemplateHandle::new(sid))),
        None => ["test_id", "testId"]
            .iter()
            .find_map(|name| data.get(name))
            .and_then(text)
            .filter(|id| is_test(id))
            .map(About::Test),
    };
    Some(Hinted { account, about: about? })
}

fn is_content(sid: &str) -> bool {
    sid.len() == 34 && sid.strip_prefix("HX").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_test(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_TEST_ID).contains(&id.len()) && id.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HX: &str = "HX0123456789abcdef0123456789ABCDEF";

    fn approval(sid: &Value) -> Value {
        json!({
            "specversion": "1.0",
            "type": "com.twilio.messaging.template.approval.updated",
            // The documentation has a time here.
            "datacontenttype": "2026-07-14T12:00:00Z",
            "data": {
                "type": "status_update",
                "accountSid": "AC1",
                "template": {"sid": sid, "friendlyName": "secret words", "currentValue": "approved"},
            },
        })
    }

    fn read(batch: &Value) -> Option<Vec<Hinted>> {
        hints(batch.to_string().as_bytes())
    }

    #[test]
    fn a_batch_or_one_event_names_the_template_to_look_at() {
        let expected =
            vec![Hinted { account: Some("AC1".to_owned()), about: About::Template(TemplateHandle::new(HX)) }];
        assert_eq!(read(&json!([approval(&json!(HX))])), Some(expected.clone()));
        assert_eq!(read(&approval(&json!(HX))), Some(expected));
    }

    #[test]
    fn a_test_event_is_known_by_its_id_in_either_spelling() {
        for name in ["test_id", "testId"] {
            let id = "7b6dbb4c-1d3a-4d0f-9f4e-0b2b8a7f9d11";
            let expected = vec![Hinted { account: None, about: About::Test(id.to_owned()) }];
            assert_eq!(
                read(&json!([{"type": "com.twilio.eventstreams.test-event", "data": {(name): id}}])),
                Some(expected)
            );
        }
    }

    #[test]
    fn what_has_not_the_shape_of_an_id_is_no_hint() {
        for sid in
            [json!("HX1"), json!(7), json!(null), json!(format!("{HX}0")), json!("HX../../../../../../../../../../../")]
        {
            assert_eq!(read(&json!([approval(&sid)])), Some(vec![]), "{sid}");
        }
        for id in [json!(""), json!("a b"), json!("a\nb"), json!("x".repeat(65)), json!([1])] {
            assert_eq!(read(&json!([{"data": {"test_id": id}}])), Some(vec![]), "{id}");
        }
        for other in [json!([]), json!({}), json!([7, null, "x", {"data": 1}]), json!(1)] {
            assert_eq!(read(&other), Some(vec![]), "{other}");
        }
        for bad in [&b""[..], b"a=b", b"[{]", b"\xff"] {
            assert_eq!(hints(bad), None, "{bad:?}");
        }
    }
}
