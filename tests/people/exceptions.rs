//! Exceptions from the request to their end, with the operator as the chart installs it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, People, Place, accepted, exception, named};
use crate::operator::program::output;
use crate::operator::world::eventually;

const POLICY: &str = "
apiVersion: probity.dev/v1alpha1
kind: ControlPolicy
metadata: {name: soc2}
spec: {scope: {include: [shop]}, controls: {netNamespaceDefaultDeny: {}}}
";

/// The policy's counts as soon as they are as wanted.
fn counts(people: &People, wanted: &Value) {
    let policy = Place {
        kind: "controlpolicy",
        namespace: "",
        name: "soc2",
        status: false,
    };
    people.becomes(&policy, |policy| {
        let subjects = &policy["status"]["summary"]["subjects"];
        wanted
            .as_object()
            .unwrap()
            .iter()
            .all(|(outcome, count)| subjects[outcome] == *count)
    });
}

#[test]
fn an_exception_is_approved_accepts_a_failure_and_expires_by_itself() {
    let people = People::start();
    people
        .cluster
        .kubectl_ok(&["create", "namespace", "shop"], None);
    let alice = people.user("alice", &["probity-requester"]);
    let bob = people.user("bob", &["probity-approver"]);
    let replica = people.operator();
    let mut program = replica.start();
    people
        .cluster
        .kubectl_ok(&["apply", "-f", "-"], Some(POLICY));
    counts(&people, &json!({ "fail": 1, "excepted": 0 }));
    let expires = Timestamp::now() + SignedDuration::from_secs(25);
    let mut object = exception("legacy", "shop");
    object["spec"]["expiresAt"] = json!(format!("{expires:.0}"));
    people.create(&alice, &object);
    let place = named("shop", "legacy");
    let phase = |wanted: &str| {
        people.becomes(&place, |object| {
            object["status"]["observed"]["phase"] == *wanted
        })
    };
    phase("Pending");
    let approve = [
        "approve",
        "controlexception/legacy",
        "-n",
        "shop",
        "--comment",
        "agreed",
    ];
    let approved = people.probity(&bob, &approve);
    assert_eq!(approved.code, Some(0), "{}", approved.stderr);
    assert!(approved.stdout.contains("net-namespace-default-deny"));
    counts(&people, &json!({ "fail": 0, "excepted": 1 }));
    let active = phase("Active");
    assert_eq!(active["status"]["decision"]["by"], "bob");
    assert!(active["status"]["observed"]["decidedAt"].is_string());
    program.metric_becomes("exceptions_active", &[("kind", "AcceptedRisk")], 1.0);
    // Nobody touches anything now.
    counts(&people, &json!({ "fail": 1, "excepted": 0 }));
    assert!(Timestamp::now() >= expires - SignedDuration::from_secs(1));
    phase("Expired");
    program.ready();
    program.kill();
    while_nobody_looks(&people, &replica);
}

/// The operator is away while an exception is deleted and another is created.
fn while_nobody_looks(people: &People, replica: &crate::operator::program::Replica) {
    let alice = people.user("alice", &[]);
    let delete = ["delete", "controlexception", "legacy", "-n", "shop"];
    accepted(&people.kubectl_as(&alice, &delete, None));
    let mut object = exception("emergency", "shop");
    object["spec"]["breakGlass"] = json!(true);
    people.create(&alice, &object);
    let program = replica.start();
    counts(people, &json!({ "fail": 0, "excepted": 1 }));
    people.becomes(&named("shop", "emergency"), |object| {
        object["status"]["observed"]["phase"] == "BreakGlass"
    });
    eventually("the whole log", || {
        let said = steps(replica);
        let wanted = [
            ("legacy", "Created", "alice"),
            ("legacy", "Approved", "bob"),
            ("legacy", "Expired", ""),
            ("emergency", "Created", "alice"),
            ("legacy", "Deleted", ""),
        ];
        let mut sorted = said.clone();
        sorted.sort();
        let mut wanted: Vec<_> = wanted
            .map(|(name, step, who)| (name.to_owned(), step.to_owned(), who.to_owned()))
            .into();
        wanted.sort();
        if sorted == wanted {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    });
    assert!(program.stop().success());
    let transitions = replica.said("transition");
    let causes: Vec<_> = transitions.iter().map(|said| &said["cause"]).collect();
    assert_eq!(causes, ["Policy", "Exception", "Exception", "Exception"]);
    assert_eq!(transitions[1]["ended"], "Excepted");
    let accepted: Vec<_> = transitions.iter().map(|said| &said["accepted"]).collect();
    let by = |name: &str, approved: bool| json!({ "by": format!("ControlException shop/{name}"), "approved": approved });
    let (legacy, emergency) = (by("legacy", true), by("emergency", false));
    assert_eq!(accepted, [&Value::Null, &legacy, &Value::Null, &emergency]);
    in_the_pack(replica);
    assert!(
        people
            .cluster
            .kubectl_ok(&["get", "lease", "-n", NAMESPACE], None)
            .contains("probity")
    );
}

/// An auditor reads who accepted what, without the cluster.
fn in_the_pack(replica: &crate::operator::program::Replica) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let today = Timestamp::now().to_string()[..10].to_owned();
    let period = json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": "today" },
        "spec": { "start": today, "end": today, "timeZone": "UTC" },
    });
    let (file, pack) = (path("period.yaml"), path("pack"));
    std::fs::write(&file, period.to_string()).unwrap();
    let data = replica.data().display().to_string();
    let report = ["report", "--period", &file, "--log", &data, "--out", &pack];
    let made = output(&report);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let table = std::fs::read_to_string(format!("{pack}/management-approved-exemptions.csv"));
    let table = table.unwrap();
    let rows: Vec<&str> = table.lines().skip(1).collect();
    let [legacy, emergency] = rows[..] else {
        panic!("{table}");
    };
    let asked = |name: &str, approval: &str| {
        format!(",{approval},ControlException shop/{name},AcceptedRisk,alice,")
    };
    let approved = format!("{}bob,", asked("legacy", "approved"));
    assert!(legacy.contains(&approved), "{table}");
    let unapproved = format!("{},,", asked("emergency", "none"));
    assert!(emergency.contains(&unapproved), "{table}");
}

/// Name, step and user of all that the log says of exceptions.
fn steps(replica: &crate::operator::program::Replica) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = replica.said("exception").into_iter();
    said.map(|said| (text(&said["name"]), text(&said["step"]), text(&said["who"])))
        .collect()
}
