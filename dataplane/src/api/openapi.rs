//! The description of the tenants' API in OpenAPI, made from the types that are served. What is the same for several
//! operations, such as a parameter or the answer to a caller without credentials, is described once.

mod examples;
mod operations;
mod parameters;
mod shared;

use axum::Json;
use utoipa::OpenApi;

use self::examples::Examples;
use self::shared::{Answers, Parameters};
use crate::requests::problem::Problem;

/// The description, as JSON with line breaks.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_else(|e| unreachable!("a description is JSON: {e}"));
    text.push('\n');
    text
}

pub(super) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

const DESCRIPTION: &str = "Sends, reads and cancels WhatsApp messages of one tenant, reads \
its contacts, records their consent, suppresses them, and lists and redrives its dead letters. Every request carries \
`Authorization: Bearer` and an API key of the tenant, or a token of one of its Kubernetes ServiceAccounts for this \
service's audience. The namespace is the tenant. Errors are problem documents (RFC 9457). The JSON Schemas of the events \
that applications receive are served at `/schemas/`.";

#[derive(OpenApi)]
#[openapi(
    info(title = "whatsapp-operator data plane", description = DESCRIPTION),
    paths(
        operations::send,
        operations::list,
        operations::read,
        operations::cancel,
        operations::contact,
        operations::consent,
        operations::suppress,
        operations::lift,
        operations::unlink,
        operations::dead_events,
        operations::redrive_event,
        operations::redrive_events,
    ),
    components(schemas(Problem)),
    modifiers(&Bearer, &Answers, &Examples, &Parameters),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().security_schemes.insert("bearer".to_owned(), scheme.into());
    }
}

/// The operations of a path.
fn operations_of(path: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().filter_map(Option::as_mut)
}

#[cfg(test)]
mod tests {
    use messaging::contact::SuppressionReason;
    use messaging::lifecycle::MessageStatus;
    use serde_json::{Value, json};

    use super::*;

    fn described() -> Value {
        serde_json::from_str(&document()).unwrap()
    }

    #[test]
    fn every_status_and_reason_is_described_and_no_other() {
        let schemas = described()["components"]["schemas"].clone();
        assert_eq!(schemas["Status"]["enum"], json!(MessageStatus::ALL));
        let reasons = [
            SuppressionReason::OptedOut,
            SuppressionReason::Manual,
            SuppressionReason::Blocked,
            SuppressionReason::Unreachable,
        ];
        assert_eq!(schemas["SuppressionReason"]["enum"], json!(reasons));
    }

    #[test]
    fn every_operation_has_examples_and_the_answers_that_all_have() {
        for (path, item) in described()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let answers = &operation["responses"];
                for status in ["400", "401", "403", "500", "503"] {
                    assert!(answers[status].is_object(), "{method} {path} {status}");
                }
                let body = &operation["requestBody"]["content"]["application/json"];
                for status in ["408", "413", "415", "422"] {
                    assert_eq!(answers[status].is_object(), body.is_object(), "{method} {path} {status}");
                }
                assert_eq!(body.is_object(), body["example"].is_object(), "{method} {path}");
                let success = answers.get("200").or(answers.get("202")).unwrap();
                assert!(success["content"]["application/json"]["example"].is_object(), "{method} {path}");
            }
        }
    }

    #[test]
    fn a_parameter_of_several_operations_is_described_once() {
        let document = document();
        for description in ["Whose contact it is", "`nextCursor` of the previous page"] {
            assert_eq!(document.matches(description).count(), 1, "{description}");
        }
    }
}
