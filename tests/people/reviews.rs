//! Attestations, reviews of rights and responses, as people make them, with the operator as the chart
//! installs it.

use serde_json::{Value, json};

use super::cluster::{NAMESPACE, People, Place, in_days, refused};
use crate::operator::{program::Replica, world::eventually};

const POLICY: &str = "
apiVersion: probity.dev/v1alpha1
kind: ControlPolicy
metadata: {name: soc2}
spec: {controls: {rbacAccessReviewCurrent: {}, attestVendorReview: {}}}
";

const fn outside<'a>(kind: &'a str, name: &'a str) -> Place<'a> {
    Place {
        kind,
        namespace: "",
        name,
        status: false,
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "probity.dev/v1alpha1", "kind": kind,
        "metadata": { "name": name }, "spec": spec,
    })
}

#[test]
fn people_attest_review_rights_and_answer_for_deviations() {
    let people = People::start();
    people
        .cluster
        .kubectl_ok(&["create", "namespace", "shop"], None);
    for user in ["erin", "frank"] {
        let name = format!("edit-{user}");
        let user = format!("--user={user}");
        let bind = [
            "create",
            "rolebinding",
            &name,
            "--clusterrole=edit",
            &user,
            "-n",
            "shop",
        ];
        people.cluster.kubectl_ok(&bind, None);
    }
    let replica = people.operator();
    let program = replica.start();
    people
        .cluster
        .kubectl_ok(&["apply", "-f", "-"], Some(POLICY));
    attesting(&people);
    reviewing(&people, &replica);
    responding(&people, &replica);
    assert!(program.stop().success());
}

fn attesting(people: &People) {
    let alice = people.user("alice", &["probity-requester"]);
    let bob = people.user("bob", &["probity-approver"]);
    let both = people.user("mallory", &["probity-requester", "probity-approver"]);
    let spec = |by: &str, control: &str| {
        json!({
            "control": control, "statement": "all were reviewed", "attestedBy": by,
            "from": in_days(-90), "to": in_days(-1), "validUntil": in_days(365),
            "evidence": [{ "uri": "https://files/vendors.pdf", "sha256": "0".repeat(64) }],
        })
    };
    let id = "attest-vendor-review";
    let named = |by: &str, control: &str| object("Attestation", "vendors", &spec(by, control));
    people.create_refused(&alice, &named("bob", id), "write your own name");
    people.create_refused(
        &alice,
        &named("alice", "net-host-network"),
        "Unsupported value",
    );
    let mut bad = named("alice", id);
    bad["spec"]["evidence"][0]["sha256"] = json!("ABC");
    people.create_refused(&alice, &bad, "sha256");
    bad["spec"]["evidence"] = json!([]);
    people.create_refused(&alice, &bad, "spec.evidence");
    bad["spec"] = spec("alice", id);
    bad["spec"]["to"] = json!(in_days(-100));
    people.create_refused(&alice, &bad, "ends after it begins");
    people.create(&both, &named("mallory", id));
    let own = people.probity(&both, &["approve", "attestation/vendors"]);
    assert_eq!(own.code, Some(2));
    assert!(
        own.stderr.contains("somebody else has to decide"),
        "{}",
        own.stderr
    );
    let place = outside("attestation", "vendors");
    let decision = json!({ "status": { "decision":
        { "verdict": "Approved", "by": "mallory", "generation": 1 } } });
    refused(
        &people.patch(&both, &place.status(), &decision),
        "asked for it",
    );
    let approved = people.probity(&bob, &["approve", "attestation/vendors"]);
    assert_eq!(approved.code, Some(0), "{}", approved.stderr);
    people.becomes(&place, |object| {
        object["status"]["observed"]["phase"] == "Valid"
    });
    people.becomes(&outside("controlpolicy", "soc2"), |policy| {
        let controls = policy["status"]["controls"]
            .as_array()
            .into_iter()
            .flatten();
        let mut ours = controls.filter(|control| control["id"] == id);
        ours.any(|control| control["outcome"] == "Pass")
    });
}

