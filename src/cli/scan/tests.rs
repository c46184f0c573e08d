use std::collections::BTreeMap;

use serde_json::Value;

use super::{report::samples::report, *};
use crate::api::PeopleKind;

mod clusters;
mod operators;
mod unread;

/// Scans manifests by the baseline.
fn scanned(text: &str, complete: bool) -> Report {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let file = file.path().display().to_string();
    let mut line = vec!["scan", "-f", &file, "-n", "shop"];
    if complete {
        line.push("--complete");
    }
    let arguments = parse(&line);
    files(&arguments, &policies(&[]).unwrap()).unwrap()
}

fn parse(line: &[&str]) -> Arguments {
    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }
    <Only as clap::Parser>::parse_from(line).arguments
}

fn outcome(report: &Report, id: &str) -> (Outcome, String) {
    let judged = report.controls.iter().find(|judged| judged.info.id == id);
    let judged = judged.unwrap();
    (judged.outcome, judged.why.clone().unwrap_or_default())
}

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { serviceAccountName: web, containers: [{ name: web, image: web }] }
";

const DENY: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny, namespace: shop }
spec: { podSelector: {}, policyTypes: [Ingress] }
";

#[test]
fn a_kind_that_no_file_holds_makes_a_control_unknown_unless_the_files_are_complete() {
    let isolated = "net-pod-ingress-isolated";
    let (unknown, why) = outcome(&scanned(WEB, false), isolated);
    assert_eq!(unknown, Outcome::Unknown);
    assert!(why.contains("networkpolicies.networking.k8s.io"), "{why}");
    assert!(why.contains("--complete"), "{why}");
    assert_eq!(outcome(&scanned(WEB, true), isolated).0, Outcome::Fail);
    let both = format!("{WEB}---{DENY}");
    assert_eq!(outcome(&scanned(&both, false), isolated).0, Outcome::Pass);
}

#[test]
fn a_control_whose_subjects_no_file_holds_has_nothing_to_judge() {
    let report = scanned(WEB, true);
    // The namespace is named, but not declared: what is not there is not judged.
    let (idle, why) = outcome(&report, "net-namespace-default-deny");
    assert_eq!(
        (idle, &*why),
        (Outcome::NotApplicable, "no file holds a Namespace")
    );
    let (idle, why) = outcome(&report, "enc-apiserver-tls-profile");
    assert_eq!(
        (idle, &*why),
        (Outcome::NotApplicable, "only a running cluster shows it")
    );
    let (idle, why) = outcome(&report, "enc-ingress-tls");
    assert_eq!(
        (idle, &*why),
        (
            Outcome::NotApplicable,
            "no file holds an Ingress, Gateway, ListenerSet or XListenerSet"
        )
    );
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n---\n";
    let rights = format!("{namespace}{}", binding("edit"));
    let (idle, why) = outcome(&scanned(&rights, true), "rbac-access-review-current");
    assert_eq!(
        (idle, &*why),
        (
            Outcome::NotApplicable,
            "it rests on what people say in the cluster"
        )
    );
    let passes = report.subjects_by_outcome().of(Outcome::Pass);
    let declared = report.controls.iter().flat_map(|judged| &judged.findings);
    assert!(declared.clone().all(|finding| finding.place.is_some()));
    assert!(passes > 0 && declared.count() > 0);
}

fn binding(role: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{ name: b }}\n\
         roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role} }}\n\
         subjects: [{{ kind: ServiceAccount, name: web, namespace: shop }}]\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: web, namespace: shop }}\n"
    )
}

#[test]
fn a_role_that_no_file_holds_is_never_taken_for_one_that_grants_nothing() {
    let admins = "rbac-cluster-admin-allowlist";
    assert_eq!(
        outcome(&scanned(&binding("cluster-admin"), false), admins).0,
        Outcome::Fail
    );
    for complete in [false, true] {
        let report = scanned(&binding("edit"), complete);
        assert_eq!(
            outcome(&report, admins).0,
            Outcome::Unknown,
            "complete: {complete}"
        );
    }
    // What is not about what it grants is judged all the same.
    let report = scanned(&binding("edit"), false);
    assert_eq!(
        outcome(&report, "rbac-no-wildcard-verbs").0,
        Outcome::NotApplicable
    );
    let rules = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: r }\n\
                 rules: [{ apiGroups: [''], resources: [pods], verbs: ['*'] }]\n---\n";
    let bound = binding("r").replace("name: b ", "name: bound ");
    let report = scanned(&format!("{rules}{bound}---\n{}", binding("edit")), false);
    let (failed, _) = outcome(&report, "rbac-no-wildcard-verbs");
    assert_eq!(failed, Outcome::Fail);
    let held = rules.replace("name: r", "name: edit").replace("'*'", "get");
    let report = scanned(&format!("{held}{}", binding("edit")), false);
    assert_eq!(outcome(&report, admins).0, Outcome::Pass);
}

