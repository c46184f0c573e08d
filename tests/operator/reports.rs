//! Copies of statuses for other tools.

use serde_json::json;

use super::program::Replica;
use super::world::{POLICIES, eventually, turn};

const CRD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/schemas/openreports.io_clusterreports-v1alpha1.crd.yaml"
);
const REPORTS: &str = "/apis/openreports.io/v1alpha1/clusterreports";

#[test]
fn a_policy_that_asks_for_it_has_a_report_until_it_asks_no_longer() {
    let world = turn();
    let install = ["apply", "--server-side", "-f", CRD];
    world.cluster.kubectl_ok(&install, None);
    world.cluster.serves_crds();
    let bare = world.namespace("bare");
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "reports": "OpenReports", "scope": { "include": [bare] },
        "controls": { "netNamespaceDefaultDeny": {}, "encIngressTls": {} },
    }));
    let path = format!("{REPORTS}/probity-{policy}");
    let report = world.becomes(&path, |report| report["summary"]["fail"] == 1);
    let results = report["results"].as_array().unwrap();
    let failed = results.iter().filter(|result| result["result"] == "fail");
    let failed: Vec<_> = failed.collect();
    let [failed] = failed.as_slice() else {
        panic!("{report:#}")
    };
    assert_eq!(failed["rule"], "net-namespace-default-deny");
    let subject = json!({ "apiVersion": "v1", "kind": "Namespace", "name": bare });
    assert_eq!(failed["resources"][0], subject);
    let object = world.get(&format!("{POLICIES}/{policy}")).unwrap();
    let owner = &report["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], object["metadata"]["uid"]);
    // Every control is there, also those that have nothing to say.
    assert_eq!(results.len(), 2, "{report:#}");

    let off = json!({ "spec": { "reports": "None" } });
    world.patch(&format!("{POLICIES}/{policy}"), &off);
    eventually("end of the report", || match world.get(&path) {
        None => Ok(()),
        Some(still) => Err(format!("{still:#}")),
    });
    assert!(program.stop().success());
}