fn reviewing(people: &People, replica: &Replica) {
    let alice = people.user("alice", &[]);
    let carol = people.user("carol", &["probity-approver", "probity-auditor"]);
    let dave = people.user("dave", &["probity-approver"]);
    people.create(
        &alice,
        &object(
            "AccessReview",
            "shop-q2",
            &json!({ "namespace": "shop", "due": in_days(7) }),
        ),
    );
    let place = outside("accessreview", "shop-q2");
    let open = people.becomes(&place, |object| {
        object["status"]["observed"]["phase"] == "Open"
    });
    assert_eq!(open["status"]["observed"]["rows"], 2);
    let frozen = replica.said("review").into_iter();
    let frozen: Vec<Value> = frozen.filter(|said| said["step"] == "Frozen").collect();
    let rows = frozen[0]["decision"].as_array().unwrap();
    let id = |who: &str| {
        let mut rows = rows.iter().filter(|row| row["who"] == *who);
        rows.next().unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (erin, frank) = (id("User erin"), id("User frank"));
    let sha256 = &open["status"]["observed"]["sha256"];
    let written = |by: &str, sha256: &Value, rows: Value| {
        let review = json!({ "by": by, "sha256": sha256, "rows": rows });
        json!({ "status": { "review": review } })
    };
    let all = json!({ erin.clone(): "Keep", frank.clone(): "Revoke" });
    let status = place.status();
    let few = written("dave", sha256, json!({ erin.clone(): "Keep" }));
    refused(
        &people.patch(&dave, &status, &few),
        "is not about every row",
    );
    let other = written("dave", &json!("0".repeat(64)), all.clone());
    refused(
        &people.patch(&dave, &status, &other),
        "is not about every row",
    );
    let named = written("carol", sha256, all.clone());
    refused(&people.patch(&dave, &status, &named), "is not who you are");
    refused(
        &people.patch(&alice, &status, &written("alice", sha256, all)),
        "forbidden",
    );
    let narrower = json!({ "spec": { "namespace": "default" } });
    refused(&people.patch(&alice, &place, &narrower), "is frozen");
    let shown = people.probity(&carol, &["review", "shop-q2"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(
        shown
            .stdout
            .contains("User frank by RoleBinding shop/edit-frank"),
        "{}",
        shown.stdout
    );
    let decide = ["review", "shop-q2", "--revoke", &frank, "--keep-others"];
    let decided = people.probity(&carol, &decide);
    assert_eq!(
        decided.code,
        Some(0),
        "{}{}",
        decided.stdout,
        decided.stderr
    );
    let waiting = people.becomes(&place, |object| {
        object["status"]["observed"]["remaining"] == 1
    });
    assert_eq!(waiting["status"]["review"]["by"], "carol");
    let undone = json!({ "status": { "review": { "rows": { erin: "Revoke" } } } });
    refused(&people.patch(&carol, &status, &undone), "stands");
    people
        .cluster
        .kubectl_ok(&["delete", "rolebinding", "edit-frank", "-n", "shop"], None);
    people.becomes(&place, |object| {
        object["status"]["observed"]["phase"] == "Done"
    });
    eventually("the review in the log", || {
        let said: Vec<Value> = replica.said("review");
        let steps: Vec<&str> = said
            .iter()
            .filter_map(|said| said["step"].as_str())
            .collect();
        if steps == ["Created", "Frozen", "Decided", "Verified"] {
            Ok(())
        } else {
            Err(format!("{steps:?}"))
        }
    });
}

fn responding(people: &People, replica: &Replica) {
    let alice = people.user("alice", &[]);
    let mallory = people.user("mallory", &[]);
    let response = |by: &str, cause: &str| {
        let spec = json!({
            "deviation": "0123456789abcdef", "cause": cause, "impact": "none", "action": "none",
            "owner": "platform", "ticket": "OPS-3", "risk": "low", "author": by,
        });
        object("DeviationResponse", "first", &spec)
    };
    people.create_refused(&alice, &response("bob", "a mistake"), "write your own name");
    people.create(&alice, &response("alice", "a mistake"));
    let place = outside("deviationresponse", "first");
    let cause = json!({ "spec": { "cause": "a migration" } });
    refused(
        &people.patch(&mallory, &place, &cause),
        "write your own name",
    );
    let other = json!({ "spec": { "deviation": "f".repeat(16), "author": "alice" } });
    refused(
        &people.patch(&alice, &place, &other),
        "stays with its deviation",
    );
    let mine = json!({ "spec": { "cause": "a migration", "author": "mallory" } });
    super::cluster::accepted(&people.patch(&mallory, &place, &mine));
    eventually("both versions in the log", || {
        let said = replica.said("response");
        let said: Vec<(&Value, &Value)> = said
            .iter()
            .map(|said| (&said["who"], &said["spec"]["cause"]))
            .collect();
        let wanted = [("alice", "a mistake"), ("mallory", "a migration")];
        if said
            .iter()
            .map(|(who, cause)| (who.as_str(), cause.as_str()))
            .eq(wanted.iter().map(|(who, cause)| (Some(*who), Some(*cause))))
        {
            Ok(())
        } else {
            Err(format!("{said:?} in {NAMESPACE}"))
        }
    });
}
