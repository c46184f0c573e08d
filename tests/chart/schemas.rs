//! What the chart renders, against the types of the API servers from 1.33 to 1.37.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{EVERYTHING, rendered};
use crate::harness::{Group, ensure};

const VERSIONS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

/// The types of a version as a JSON schema that knows no further fields.
fn types(version: &str) -> Map<String, Value> {
    let file = ensure(Group::Openapi)
        .unwrap()
        .join(format!("openapi/{version}.json"));
    let text = std::fs::read_to_string(file).unwrap();
    let mut api: Value = serde_json::from_str(&text).unwrap();
    let mut types = match api["definitions"].take() {
        Value::Object(types) => types,
        other => panic!("{version}: no definitions: {other}"),
    };
    for schema in types.values_mut() {
        strict(schema);
    }
    types
}

/// Swagger says less than it means: fields that it doesn't name are refused (or dropped) by the server, and these two
/// may be numbers.
fn strict(schema: &mut Value) {
    if schema["format"] == "int-or-string" {
        schema["type"] = json!(["string", "integer"]);
    }
    let closed = schema["properties"].is_object() && schema["additionalProperties"].is_null();
    if let Some(object) = schema.as_object_mut() {
        object.remove("format");
        if closed {
            object.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(strict);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(part).filter(|inner| inner.is_object()) {
            strict(inner);
        }
    }
}

/// The name of a type by group, version and kind.
fn type_of(types: &Map<String, Value>, object: &Value) -> Option<String> {
    let api = object["apiVersion"].as_str().unwrap();
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let wanted = json!({ "group": group, "version": version, "kind": object["kind"] });
    let found = types.iter().find(|(_, schema)| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.contains(&wanted))
    });
    found.map(|(name, _)| name.clone())
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    let read = parts.map(|part| serde_saphyr::from_str::<Value>(part).unwrap());
    read.filter(|document| !document.is_null()).collect()
}

#[test]
fn every_object_is_valid_for_every_supported_version() {
    let mut objects = documents(&rendered(&[]));
    objects.extend(documents(&rendered(&EVERYTHING)));
    assert!(objects.len() > 60, "{}", objects.len());
    for version in VERSIONS {
        let types = types(version);
        let mut by_type: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for object in &objects {
            match type_of(&types, object) {
                Some(name) => by_type.entry(name).or_default().push(object),
                // The API server judges these in the test of the life of a release.
                None => assert_eq!(
                    object["apiVersion"], "monitoring.coreos.com/v1",
                    "{version}: {object}"
                ),
            }
        }
        assert!(by_type.len() > 10, "{:?}", by_type.keys());
        let all = Value::Object(types);
        for (name, objects) in by_type {
            let schema = json!({ "$ref": format!("#/definitions/{name}"), "definitions": &all });
            let schema = jsonschema::draft4::new(&schema).unwrap();
            for object in objects {
                let wrong: Vec<String> = schema
                    .iter_errors(object)
                    .map(|error| format!("{}: {error}", error.instance_path))
                    .collect();
                let what = format!(
                    "{version}: {} {}",
                    object["kind"], object["metadata"]["name"]
                );
                assert!(wrong.is_empty(), "{what}: {wrong:#?}");
            }
        }
    }
}

#[test]
fn a_field_that_does_not_exist_is_noticed() {
    let types = types("1.37");
    let mut service = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "ports": [{ "port": 1, "targetPort": "x" }] } });
    let name = type_of(&types, &service).unwrap();
    let schema = json!({ "$ref": format!("#/definitions/{name}"), "definitions": types });
    let schema = jsonschema::draft4::new(&schema).unwrap();
    assert!(schema.is_valid(&service));
    service["spec"]["ports"][0]["portt"] = json!(1);
    assert!(!schema.is_valid(&service));
}