#[test]
fn an_account_that_is_declared_elsewhere_is_judged_by_what_a_binding_gives_it() {
    let admins = "rbac-cluster-admin-allowlist";
    let alone = binding("cluster-admin");
    let (alone, _) = alone.split_once("---").unwrap();
    let user = alone.replace(
        "kind: ServiceAccount, name: web, namespace: shop",
        "kind: User, name: 'system:serviceaccount:shop:web'",
    );
    for text in [alone, &user] {
        for complete in [false, true] {
            let report = scanned(text, complete);
            let judged = report.controls.iter().find(|found| found.info.id == admins);
            let failing: Vec<_> = judged.unwrap().with(Outcome::Fail).collect();
            assert_eq!(failing[0].subject.to_string(), "ServiceAccount shop/web");
            // It stands where the binding does.
            assert_eq!(failing[0].place.as_ref().unwrap().line, 1);
        }
    }
}

#[test]
fn what_kubernetes_own_roles_hold_is_known() {
    let (admins, secrets) = (
        "rbac-cluster-admin-allowlist",
        "rbac-secrets-read-restricted",
    );
    let report = scanned(&binding("system:auth-delegator"), false);
    assert_eq!(outcome(&report, admins).0, Outcome::Pass);
    assert_eq!(outcome(&report, secrets).0, Outcome::Pass);
    // Others may add to these; what is there from the start is known all the same.
    let report = scanned(&binding("edit"), false);
    assert_eq!(outcome(&report, admins).0, Outcome::Unknown);
    let uses = format!("{WEB}---\n{}", binding("edit"));
    let report = scanned(&uses, false);
    let (tokens, _) = outcome(&report, "rbac-service-accounts-hygiene");
    assert_eq!(tokens, Outcome::Pass, "its account has rights in any case");
}

#[test]
fn people_are_judged_where_no_file_holds_an_account() {
    let admins = "rbac-cluster-admin-allowlist";
    let alone = binding("cluster-admin");
    let (alone, _) = alone.split_once("---").unwrap();
    let subject = "kind: ServiceAccount, name: web, namespace: shop";
    for whom in ["kind: User, name: ann", "kind: Group, name: devs"] {
        let report = scanned(&alone.replace(subject, whom), true);
        assert_eq!(outcome(&report, admins).0, Outcome::Fail, "{whom}");
    }
}

#[test]
fn a_role_of_a_namespace_that_no_file_holds_is_unclear_too() {
    let bound = binding("reader")
        .replacen("ClusterRoleBinding", "RoleBinding", 1)
        .replacen("ClusterRole", "Role", 1)
        .replace("name: b }", "name: b, namespace: kube-system }");
    let report = scanned(&bound, false);
    let (unknown, why) = outcome(&report, "rbac-workload-create-restricted");
    assert_eq!(unknown, Outcome::Unknown, "{why}");
    // Where the files are all there is, there is no such role.
    let report = scanned(&bound, true);
    let (told, _) = outcome(&report, "rbac-workload-create-restricted");
    assert_ne!(told, Outcome::Unknown);
}

#[test]
fn what_no_control_reads_is_named() {
    let odd = WEB.replace("apps/v1", "apps.example.com/v1");
    let report = scanned(&odd, false);
    let notes = report.notes.join("\n");
    assert!(notes.contains("apps.example.com/v1 Deployment"), "{notes}");
    assert!(report.unread.is_empty() && !report.blind);
}

#[test]
fn an_aggregated_role_is_unclear() {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: edit }\n\
                aggregationRule: { clusterRoleSelectors: [] }\nrules: []\n---\n";
    let report = scanned(&format!("{role}{}", binding("edit")), true);
    let (unknown, _) = outcome(&report, "rbac-secrets-read-restricted");
    assert_eq!(unknown, Outcome::Unknown);
}

#[test]
fn a_version_that_is_not_read_is_said_and_not_passed_over() {
    let old = DENY.replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1");
    let report = scanned(&format!("{WEB}---{old}"), true);
    let (unknown, why) = outcome(&report, "net-pod-ingress-isolated");
    assert_eq!(unknown, Outcome::Unknown);
    assert!(why.contains("networking.k8s.io/v1beta1"), "{why}");
}

#[test]
fn a_subject_in_a_version_that_is_not_read_is_no_absence() {
    let old = "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: { name: shop }\n";
    let (unknown, why) = outcome(&scanned(old, false), "enc-ingress-tls");
    assert_eq!(unknown, Outcome::Unknown);
    assert!(why.contains("networking.k8s.io/v1beta1"), "{why}");
}

