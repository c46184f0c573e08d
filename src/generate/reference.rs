//! The page about every kind of the API.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::{
    GENERATED,
    docs::{cell, enumerated},
};
use crate::api;

/// The pattern of every duration of the API.
const DURATION: &str = "^[0-9]+[smhd]$";
/// The field whose fields are the controls, each of which has a page of its own.
const CONTROLS: &str = "spec.controls";

/// The page about all of them.
pub(super) fn page(definitions: &[(&'static str, CustomResourceDefinition)]) -> String {
    let mut text = format!(
        "<!-- {GENERATED} -->\n\
         # API reference\n\n\
         Every kind of `{group}/{version}`. `kubectl explain` says the same of the cluster that you \
         are connected to.\n\n\
         A field is written with its path; `[]` stands for each item of a list, and `*` for each key \
         of a map. Durations are a number and a unit: `s`, `m`, `h` or `d`. Times are RFC 3339, such \
         as `2026-06-30T12:00:00Z`. What is out of bounds, or against a rule, is refused by the API \
         server, which names the field.\n\n\
         | Kind | Short | Scope | Says |\n|---|---|---|---|\n",
        group = api::GROUP,
        version = api::VERSION,
    );
    for (_, definition) in definitions {
        let kind = &definition.spec.names.kind;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| [`{kind}`](#{}) | {} | {} | {} |",
            kind.to_lowercase(),
            short_names(definition),
            scope(definition),
            first_sentence(schema(definition)),
        );
    }
    for (_, definition) in definitions {
        text.push_str(&section(definition));
    }
    text
}

/// What there is to know about one kind.
fn section(definition: &CustomResourceDefinition) -> String {
    let kind = &definition.spec.names.kind;
    let Some(schema) = schema(definition) else {
        return String::new();
    };
    let mut text = format!(
        "\n## {kind}\n\n{}\n",
        schema.description.as_deref().unwrap_or_default()
    );
    let columns: Vec<_> = version(definition)
        .and_then(|version| version.additional_printer_columns.as_deref())
        .unwrap_or_default()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "\n`kubectl get {}` shows: {}.",
        definition.spec.names.plural,
        columns.join(", ")
    );
    for part in ["spec", "status"] {
        let Some(fields) = schema.properties.as_ref().and_then(|all| all.get(part)) else {
            continue;
        };
        let _ = write!(
            text,
            "\n### {kind} {part}\n\n| Field | Type | Bounds and default | Description |\n|---|---|---|---|\n"
        );
        rows(&mut text, part, fields);
    }
    let mut rules = String::new();
    list_rules(&mut rules, "", schema);
    if !rules.is_empty() {
        let _ = write!(text, "\n### {kind} rules\n\n{rules}");
    }
    text
}

/// A row for each field below `path`.
fn rows(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    if path == CONTROLS {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| `{path}.*` | object | | A control with its parameters; `{{}}` takes the defaults. \
             [The pages of the controls](../controls/README.md) list them. |"
        );
        return;
    }
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let required = schema.required.iter().flatten().any(|field| field == name);
        let mut limits = bounds(field);
        match &field.default {
            Some(default) => limits.push(format!("default `{}`", cell(&default.0.to_string()))),
            None if required => limits.insert(0, "**required**".to_owned()),
            None => {}
        }
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| `{path}` | {} | {} | {} |",
            type_of(field),
            limits.join("; "),
            cell(field.description.as_deref().unwrap_or_default())
        );
        rows(text, &path, field);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        rows(text, &format!("{path}[]"), items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        rows(text, &format!("{path}.*"), values);
    }
}

/// A line for each rule of validation, in the words in which the API server refuses.
fn list_rules(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let at = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
        let at = if at.is_empty() {
            "the object".to_owned()
        } else {
            format!("`{at}`")
        };
        let message = rule.message.as_deref().unwrap_or(&rule.rule);
        // Writing to a string can't fail.
        let _ = writeln!(text, "- {at}: {}.", cell(message));
    }
    for (name, field) in schema.properties.iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        list_rules(text, &path, field);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        list_rules(text, &format!("{path}[]"), items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        list_rules(text, &format!("{path}.*"), values);
    }
}

/// The type of a field, without its bounds.
fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(values) = enumerated(schema) {
        return values;
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return format!("list of {}", type_of(items));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return format!("map to {}", type_of(values));
    }
    match (schema.format.as_deref(), schema.pattern.as_deref()) {
        (Some("date-time"), _) => "time".to_owned(),
        (_, Some(DURATION)) => "duration".to_owned(),
        _ => schema.type_.as_deref().unwrap_or("any").to_owned(),
    }
}

/// What values of a field have to keep to.
fn bounds(schema: &JSONSchemaProps) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(range(schema.min_items, schema.max_items, "items"));
    found.extend(range(schema.min_properties, schema.max_properties, "keys"));
    // The bound of a duration follows from its form, and that of a choice from its values.
    let is_text = schema.enum_.is_none() && type_of(schema) == "string";
    if is_text {
        found.extend(range(schema.min_length, schema.max_length, "characters"));
        let pattern = schema.pattern.as_deref();
        found.extend(pattern.map(|pattern| format!("matches `{}`", cell(pattern))));
    }
    found.extend(range(schema.minimum, schema.maximum, ""));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        let each = bounds(items);
        found.extend((!each.is_empty()).then(|| format!("each {}", each.join(", "))));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        let each = bounds(values);
        found.extend((!each.is_empty()).then(|| format!("each {}", each.join(", "))));
    }
    found
}

/// A range in words.
fn range<T: std::fmt::Display>(least: Option<T>, most: Option<T>, of: &str) -> Option<String> {
    let text = match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most} {of}"),
        (Some(least), None) => format!("at least {least} {of}"),
        (None, Some(most)) => format!("at most {most} {of}"),
        (None, None) => return None,
    };
    Some(text.trim_end().to_owned())
}

fn version(definition: &CustomResourceDefinition) -> Option<&CustomResourceDefinitionVersion> {
    definition.spec.versions.first()
}

fn schema(definition: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    version(definition)?
        .schema
        .as_ref()?
        .open_api_v3_schema
        .as_ref()
}

fn short_names(definition: &CustomResourceDefinition) -> String {
    let names = definition.spec.names.short_names.iter().flatten();
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn scope(definition: &CustomResourceDefinition) -> &'static str {
    match definition.spec.scope.as_str() {
        "Namespaced" => "a namespace",
        _ => "the cluster",
    }
}

/// The first sentence of a description.
fn first_sentence(schema: Option<&JSONSchemaProps>) -> String {
    let text = schema.and_then(|schema| schema.description.as_deref());
    let text = cell(text.unwrap_or_default());
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}
