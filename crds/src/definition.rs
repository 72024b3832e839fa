//! The CustomResourceDefinitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::status::NEVER_OBSERVED;
use crate::{MessageTemplate, RoutingPolicy, WhatsAppSender};

/// All three definitions.
pub fn all() -> [CustomResourceDefinition; 3] {
    [finish(WhatsAppSender::crd()), finish(MessageTemplate::crd()), finish(RoutingPolicy::crd())]
}

/// The file that a definition is kept in, such as `whatsappsenders.yaml`.
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.spec.names.plural)
}

/// The definition as YAML, with a line that says where it comes from.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    Ok(format!("# Generated from the types in src/ by `make generate`.\n{}", serde_yaml::to_string(definition)?))
}

fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        drop_nullable(schema);
        // An object that the operator has not seen yet must not look settled to tools that wait for it.
        if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(json!({ "observedGeneration": NEVER_OBSERVED })));
        }
    }
    definition
}

/// `field: null` then means the same as leaving the field out: the API server drops it, and rules need not expect it.
fn drop_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        drop_nullable(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => drop_nullable(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(drop_nullable),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        drop_nullable(values);
    }
}