#[test]
fn the_exit_code_heeds_what_it_is_told_to() {
    let report = report(); // High fails, and something is unknown
    let heeds = [FailOn::Low, FailOn::Medium, FailOn::High, FailOn::Unknown];
    assert!(heeds.iter().all(|fail_on| fails(&report, *fail_on)));
    assert!(!fails(&report, FailOn::Critical) && !fails(&report, FailOn::None));
    let mut unclear = report;
    unclear.unread.clear();
    unclear.controls.remove(0);
    assert!(fails(&unclear, FailOn::Unknown) && !fails(&unclear, FailOn::Low));
    unclear.controls.remove(0);
    assert!(!fails(&unclear, FailOn::Unknown));
    unclear.blind = true;
    for fail_on in [FailOn::Unknown, FailOn::Low, FailOn::None] {
        assert_eq!(ending(&unclear, fail_on), Ending::Incomplete);
    }
}

#[test]
fn a_policy_that_is_none_or_has_bad_parameters_is_refused_in_one_line() {
    let refused = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let read = policies(&[file.path().to_owned()]).and_then(pass);
        let said = read.map(|_| ()).unwrap_err();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    let pod = refused("apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n");
    assert!(pod.ends_with(":1: is a Pod, not a ControlPolicy"), "{pod}");
    let policy = |controls: &str| {
        format!(
            "apiVersion: probity.dev/v1alpha1\nkind: ControlPolicy\nmetadata: {{ name: a }}\nspec: {{ controls: {controls} }}\n"
        )
    };
    let typo = refused(&policy("{ netPolicyDed: {} }"));
    assert!(
        typo.contains("no field spec.controls.netPolicyDed"),
        "{typo}"
    );
    let typo = refused(&policy(
        "{ netNamespaceDefaultDeny: { direction: [Ingress] } }",
    ));
    assert!(
        typo.contains("spec.controls.netNamespaceDefaultDeny.direction"),
        "{typo}"
    );
    let typo = refused(&policy(
        "{ netNamespaceDefaultDeny: { directions: [Egres] } }",
    ));
    let wrong = "is no ControlPolicy: spec.controls.netNamespaceDefaultDeny.directions[0]: unknown variant `Egres`";
    assert!(typo.contains(wrong), "{typo}");
    let vain = "{ netPolicyDead: {} }, enforceSelector: { matchLabels: { a b: c } }";
    let vain = refused(&policy(vain));
    assert!(vain.contains("policy a: spec.enforceSelector"), "{vain}");
    let vain = "{ netPodIngressIsolated: { exemptSelector: { matchLabels: { a: b c } } } }";
    let vain = refused(&policy(vain));
    assert!(vain.contains("exemptSelector can't be used"), "{vain}");
}

#[test]
fn sarif_is_valid_and_says_which_results_are_open_or_suppressed() {
    let schema = include_str!("../../../tests/schemas/sarif-2.1.0.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let log = sarif::render(&report());
    let problems: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&log)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let mut kinds: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for result in results {
        let kind = result["kind"].as_str().unwrap();
        let suppressed = !result["suppressions"].is_null();
        *kinds.entry((kind, suppressed)).or_default() += 1;
    }
    let wanted = BTreeMap::from([
        (("fail", false), 1),
        (("fail", true), 1),
        (("open", false), 2),
    ]);
    assert_eq!(kinds, wanted);
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20%3Cb%3E/web.yaml");
    let rule = results[0]["ruleIndex"].as_u64().unwrap();
    let rules = &log["runs"][0]["tool"]["driver"]["rules"];
    assert_eq!(
        rules[usize::try_from(rule).unwrap()]["id"],
        results[0]["ruleId"]
    );
}

#[test]
fn junit_is_read_by_a_parser_that_is_not_ours() {
    let xml = junit::render(&report()).unwrap();
    let read = junit_parser::from_reader(std::io::Cursor::new(&xml)).unwrap();
    let sum = (read.tests, read.failures, read.errors, read.skipped);
    assert_eq!(sum, (8, 1, 3, 3), "{xml}");
    let unread = read.suites.last().unwrap();
    assert_eq!((&*unread.name, unread.errors), ("manifests", 1), "{xml}");
    let suite = &read.suites[0];
    assert_eq!(
        (suite.tests, suite.failures, suite.errors, suite.skipped),
        (5, 1, 1, 2)
    );
    let case = &suite.cases[0];
    assert_eq!(case.original_name, "Deployment shop/we|b");
    let junit_parser::TestStatus::Failure(failure) = &case.status else {
        panic!("{case:?}");
    };
    assert_eq!(failure.message, "any \"pod\" <may> & can");
    assert!(
        failure.text.contains("write a `NetworkPolicy`"),
        "{}",
        failure.text
    );
}

