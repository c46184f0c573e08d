//! Which field of an object is wrong: serde says what is wrong with it, and not where it stands.

use serde_json::{Map, Value};

use crate::api::ControlPolicy;

/// What is wrong with an object that is no policy, after the path of the field that it is about.
pub(super) fn explain(object: &Value, error: &serde_json::Error) -> String {
    let why = error.to_string();
    let fails = |other: Value| {
        let read = serde_json::from_value::<ControlPolicy>(other);
        read.is_err_and(|error| error.to_string() == why)
    };
    at(object, &fails, &why)
}

/// What is wrong with an object, after the path of the field that it is about. `fails` says whether another object fails in the
/// same way.
pub(super) fn at(object: &Value, fails: &dyn Fn(Value) -> bool, why: &str) -> String {
    match path(object, fails).strip_prefix('.') {
        Some(path) => format!("{path}: {why}"),
        None => why.to_owned(),
    }
}

/// What is wrong, without the place in a text that nobody has before them.
pub(super) fn without_position(why: &str) -> &str {
    why.rsplit_once(" at line ").map_or(why, |(why, _)| why)
}

/// The path to the first part of `value` without which the whole does not fail as it does. `fails` says whether it fails so
/// with another value in this place.
fn path(value: &Value, fails: &dyn Fn(Value) -> bool) -> String {
    match value {
        Value::Object(fields) if !fails(Value::Object(Map::new())) => in_fields(fields, fails),
        Value::Array(items) if !fails(Value::Array(Vec::new())) => in_items(items, fails),
        // Nothing in it matters: it is wrong itself, or lacks something.
        _ => String::new(),
    }
}

/// Fields are read in their order: the first that makes the whole fail is the one that is told of.
fn in_fields(fields: &Map<String, Value>, fails: &dyn Fn(Value) -> bool) -> String {
    let mut read = Map::new();
    for (name, field) in fields {
        let with = |value: Value| {
            let mut with = read.clone();
            with.insert(name.clone(), value);
            Value::Object(with)
        };
        if fails(with(field.clone())) {
            let inner = path(field, &|value| fails(with(value)));
            return format!(".{name}{inner}");
        }
        read.insert(name.clone(), field.clone());
    }
    String::new()
}

/// The same of the items of a list.
fn in_items(items: &[Value], fails: &dyn Fn(Value) -> bool) -> String {
    for (number, item) in items.iter().enumerate() {
        let with = |value: Value| {
            let mut with = items[..number].to_vec();
            with.push(value);
            Value::Array(with)
        };
        if fails(with(item.clone())) {
            let inner = path(item, &|value| fails(with(value)));
            return format!("[{number}]{inner}");
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is said of a policy with this spec.
    fn said(spec: &Value) -> String {
        let object = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy", "metadata": { "name": "a" }, "spec": spec,
        });
        let read = serde_json::from_value::<ControlPolicy>(object.clone());
        explain(&object, &read.unwrap_err())
    }

    #[test]
    fn the_field_that_is_wrong_is_named_with_its_path() {
        let ways = |ways: &Value| json!({ "controls": { "netPolicyDead": {}, "netNamespaceDefaultDeny": { "directions": ways } } });
        for (spec, begin) in [
            (
                ways(&json!(["Ingress", "Egres"])),
                "spec.controls.netNamespaceDefaultDeny.directions[1]: unknown variant `Egres`",
            ),
            (
                ways(&json!(7)),
                "spec.controls.netNamespaceDefaultDeny.directions: invalid type",
            ),
            (
                json!({ "mode": "Enforced", "controls": {} }),
                "spec.mode: unknown variant `Enforced`",
            ),
            (
                json!({ "limits": { "writesPerMinute": "many" }, "controls": {} }),
                "spec.limits.writesPerMinute: invalid type",
            ),
            (
                json!({ "mode": "Observe" }),
                "spec: missing field `controls`",
            ),
        ] {
            let said = said(&spec);
            assert!(said.starts_with(begin), "{said}");
        }
    }

    #[test]
    fn of_the_same_mistake_in_two_fields_one_is_named() {
        let bad = json!({ "severity": "Bad" });
        let controls = json!({ "netNamespaceDefaultDeny": bad, "netPolicyDead": bad });
        let said = said(&json!({ "controls": controls }));
        let begin = "spec.controls.netNamespaceDefaultDeny.severity: unknown variant `Bad`";
        assert!(said.starts_with(begin), "{said}");
    }
}
