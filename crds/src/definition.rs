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

/// The definition as YAML, with a first line that names its source.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    Ok(format!("# Generated from the types in src/ by `make generate`.\n{}", serde_yaml::to_string(definition)?))
}

fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        drop_nullable(schema);
        // An object before its first reconcile must not look ready to tools that wait for it.
        if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            drop_rules(status);
            status.default = Some(JSON(json!({ "observedGeneration": NEVER_OBSERVED })));
        }
    }
    definition
}

/// Makes `field: null` mean the same as leaving the field out: the API server drops it, and rules need not expect it.
fn drop_nullable(schema: &mut JSONSchemaProps) {
    visit(schema, &mut |schema| schema.nullable = None);
}

/// Rules check what people write. A status that repeats a part of the spec must not be charged for them again.
fn drop_rules(schema: &mut JSONSchemaProps) {
    visit(schema, &mut |schema| schema.x_kubernetes_validations = None);
}

fn visit(schema: &mut JSONSchemaProps, action: &mut dyn FnMut(&mut JSONSchemaProps)) {
    action(schema);
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        visit(property, action);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => visit(items, action),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| visit(item, action)),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        visit(values, action);
    }
}
