//! Attacks on the rules by which people ask and decide, each by the user who would try it.

use serde_json::{Value, json};

use super::cluster::{
    DEPLOYER, NAMESPACE, People, SHARED, accepted, decision, exception, in_days, named, refused,
};

const REQUESTER: &str = "probity-requester";
const APPROVER: &str = "probity-approver";

#[test]
fn nobody_asks_in_anothers_name_or_approves_what_they_asked_for() {
    let people = People::start();
    people
        .cluster
        .kubectl_ok(&["create", "namespace", "shop"], None);
    asking(&people);
    deciding(&people);
    impersonal_accounts(&people);
    what_is_decided_stands(&people);
    roles_reach_nobody_by_aggregation(&people);
}

fn with(mut object: Value, spec: &Value) -> Value {
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

fn asking(people: &People) {
    let alice = people.user("alice", &[REQUESTER]);
    let mallory = people.user("mallory", &[REQUESTER, APPROVER]);
    let asked = |name: &str, spec: Value| with(exception(name, "shop"), &spec);
    for (spec, because) in [
        (json!({ "requestedBy": "bob" }), "write your own name"),
        (
            json!({ "expiresAt": in_days(91) }),
            "an exception lasts 90 days at most",
        ),
        (json!({ "expiresAt": in_days(-1) }), "is over already"),
        (
            json!({ "control": "net-no-such-control" }),
            "Unsupported value",
        ),
        (json!({ "kind": "FalsePositive" }), "needs spec.ruleVersion"),
        (json!({ "selector": {} }), "one of both"),
        (json!({ "ticket": "" }), "spec.ticket"),
    ] {
        people.create_refused(&alice, &asked("refused", spec), because);
    }
    people.create(&alice, &asked("asked", json!({})));
    let asked_for = named("shop", "asked");
    let change = |field: &str, value: Value| json!({ "spec": { field: value } });
    for (who, change, because) in [
        (
            &alice,
            change("expiresAt", json!(in_days(31))),
            "can't be changed",
        ),
        (
            &alice,
            change("requestedBy", json!("mallory")),
            "can't be changed",
        ),
        (
            &alice,
            change("breakGlass", json!(true)),
            "nor can another become one",
        ),
        (
            &mallory,
            change("reason", json!("something else")),
            "only alice",
        ),
    ] {
        refused(&people.patch(who, &asked_for, &change), because);
    }
    accepted(&people.patch(
        &alice,
        &asked_for,
        &change("reason", json!("another reason")),
    ));
    people.create(&alice, &asked("glass", json!({ "breakGlass": true })));
    let wider = change(
        "subjects",
        json!([{ "kind": "Namespace", "name": "other" }]),
    );
    let glass = named("shop", "glass");
    refused(&people.patch(&alice, &glass, &wider), "can't be changed");
    refused(
        &people.patch(&alice, &glass, &change("breakGlass", Value::Null)),
        "can't be changed",
    );
}

fn deciding(people: &People) {
    let bob = people.user("bob", &[APPROVER]);
    let alice = people.user("alice", &[]);
    let mallory = people.user("mallory", &[]);
    let mut own = exception("own", "shop");
    own["spec"]["requestedBy"] = json!("mallory");
    people.create(&mallory, &own);
    let own = named("shop", "own").status();
    let glass = named("shop", "glass").status();
    let approve = |by: &str| decision(by, "Approved");
    refused(
        &people.patch(&mallory, &own, &approve("mallory")),
        "asked for it",
    );
    refused(
        &people.patch(&mallory, &own, &approve("bob")),
        "is not who you are",
    );
    refused(
        &people.patch(&bob, &glass, &approve("mallory")),
        "is not who you are",
    );
    refused(
        &people.patch(&alice, &glass, &approve("alice")),
        "forbidden",
    );
    let mut older = approve("bob");
    older["status"]["decision"]["generation"] = json!(7);
    refused(
        &people.patch(&bob, &glass, &older),
        "is about another version",
    );
    let seen = json!({ "status": { "observed": {
        "phase": "Active", "since": in_days(0), "subjects": 0, "message": "m" } } });
    refused(&people.patch(&bob, &glass, &seen), "only Probity writes it");
    let both = json!({ "status": { "observed": seen["status"]["observed"],
        "decision": approve("bob")["status"]["decision"] } });
    refused(&people.patch(&bob, &glass, &both), "only Probity writes it");
    // The main resource has no status: what it says of one is dropped.
    let sneaked = people.patch(&mallory, &named("shop", "own"), &approve("mallory"));
    accepted(&sneaked);
    assert_eq!(people.get(&own)["status"], Value::Null);
    let mut born = exception("born-approved", "shop");
    born["spec"]["requestedBy"] = json!("mallory");
    born["status"] = approve("mallory")["status"].clone();
    people.create(&mallory, &born);
    assert_eq!(
        people.get(&named("shop", "born-approved"))["status"],
        Value::Null
    );
}

fn impersonal_accounts(people: &People) {
    let deployer = people.user(DEPLOYER, &["cluster-admin"]);
    let shared = people.user(SHARED, &["cluster-admin"]);
    let robot = people.account("shop", "robot");
    let operator = people.account(NAMESPACE, "probity");
    let place = named("shop", "own").status();
    let robot_name = "system:serviceaccount:shop:robot";
    for (who, name) in [
        (&deployer, DEPLOYER),
        (&shared, SHARED),
        (&robot, robot_name),
    ] {
        let written = people.patch(who, &place, &decision(name, "Approved"));
        refused(&written, "a person has to decide");
    }
    let own = "system:serviceaccount:probity-system:probity";
    let mut status = decision(own, "Approved");
    status["apiVersion"] = json!("probity.dev/v1alpha1");
    status["kind"] = json!("ControlException");
    status["metadata"] = json!({ "name": "own", "namespace": "shop" });
    // It may write a status, but not read one: kubectl patch would begin with that.
    let apply = [
        "apply",
        "--server-side",
        "--subresource=status",
        "--validate=false",
    ];
    let written = people.kubectl_as(&operator, &apply, Some(&status));
    refused(&written, "Probity itself decides nothing");
    // What GitOps creates is asked for by its account.
    let mut deployed = exception("deployed", "shop");
    people.create_refused(&deployer, &deployed, "write your own name");
    deployed["spec"]["requestedBy"] = json!(DEPLOYER);
    people.create(&deployer, &deployed);
}

fn what_is_decided_stands(people: &People) {
    let bob = people.user("bob", &[]);
    let carol = people.user("carol", &[APPROVER]);
    let deployer = people.user(DEPLOYER, &[]);
    let approved = people.probity(
        &bob,
        &["approve", "controlexception/deployed", "-n", "shop"],
    );
    assert_eq!(approved.code, Some(0), "{}", approved.stderr);
    let place = named("shop", "deployed");
    let there = people.get(&place);
    assert_eq!(there["status"]["decision"]["by"], "bob");
    let again = people.probity(
        &carol,
        &["reject", "controlexception/deployed", "-n", "shop"],
    );
    assert_eq!(again.code, Some(2));
    assert!(
        again.stderr.contains("Approved by bob already"),
        "{}",
        again.stderr
    );
    for (who, by, verdict) in [(&bob, "bob", "Rejected"), (&carol, "carol", "Rejected")] {
        let written = people.patch(who, &place.status(), &decision(by, verdict));
        refused(&written, "a decision stands");
    }
    let undone = json!({ "status": { "decision": null } });
    refused(
        &people.patch(&bob, &place.status(), &undone),
        "a decision stands",
    );
    let wider = json!({ "spec": { "subjects": [{ "kind": "Namespace", "name": "pay" }] } });
    refused(&people.patch(&deployer, &place, &wider), "is decided");
    // GitOps applies the same again, and neither writes nor reverts what was decided.
    let mut manifest = exception("deployed", "shop");
    manifest["spec"] = there["spec"].clone();
    let applied = people.kubectl_as(&deployer, &["apply", "--server-side"], Some(&manifest));
    accepted(&applied);
    assert_eq!(people.get(&place)["status"], there["status"]);
    let mine = people.probity(&bob, &["reject", "controlexception/own", "-n", "shop"]);
    assert_eq!(mine.code, Some(0), "{}", mine.stderr);
}

fn roles_reach_nobody_by_aggregation(people: &People) {
    for role in ["view", "edit", "admin"] {
        let rules = people
            .cluster
            .kubectl_ok(&["get", "clusterrole", role, "-o", "json"], None);
        assert!(!rules.contains("probity.dev"), "{role}: {rules}");
    }
    let auditor = people.user("auditor", &["probity-auditor"]);
    let can = |verb: &str, what: &str| {
        let output = people.kubectl_as(&auditor, &["auth", "can-i", verb, what, "-A"], None);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(can("list", "controlexceptions.probity.dev"), "yes");
    assert_eq!(can("create", "controlexceptions.probity.dev"), "no");
    assert_eq!(can("patch", "controlexceptions.probity.dev/status"), "no");
}
