//! Copies of statuses for other tools.

use serde_json::json;

use super::program::Replica;
use super::world::{POLICIES, World, eventually, turn};

/// The CRDs of both kinds of an API group.
fn install(world: &World, crds: [&str; 2]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas");
    for crd in crds {
        let file = format!("{folder}/{crd}.crd.yaml");
        world
            .cluster
            .kubectl_ok(&["apply", "--server-side", "-f", &file], None);
    }
    world.cluster.serves_crds();
}

const OPEN: [&str; 2] = [
    "openreports.io_clusterreports-v1alpha1",
    "openreports.io_reports-v1alpha1",
];
const WG_POLICY: [&str; 2] = [
    "wgpolicyk8s.io_clusterpolicyreports-v1alpha2",
    "wgpolicyk8s.io_policyreports-v1alpha2",
];
const REPORTS: &str = "/apis/openreports.io/v1alpha1/clusterreports";

/// Waits until something is not there any more.
fn goes(world: &World, path: &str) {
    eventually("end of a report", || match world.get(path) {
        None => Ok(()),
        Some(still) => Err(format!("{still:#}")),
    });
}

#[test]
fn a_policy_that_asks_for_it_has_a_report_until_it_asks_no_longer() {
    let world = turn();
    install(&world, OPEN);
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
    goes(&world, &path);
    assert!(program.stop().success());
}

fn ingress(namespace: &str) -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses")
}

/// A namespace with an Ingress without TLS.
fn plain(world: &World) -> String {
    let namespace = world.namespace("plain");
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "web" },
        "spec": { "rules": [{ "host": "shop.example.org", "http": { "paths": [path] } }] },
    });
    world.create(&ingress(&namespace), &object);
    namespace
}

#[test]
fn what_fails_in_namespaces_is_reported_there_in_the_api_that_the_policy_names() {
    let world = turn();
    install(&world, OPEN);
    install(&world, WG_POLICY);
    let (first, second) = (plain(&world), plain(&world));
    let replica = Replica::new(&world);
    let program = replica.start();
    let policy = world.policy(&json!({
        "reports": "PolicyReports", "scope": { "include": [first, second] },
        "controls": { "encIngressTls": {}, "netNamespaceDefaultDeny": {} },
    }));
    let name = format!("probity-{policy}");
    let wg_policy = "/apis/wgpolicyk8s.io/v1alpha2";
    let in_namespace =
        |namespace: &str| format!("{wg_policy}/namespaces/{namespace}/policyreports/{name}");
    let of_cluster = format!("{wg_policy}/clusterpolicyreports/{name}");
    for namespace in [&first, &second] {
        let report = world.becomes(&in_namespace(namespace), |report| {
            report["summary"]["fail"] == 1
        });
        let result = &report["results"][0];
        assert_eq!(result["rule"], "enc-ingress-tls", "{report:#}");
        assert_eq!(result["resources"][0]["namespace"], **namespace);
        assert_eq!(report["results"].as_array().unwrap().len(), 1);
    }
    // The namespaces without a default deny are objects of the cluster.
    world.becomes(&of_cluster, |report| report["summary"]["fail"] == 2);

    // Where nothing fails any more there is no report.
    world.delete(&format!("{}/web", ingress(&first)));
    goes(&world, &in_namespace(&first));
    assert!(world.get(&in_namespace(&second)).is_some());

    // The other API, after a restart, which forgets where reports are.
    assert!(program.stop().success());
    let other = json!({ "spec": { "reports": "OpenReports" } });
    world.patch(&format!("{POLICIES}/{policy}"), &other);
    let program = replica.start();
    let in_other = format!("/apis/openreports.io/v1alpha1/namespaces/{second}/reports/{name}");
    let report = world.becomes(&in_other, |report| report["summary"]["fail"] == 1);
    assert_eq!(report["source"], "probity");
    goes(&world, &in_namespace(&second));
    goes(&world, &of_cluster);

    let off = json!({ "spec": { "reports": "None" } });
    world.patch(&format!("{POLICIES}/{policy}"), &off);
    goes(&world, &in_other);
    goes(&world, &format!("{REPORTS}/{name}"));
    assert!(program.stop().success());
}
