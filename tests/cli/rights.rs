//! Commands with all, some and no rights.

use super::{against, found, printed};
use crate::operator::world::{BINDINGS, World, turn};

/// Path of all cluster roles.
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

#[test]
fn who_may_read_nothing_learns_that_nothing_is_known() {
    let world = turn();
    let nobody = world.cluster.kubeconfig_for("nobody", &[]).unwrap();
    let scan = against(&nobody, &["scan", "-o", "json"]);
    assert_eq!(scan.code, Some(2), "nothing was looked at: {}", scan.stderr);
    assert!(
        scan.stderr.contains("kinds can't be read as nobody"),
        "{}",
        scan.stderr
    );
    let report = scan.stdout;
    let (_, controls) = found(&report);
    blind(&controls);
    assert!(
        report.contains("Probity lacks the right to list and watch"),
        "{report}"
    );
    for (args, said) in [
        (&["status"][..], "the chart's role viewer"),
        (&["diff"], "the chart's role viewer"),
        (&["explain", "namespace/default"], "the chart's role viewer"),
        (&["approve", "attestation/a"], "forbidden"),
        (&["reject", "attestation/a"], "forbidden"),
        (&["review", "a"], "forbidden"),
    ] {
        let output = against(&nobody, args);
        assert_eq!(output.code, Some(2), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

/// The chart's role for scans, as docs/command-line.md renders it.
fn scanner_role(world: &World) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/probity");
    let role = world.cluster.helm_ok(&[
        "template",
        "probity",
        chart,
        "--set=rbac.scannerRole=true",
        "--set=rbac.helperRoles=false",
        "-s=templates/helperroles.yaml",
    ]);
    world.cluster.kubectl_ok(&["apply", "-f", "-"], Some(&role));
    "probity-scanner".to_owned()
}

#[test]
fn who_holds_the_role_for_scans_sees_what_an_administrator_does() {
    let world = turn();
    let user = world.name("scans");
    let role = scanner_role(&world);
    let bind = [
        "create",
        "clusterrolebinding",
        &user,
        &format!("--clusterrole={role}"),
        &format!("--user={user}"),
    ];
    world.cluster.kubectl_ok(&bind, None);
    let scanner = world.cluster.kubeconfig_for(&user, &[]).unwrap();
    let scan = ["scan", "-o", "json", "--fail-on", "none"];
    let seen = against(&scanner, &scan);
    assert_eq!((seen.code, &*seen.stderr), (Some(0), ""));
    assert!(!seen.stdout.contains("lacks the right"), "{}", seen.stdout);
    let whole = printed(&world.administrator("scanner"), &scan, 0);
    assert_eq!(found(&seen.stdout), found(&whole));
    for command in [
        &["status"][..],
        &["explain", "namespace/default"],
        &["diff"],
    ] {
        let said = against(&scanner, command);
        assert!(
            !said.stderr.contains("can't"),
            "{command:?}: {}",
            said.stderr
        );
    }
    let secrets = [
        "auth",
        "can-i",
        "get",
        "secrets",
        "-A",
        &format!("--as={user}"),
    ];
    let may = world.cluster.kubectl(&secrets);
    assert_eq!(String::from_utf8_lossy(&may.stdout).trim(), "no");
    for path in [format!("{BINDINGS}/{user}"), format!("{ROLES}/{role}")] {
        world.delete(&path);
    }
}

#[test]
fn who_is_not_let_in_is_told_so_in_one_line() {
    let world = turn();
    let expired = world.cluster.kubeconfig_for_token("no-such-token").unwrap();
    let admin = world.administrator("scanner");
    let one_line = |kubeconfig, args: &[&str], said: &str| {
        let output = against(kubeconfig, args);
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
        assert_eq!(output.stdout, "");
    };
    one_line(&expired, &["scan"], "can't use the credentials");
    one_line(
        &admin,
        &["scan", "--context", "other"],
        "there is no context \"other\"",
    );
    one_line(
        &admin,
        &["scan", "--user", "other"],
        "there is no user \"other\"",
    );
    one_line(
        &admin,
        &["scan", "--token", "wrong"],
        "can't use the credentials",
    );
    // As somebody else: an administrator may, and is that one then.
    let args = ["scan", "--as", "nobody", "-o", "json", "--fail-on", "none"];
    blind(&found(&printed(&admin, &args, 2)).1);
}

/// Nothing passes but what a TLS handshake shows, for which nobody needs a right.
fn blind(controls: &[(String, String)]) {
    let passing = controls.iter().filter(|(_, outcome)| outcome == "Pass");
    let passing: Vec<_> = passing
        .filter(|(id, _)| id != "enc-apiserver-tls-profile")
        .collect();
    assert!(passing.is_empty(), "{passing:#?}");
}
