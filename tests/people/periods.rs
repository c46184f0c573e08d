//! Audit periods, with the operator as the chart installs it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{People, Place, accepted};
use crate::operator::world::eventually;

const POLICY: &str = "
apiVersion: probity.dev/v1alpha1
kind: ControlPolicy
metadata: {name: soc2}
spec: {scope: {include: [shop]}, controls: {netNamespaceDefaultDeny: {}, assuranceClock: {}, assurancePermissions: {}}}
";

fn period(name: &str, end: &str) -> Value {
    let today = Timestamp::now().to_string()[..10].to_owned();
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": "AuditPeriod", "metadata": { "name": name },
        "spec": { "start": today, "end": end, "timeZone": "Europe/Vienna" },
    })
}

fn place(name: &str) -> Place<'_> {
    Place {
        kind: "auditperiod",
        namespace: "",
        name,
        status: false,
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["observed"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story of one object")]
fn a_period_lives_in_the_cluster_and_in_the_log() {
    let people = People::start();
    people
        .cluster
        .kubectl_ok(&["create", "namespace", "shop"], None);
    let author = people.user("alice", &["probity-author"]);
    let requester = people.user("rita", &["probity-requester"]);
    let replica = people.operator();
    let mut program = replica.start();
    people
        .cluster
        .kubectl_ok(&["apply", "-f", "-"], Some(POLICY));
    let policy = Place {
        kind: "controlpolicy",
        name: "soc2",
        ..place("")
    };
    people.becomes(&policy, |policy| {
        policy["status"]["summary"]["failing"] == 1
    });
    let refused = people.kubectl_as(&requester, &["create"], Some(&period("h1", "2199-06-30")));
    assert!(
        !refused.status.success(),
        "who asks for exceptions defines no periods"
    );
    accepted(&people.kubectl_as(&author, &["create"], Some(&period("h1", "2199-06-30"))));

    let seen = people.becomes(&place("h1"), |object| {
        object["status"]["observed"]["deviations"] == 1
    });
    let observed = &seen["status"]["observed"];
    assert_eq!(observed["open"], 1, "{seen}");
    let controls = observed["controls"].as_array().unwrap();
    let control = &controls[0];
    assert_eq!(
        (&control["id"], &control["policy"], &control["open"]),
        (
            &json!("net-namespace-default-deny"),
            &json!("soc2"),
            &json!(1)
        ),
        "open deviations come first"
    );
    assert_eq!(condition(&seen, "Ready").unwrap()["status"], "True");
    assert_eq!(
        condition(&seen, "StartsBeforeLog").unwrap()["status"],
        "True",
        "the day began before"
    );
    assert_eq!(observed["evidence"][0]["first"], 0);
    assert!(
        observed["evidence"][0]["log"]
            .as_str()
            .unwrap()
            .contains('/')
    );
    let columns = people
        .cluster
        .kubectl_ok(&["get", "auditperiod", "h1"], None);
    for column in [
        "OPERATED",
        "DEVIATIONS",
        "OPEN",
        "NEXT DUE",
        "READY",
        "2199-06-30",
    ] {
        assert!(columns.contains(column), "{columns}");
    }

    // Quiet while nothing happens.
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(version(&people.get(&place("h1"))), version(&seen));

    // Another one overlaps it, which both say.
    accepted(&people.kubectl_as(&author, &["create"], Some(&period("q1", "2199-03-31"))));
    for name in ["h1", "q1"] {
        people.becomes(&place(name), |object| {
            condition(object, "Overlaps").is_some_and(|found| found["status"] == "True")
        });
    }
    people
        .cluster
        .kubectl_ok(&["delete", "auditperiod", "q1"], None);
    people.becomes(&place("h1"), |object| {
        condition(object, "Overlaps").is_some_and(|found| found["status"] == "False")
    });
    let steps = eventually("every step of the periods in the log", || {
        let said = replica.said("period");
        let steps: Vec<String> = said
            .iter()
            .map(|said| {
                format!(
                    "{} {}",
                    said["name"].as_str().unwrap(),
                    said["step"].as_str().unwrap()
                )
            })
            .collect();
        if steps.len() >= 3 {
            Ok(steps)
        } else {
            Err(format!("{steps:?}"))
        }
    });
    assert_eq!(steps, ["h1 Created", "q1 Created", "q1 Deleted"]);
    program.ready();
    assert!(program.stop().success());
}
