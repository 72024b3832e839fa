//! What several operations share: answers that every request may get, and parameters.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

use super::operations_of;

/// Adds the answers that do not depend on what an operation does.
pub(super) struct Answers;

struct Answer {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Only an operation with a body may answer so.
    to_a_body: bool,
    header: Option<(&'static str, &'static str)>,
}

const fn answer(status: &'static str, name: &'static str, description: &'static str) -> Answer {
    Answer { status, name, description, to_a_body: false, header: None }
}

const ANSWERS: [Answer; 8] = [
    answer(
        "400",
        "Malformed",
        "The path, a parameter, a header or the JSON is malformed; `errors` names what can be named.",
    ),
    Answer {
        header: Some(("WWW-Authenticate", "`Bearer`")),
        ..answer("401", "Unauthenticated", "The request carries no valid credentials.")
    },
    answer(
        "403",
        "Forbidden",
        "The caller may not act for this tenant, or not send from this sender; `errors` then names the right that is missing.",
    ),
    Answer { to_a_body: true, ..answer("408", "SlowBody", "The body did not arrive in time.") },
    Answer { to_a_body: true, ..answer("413", "TooLarge", "The body is larger than 256 KiB.") },
    Answer { to_a_body: true, ..answer("415", "NotJson", "The Content-Type is not `application/json`.") },
    answer("500", "Internal", "The request ended in a defect of this service, which has been logged."),
    Answer {
        header: Some(("Retry-After", "In so many seconds the same request may succeed.")),
        ..answer(
            "503",
            "TryAgain",
            "The service is overloaded or starts, the sender or tenant is being drained, the API server does not say what the \
             caller may do, `scheduleAt` or `validFor` cannot be \
             kept because the replica's clock is wrong, or the outcome is unknown (`type` ends in `outcome-unknown`). Try again \
             after `Retry-After` seconds, with the same Idempotency-Key.",
        )
    },
];

impl utoipa::Modify for Answers {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for Answer { status, name, description, to_a_body: _, header } in &ANSWERS {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            let mut response =
                ResponseBuilder::new().description(*description).content("application/problem+json", problem);
            if let Some((header, description)) = header {
                response = response.header(*header, text_header(description, *status == "503"));
            }
            components.responses.insert((*name).to_owned(), response.build().into());
            for operation in openapi.paths.paths.values_mut().flat_map(operations_of) {
                let has_a_body = operation.request_body.is_some();
                if has_a_body || !ANSWERS.iter().any(|answer| answer.status == *status && answer.to_a_body) {
                    let known = &mut operation.responses.responses;
                    known.insert((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name)));
                }
            }
        }
    }
}

fn text_header(description: &str, is_a_number: bool) -> Header {
    let kind = if is_a_number { Type::Integer } else { Type::String };
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind).build()))
        .description(Some(description))
        .build()
}

/// Moves each parameter that several operations have to one place.
pub(super) struct Parameters;

impl utoipa::Modify for Parameters {
    fn modify(&self, openapi: &mut OpenApi) {
        let mut all: Vec<Parameter> = Vec::new();
        let mut shared: Vec<Parameter> = Vec::new();
        for parameter in
            openapi.paths.paths.values_mut().flat_map(operations_of).flat_map(|o| o.parameters.iter()).flatten()
        {
            let RefOr::T(parameter) = parameter else { continue };
            if !all.contains(parameter) {
                all.push(parameter.clone());
            } else if !shared.contains(parameter) {
                shared.push(parameter.clone());
            }
        }
        for operation in openapi.paths.paths.values_mut().flat_map(operations_of) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(own) = parameter
                    && shared.contains(own)
                {
                    let name = own.name.clone();
                    *parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
                }
            }
        }
        let components = openapi.components.get_or_insert_default();
        components.parameters.extend(shared.into_iter().map(|parameter| (parameter.name.clone(), RefOr::T(parameter))));
    }
}
