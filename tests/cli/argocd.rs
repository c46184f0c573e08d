//! What GitOps tools make of a policy's status: Argo CD's health check, `kubectl wait` and kstatus.

use mlua::{Lua, Table};
use serde_json::{Value, json};

use crate::operator::program::Replica;
use crate::operator::world::{POLICIES, turn};

const CHECK: &str = include_str!("../../docs/argocd/health.lua");

/// A value as Lua has it.
fn table(lua: &Lua, value: &Value) -> mlua::Value {
    let string = |text: &str| mlua::Value::String(lua.create_string(text).unwrap());
    match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(yes) => mlua::Value::Boolean(*yes),
        Value::Number(number) => mlua::Value::Number(number.as_f64().unwrap()),
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items = items.iter().map(|item| table(lua, item));
            mlua::Value::Table(lua.create_sequence_from(items).unwrap())
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (string(key), table(lua, value)));
            mlua::Value::Table(lua.create_table_from(fields).unwrap())
        }
    }
}

/// What Argo CD would show: it gives the object as the global `obj`.
fn health(object: &Value) -> (String, String) {
    let lua = Lua::new();
    lua.globals().set("obj", table(&lua, object)).unwrap();
    let health: Table = lua.load(CHECK).eval().unwrap();
    (
        health.get("status").unwrap(),
        health.get("message").unwrap(),
    )
}

#[test]
fn health_is_about_the_policy_and_not_about_what_it_finds() {
    let object = |ready: &str, observed: i64, suspend: bool| {
        json!({
            "metadata": { "generation": 2 }, "spec": { "suspend": suspend },
            "status": {
                "observedGeneration": observed,
                "conditions": [
                    { "type": "Ready", "status": ready, "message": "about it" },
                    { "type": "Compliant", "status": "False", "message": "3 of 5 fail" },
                ],
            },
        })
    };
    let status = |object: &Value| health(object).0;
    let well = object("True", 2, false);
    assert_eq!(
        health(&well),
        ("Healthy".to_owned(), "3 of 5 fail".to_owned())
    );
    assert_eq!(status(&object("False", 2, false)), "Degraded");
    assert_eq!(status(&object("Unknown", 2, false)), "Progressing");
    assert_eq!(status(&object("True", 1, false)), "Progressing");
    assert_eq!(status(&object("True", 2, true)), "Suspended");
    let new = json!({ "metadata": { "generation": 1 }, "spec": {} });
    assert_eq!(status(&new), "Progressing");
}

#[test]
fn a_policy_that_works_is_waited_for_and_healthy() {
    let world = turn();
    let (namespace, _) = world.denying_namespace();
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.default_deny("Observe", &namespace);
    let wait = [
        "wait",
        "controlpolicy",
        &policy,
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    world.cluster.kubectl_ok(&wait, None);
    let object = world.get(&format!("{POLICIES}/{policy}")).unwrap();
    assert_eq!(health(&object).0, "Healthy", "{object:#}");
    // What kstatus asks for: the generation that the conditions are about, and none that says that
    // something is under way or stuck.
    let status = &object["status"];
    assert_eq!(
        status["observedGeneration"],
        object["metadata"]["generation"]
    );
    let conditions = status["conditions"].as_array().unwrap();
    for condition in conditions {
        assert_eq!(
            condition["observedGeneration"],
            object["metadata"]["generation"]
        );
        assert!(!["Reconciling", "Stalled"].contains(&condition["type"].as_str().unwrap()));
    }
    assert!(program.stop().success());
}