#[test]
fn one_object_is_one_and_not_several() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n";
    let table = |text: &str| {
        let report = scanned(text, true);
        table::render(&report, GroupBy::Family, false, Style::plain(None))
    };
    let one = table(namespace);
    assert!(one.starts_with("1 object in 1 file\n"), "{one}");
    let both = table(&format!("{WEB}---\n{namespace}"));
    assert!(both.contains(" objects in 1 file\n"), "{both}");
}

#[test]
fn the_table_fits_forty_columns_and_says_all_in_a_pipe() {
    let report = report();
    let narrow = table::render(&report, GroupBy::Family, false, Style::plain(Some(40)));
    let longest = narrow.lines().map(|line| line.chars().count()).max();
    // Ids are not broken: they are to be copied.
    let ids = |line: &&str| !line.contains("-isolated") && !line.contains("net-policy");
    let others = narrow.lines().filter(ids).map(|line| line.chars().count());
    assert!(others.max() <= Some(40), "{longest:?}\n{narrow}");
    let wide = table::render(&report, GroupBy::Family, false, Style::plain(None));
    assert!(
        wide.contains("✗ Deployment shop/we|b PodNotIsolated (a <b>/web.yaml:3)\n"),
        "{wide}"
    );
    assert!(
        wide.contains("Controls: 1 fail, 1 unknown, 1 not applicable\n"),
        "{wide}"
    );
    assert!(
        wide.contains("nothing to judge, only a running cluster shows it: net-policy-enforced"),
        "{wide}"
    );
    let grouped = table::render(&report, GroupBy::Criterion, false, Style::plain(None));
    assert_eq!(
        grouped.matches("FAIL ").count(),
        report.controls[0].info.criteria.len()
    );
}

#[test]
fn how_cilium_encrypts_is_read_from_its_configuration_in_the_files() {
    let config = |data: &str| {
        format!(
            "{WEB}---\napiVersion: v1\nkind: Service\nmetadata: {{ name: web, namespace: shop }}\n\
             spec: {{ ports: [{{ port: 80 }}] }}\n---\napiVersion: v1\nkind: ConfigMap\n\
             metadata: {{ name: cilium-config, namespace: kube-system }}\ndata: {{ {data} }}\n"
        )
    };
    let on = config("enable-wireguard: \"true\"");
    let off = config("enable-wireguard: \"false\"");
    for (text, complete, wanted) in [
        (on.as_str(), false, Outcome::Pass),
        (off.as_str(), false, Outcome::Fail),
        (WEB, false, Outcome::Unknown),
        (WEB, true, Outcome::Fail),
    ] {
        let found = outcome(&scanned(text, complete), "enc-pod-traffic");
        assert_eq!(found.0, wanted, "{text} {complete}: {}", found.1);
    }
}

#[test]
fn older_versions_that_look_alike_are_judged_and_others_are_not() {
    let gateway = |version: &str| {
        format!(
            "apiVersion: {version}\nkind: Gateway\nmetadata: {{ name: edge, namespace: shop }}\n\
             spec: {{ gatewayClassName: x, listeners: [{{ name: l, protocol: HTTPS, port: 443 }}] }}\n"
        )
    };
    let judged = |version: &str| outcome(&scanned(&gateway(version), true), "enc-ingress-tls").0;
    assert_eq!(judged("gateway.networking.k8s.io/v1"), Outcome::Fail);
    assert_eq!(judged("gateway.networking.k8s.io/v1beta1"), Outcome::Fail);
    assert_eq!(judged("gateway.networking.k8s.io/v9"), Outcome::Unknown);
}

#[test]
fn a_policy_of_an_unknown_version_is_refused_with_its_version() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let text = "apiVersion: probity.dev/v9\nkind: ControlPolicy\nmetadata: {name: x}\nspec: {}\n";
    std::fs::write(file.path(), text).unwrap();
    let refused = policies(&[file.path().to_owned()]).unwrap_err();
    assert!(
        refused.contains("is a ControlPolicy of probity.dev/v9"),
        "{refused}"
    );
}

#[test]
fn what_no_scan_of_a_cluster_can_show_is_said_to_be_the_operators() {
    let mut pass = pass(policies(&[]).unwrap()).unwrap();
    for kind in PeopleKind::ALL {
        pass.apply(Event::PeopleListed(kind));
    }
    pass.settle();
    let found = pass.engine.findings().into_iter();
    let controls: Vec<Judged> = found.map(Judged::of_cluster).collect();
    for id in [
        "assurance-policy-change-control",
        "assurance-guardrails-intact",
        "assurance-log-verified",
    ] {
        let judged = controls.iter().find(|judged| judged.info.id == id).unwrap();
        let said: Vec<&str> = judged.findings.iter().map(|f| &*f.message).collect();
        assert_eq!(judged.outcome, Outcome::Unknown, "{id}");
        assert!(
            !said.is_empty()
                && said
                    .iter()
                    .all(|said| said.contains("the running operator")),
            "{id}: {said:?}"
        );
    }
}
