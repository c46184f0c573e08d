//! What follows from files about a cluster that they show in part.

use super::*;

/// Objects of RBAC, as YAML documents: a `ClusterRole` of these rules, and a binding of it to `who`.
fn granted(rules: &str, who: &str, namespace: &str) -> String {
    let head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ";
    let bound = if namespace.is_empty() {
        "ClusterRoleBinding\nmetadata: { name: b }".to_owned()
    } else {
        format!("RoleBinding\nmetadata: {{ name: b, namespace: {namespace} }}")
    };
    format!(
        "{head}ClusterRole\nmetadata: {{ name: r }}\nrules: [{rules}]\n---\n{head}{bound}\n\
         roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r }}\n\
         subjects: [{{ {who} }}]\n"
    )
}

const SHOP: &str = "kind: ServiceAccount, name: web, namespace: shop";
const ESCALATE: &str = "rbac-no-escalate-bind-impersonate";
const PATHS: &str = "rbac-escalation-paths";
const TOKENS: &str = "rbac-token-request-restricted";

#[test]
fn a_role_that_a_rule_lets_bind_is_never_taken_for_one_that_grants_nothing() {
    let binds = |name: &str| {
        let group = "apiGroups: [rbac.authorization.k8s.io]";
        format!(
            "{{ {group}, resources: [clusterroles, roles], resourceNames: [{name}], verbs: [bind] }}, \
             {{ {group}, resources: [clusterrolebindings], verbs: [create] }}"
        )
    };
    let judged = |name: &str, complete, id| {
        outcome(&scanned(&granted(&binds(name), SHOP, ""), complete), id).0
    };
    for complete in [false, true] {
        assert_eq!(judged("cluster-admin", complete, ESCALATE), Outcome::Fail);
        assert_eq!(judged("cluster-admin", complete, PATHS), Outcome::Fail);
        assert_eq!(judged("admin", complete, ESCALATE), Outcome::Fail);
        // Others may add to it.
        assert_eq!(judged("view", complete, ESCALATE), Outcome::Unknown);
        assert_eq!(judged("view", complete, PATHS), Outcome::Unknown);
    }
    let basic = judged("system:basic-user", true, ESCALATE);
    assert_eq!(basic, Outcome::Pass);
    assert_eq!(judged("mine", true, ESCALATE), Outcome::Pass);
    assert_eq!(judged("mine", false, ESCALATE), Outcome::Unknown);
}

#[test]
fn kubernetes_own_accounts_are_there_though_no_file_holds_them() {
    let create = "{ apiGroups: [apps], resources: [statefulsets], verbs: [create] }";
    let pods = "{ apiGroups: [''], resources: [pods], verbs: [create] }";
    let token = "{ apiGroups: [''], resources: [serviceaccounts/token], verbs: [create], \
                 resourceNames: [clusterrole-aggregation-controller] }";
    let masters = "{ apiGroups: [''], resources: [groups], verbs: [impersonate], \
                   resourceNames: ['system:masters'] }";
    for (rules, namespace, id) in [
        (create, "", PATHS),
        (pods, "kube-system", PATHS),
        (token, "kube-system", PATHS),
        (token, "kube-system", TOKENS),
        (masters, "", ESCALATE),
    ] {
        for whom in [SHOP, "kind: User, name: ann"] {
            let report = scanned(&granted(rules, whom, namespace), true);
            let judged = report.controls.iter().find(|judged| judged.info.id == id);
            let judged = judged.unwrap();
            assert_eq!(judged.outcome, Outcome::Fail, "{id}: {rules}");
            // Nobody asked about Kubernetes' own, and each finding has its place.
            assert_eq!(judged.findings.len(), 1, "{:#?}", judged.findings);
            assert!(judged.findings[0].place.is_some());
        }
        let inside = if namespace.is_empty() {
            continue;
        } else {
            "shop"
        };
        let report = scanned(&granted(rules, SHOP, inside), true);
        assert_eq!(outcome(&report, id).0, Outcome::Pass, "{id}: {rules}");
    }
}

#[test]
fn a_default_role_in_a_namespace_is_no_escalation_by_itself() {
    let bound = |role: &str, namespace: &str| {
        binding(role)
            .replacen("ClusterRoleBinding", "RoleBinding", 1)
            .replace("name: b }", &format!("name: b, namespace: {namespace} }}"))
    };
    for role in ["edit", "admin"] {
        let (said, why) = outcome(&scanned(&bound(role, "shop"), true), ESCALATE);
        assert_eq!(said, Outcome::Unknown, "{why}");
        let (said, _) = outcome(&scanned(&bound(role, "kube-system"), true), ESCALATE);
        assert_eq!(said, Outcome::Fail);
    }
    let (said, _) = outcome(&scanned(&bound("view", "shop"), true), ESCALATE);
    assert_eq!(said, Outcome::Unknown, "others may add to it");
}

/// What a cluster of a version holds of RBAC, and the pod of its API server.
fn dump(minor: u32) -> String {
    let mut documents = vec![format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: kube-apiserver-a, namespace: kube-system, \
         labels: {{ component: kube-apiserver }} }}\nspec: {{ containers: [{{ name: kube-apiserver, \
         image: 'registry.k8s.io/kube-apiserver:v1.{minor}.1' }}] }}\n"
    )];
    for (kind, mut object) in crate::analysis::rbac_defaults::manifests(Some(minor)) {
        object["apiVersion"] = kind.info().api_version().into();
        object["kind"] = kind.info().kind.into();
        object["metadata"]["uid"] = "a".into();
        documents.push(object.to_string());
    }
    documents.join("\n---\n")
}

#[test]
fn the_version_of_a_dumped_cluster_is_that_of_its_api_server() {
    let rbac = |report: &Report, outcome| -> Vec<String> {
        let judged = report
            .controls
            .iter()
            .filter(|j| j.info.id.starts_with("rbac-"));
        let findings = judged.flat_map(|judged| judged.with(outcome));
        let told = findings.map(|found| format!("{} {}", found.subject, found.reason));
        told.collect()
    };
    for minor in [33, 37] {
        let bound = binding("edit").replacen("ClusterRoleBinding", "RoleBinding", 1);
        let report = scanned(&format!("{}\n---\n{bound}", dump(minor)), true);
        assert_eq!(rbac(&report, Outcome::Unknown), [""; 0], "{minor}");
        assert_eq!(outcome(&report, ESCALATE).0, Outcome::Pass, "{minor}");
        assert_eq!(
            outcome(&report, "rbac-no-wildcard-verbs").0,
            Outcome::NotApplicable
        );
    }
    // Without it, or for one that nobody knows, it can't be compared.
    let unpinned = dump(37).replace("v1.37.1", "v1.99.0");
    let (pod, others) = unpinned.split_once("---").unwrap();
    for text in [others, &unpinned] {
        assert!(!pod.is_empty());
        let said = rbac(&scanned(text, true), Outcome::Unknown);
        assert!(
            said.iter()
                .any(|told| told.ends_with("ServerVersionNotPinned")),
            "{said:?}"
        );
    }
}

#[test]
fn cilium_is_as_its_configuration_in_the_files_says() {
    let traffic = "enc-pod-traffic";
    let config = |entry: &str| {
        format!(
            "{WEB}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: cilium-config, namespace: \
             kube-system }}\ndata: {{ {entry}: 'true' }}\n"
        )
    };
    // A Service in the files, because the control reads those.
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop }\n\
                   spec: { selector: { app: web } }\n";
    for complete in [false, true] {
        let said = |text: &str| outcome(&scanned(&format!("{text}{service}"), complete), traffic).0;
        assert_eq!(said(&config("enable-wireguard")), Outcome::Pass);
        assert_eq!(said(&config("enable-ipsec")), Outcome::Pass);
        assert_eq!(said(&config("enable-hubble")), Outcome::Fail);
        let without = if complete {
            Outcome::Fail
        } else {
            Outcome::Unknown
        };
        assert_eq!(said(WEB), without);
    }
}

#[test]
fn calico_is_read_as_people_write_it_and_as_it_lies_in_the_cluster() {
    for version in ["projectcalico.org/v3", "crd.projectcalico.org/v1"] {
        let policy = format!(
            "{WEB}---\napiVersion: {version}\nkind: NetworkPolicy\n\
             metadata: {{ name: default.deny, namespace: shop }}\nspec: {{ selector: all() }}\n"
        );
        let report = scanned(&policy, true);
        let (isolated, _) = outcome(&report, "net-pod-ingress-isolated");
        assert_eq!(isolated, Outcome::Pass, "{version}");
        let felix = format!(
            "{WEB}---\napiVersion: {version}\nkind: FelixConfiguration\n\
             metadata: {{ name: default }}\nspec: {{ wireguardEnabled: true }}\n"
        );
        let report = scanned(&felix, true);
        assert_eq!(
            outcome(&report, "enc-pod-traffic").0,
            Outcome::Pass,
            "{version}"
        );
    }
}

/// How many findings of a control have each outcome.
fn counted(report: &Report, id: &str, outcome: Outcome) -> u64 {
    let judged = report.controls.iter().find(|judged| judged.info.id == id);
    judged.unwrap().counts.of(outcome)
}

#[test]
fn a_failure_that_no_further_object_could_undo_is_one_though_kinds_are_missing() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop }\n\
                   spec: { type: LoadBalancer, selector: { app: web } }\n";
    let exposure = "net-exposure-inventory";
    let report = scanned(service, false);
    assert_eq!(outcome(&report, exposure).0, Outcome::Fail);
    assert_eq!(counted(&report, exposure, Outcome::Fail), 1);
    // Workloads with ports of their own would be further subjects: nothing passes as a whole.
    let inside = service.replace("LoadBalancer", "ClusterIP");
    let (said, why) = outcome(&scanned(&inside, false), exposure);
    assert_eq!(said, Outcome::Unknown);
    assert!(why.contains("deployments.apps can't be read"), "{why}");

    let group = "apiGroups: [rbac.authorization.k8s.io]";
    let binds = format!("{{ {group}, resources: [clusterroles], verbs: [bind, escalate] }}");
    let acts = "{ apiGroups: [''], resources: [serviceaccounts], verbs: [impersonate] }";
    for (rules, id) in [(binds.as_str(), ESCALATE), (acts, ESCALATE), (acts, PATHS)] {
        let (said, why) = outcome(&scanned(&granted(rules, SHOP, ""), false), id);
        assert_eq!(said, Outcome::Fail, "{id} {rules}: {why}");
    }
    let tokens = "{ apiGroups: [''], resources: [serviceaccounts/token], verbs: [create] }";
    assert_eq!(
        outcome(&scanned(&granted(tokens, SHOP, ""), false), TOKENS).0,
        Outcome::Fail
    );

    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                   metadata: { name: g, namespace: shop }\nspec: { gatewayClassName: c, listeners: \
                   [{ name: bare, protocol: HTTPS, port: 443 }] }\n";
    assert_eq!(
        outcome(&scanned(gateway, false), "enc-ingress-tls").0,
        Outcome::Fail
    );

    let open = DENY.replace("policyTypes", "ingress: [{}], policyTypes");
    let report = scanned(&format!("{WEB}---\n{open}"), false);
    assert_eq!(outcome(&report, "net-no-allow-all").0, Outcome::Fail);
}

#[test]
fn a_failure_that_further_objects_might_undo_is_unknown() {
    // The webhooks may prove to be its own.
    let own = "{ apiGroups: [admissionregistration.k8s.io], verbs: [update], resources: \
               [mutatingwebhookconfigurations], resourceNames: [mine] }";
    let text = granted(own, SHOP, "");
    assert_eq!(outcome(&scanned(&text, true), PATHS).0, Outcome::Fail);
    assert_eq!(outcome(&scanned(&text, false), PATHS).0, Outcome::Unknown);
    // A Service may declare the port.
    let open = DENY.replace(
        "policyTypes",
        "ingress: [{ ports: [{ port: 80 }] }], policyTypes",
    );
    let text = format!("{WEB}---\n{open}");
    assert_eq!(
        outcome(&scanned(&text, true), "net-no-allow-all").0,
        Outcome::Fail
    );
    assert_eq!(
        outcome(&scanned(&text, false), "net-no-allow-all").0,
        Outcome::Unknown
    );
    // Whoever is not isolated may be by a policy that no file holds.
    let report = scanned(WEB, false);
    assert_eq!(
        outcome(&report, "net-pod-ingress-isolated").0,
        Outcome::Unknown
    );
}

#[test]
fn backups_in_the_clear_fail_whatever_is_backed_up() {
    let text = "apiVersion: velero.io/v1\nkind: BackupStorageLocation\n\
                metadata: { name: default, namespace: velero }\nspec: { provider: aws, default: true, \
                objectStorage: { bucket: b }, config: { s3Url: 'http://minio:9000' } }\n---\n\
                apiVersion: velero.io/v1\nkind: Schedule\nmetadata: { name: s, namespace: velero }\n\
                spec: { schedule: '0 1 * * *', template: { storageLocation: default } }\n";
    for complete in [false, true] {
        let (said, why) = outcome(&scanned(text, complete), "backup-encrypted");
        assert_eq!(said, Outcome::Fail, "{why}");
    }
}

#[test]
fn claims_are_backed_up_through_the_pods_that_controllers_are_to_run() {
    let workload = |kind: &str, spec: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: db, namespace: shop }}\n\
             spec: {{ {spec} selector: {{ matchLabels: {{ app: db }} }},\n  template: {{ metadata: \
             {{ labels: {{ app: db }} }}, spec: {{ containers: [], VOLUMES }} }} }}\n"
        )
    };
    let named = "volumes: [{ name: d, persistentVolumeClaim: { claimName: data-db-0 } }]";
    let rest = "---\napiVersion: v1\nkind: PersistentVolumeClaim\n\
                metadata: { name: data-db-0, namespace: shop }\nstatus: { phase: Bound }\n\
                ---\napiVersion: velero.io/v1\nkind: BackupStorageLocation\n\
                metadata: { name: default, namespace: velero }\n\
                spec: { provider: aws, default: true }\nstatus: { phase: Available }\n\
                ---\napiVersion: velero.io/v1\nkind: Schedule\n\
                metadata: { name: daily, namespace: velero }\n\
                spec: { schedule: '0 3 * * *', template: { defaultVolumesToFsBackup: true } }\n\
                status: { phase: Enabled }\n";
    let templates = "volumeClaimTemplates: [{ metadata: { name: data } }],";
    for (files, wanted) in [
        (
            workload("Deployment", "").replace("VOLUMES", named),
            Outcome::Pass,
        ),
        (
            workload("StatefulSet", templates).replace("VOLUMES", ""),
            Outcome::Pass,
        ),
        (
            workload("Deployment", "replicas: 0,").replace("VOLUMES", named),
            Outcome::Fail,
        ),
        (
            workload("Deployment", "").replace("VOLUMES", ""),
            Outcome::Fail,
        ),
    ] {
        let report = scanned(&format!("{files}{rest}"), true);
        assert_eq!(outcome(&report, "backup-coverage").0, wanted, "{files}");
    }
}

#[test]
fn more_rights_excuse_nobody_who_fails_already() {
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n\
                   metadata: { name: b }\nroleRef: { apiGroup: rbac.authorization.k8s.io, kind: \
                   ClusterRole, name: ROLE }\nsubjects: [{ apiGroup: rbac.authorization.k8s.io, \
                   kind: Group, name: devs }]\n";
    for (role, wanted) in [("edit", Outcome::Fail), ("view", Outcome::Unknown)] {
        let report = scanned(&binding.replace("ROLE", role), true);
        for id in ["rbac-secrets-read-restricted", "rbac-exec-restricted"] {
            assert_eq!(outcome(&report, id).0, wanted, "{role} {id}");
        }
    }
}

#[test]
fn a_namespace_of_what_lies_in_none_is_taken_off() {
    let role = granted(
        "{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }",
        SHOP,
        "",
    );
    let spaced = role
        .replace("{ name: r }", "{ name: r, namespace: shop }")
        .replace("{ name: b }", "{ name: b, namespace: shop }");
    assert_ne!(role, spaced);
    for files in [role, spaced] {
        let report = scanned(&files, true);
        for id in [
            "rbac-cluster-admin-allowlist",
            "rbac-no-wildcard-resources",
            "rbac-no-wildcard-verbs",
        ] {
            assert_eq!(outcome(&report, id).0, Outcome::Fail, "{id}: {files}");
        }
    }
}

#[test]
fn an_account_that_a_binding_names_without_its_namespace_is_judged_and_told() {
    let read = "{ apiGroups: [''], resources: [secrets], verbs: [get] }";
    for inside in ["", "shop"] {
        let vault = "apiVersion: v1\nkind: Namespace\n\
                     metadata: { name: shop, labels: { probity.dev/data: confidential } }\n";
        let files = granted(read, "kind: ServiceAccount, name: web", inside);
        let report = scanned(&format!("{vault}---\n{files}"), false);
        let id = "rbac-secrets-read-restricted";
        let judged = report.controls.iter().find(|judged| judged.info.id == id);
        let failed: Vec<_> = judged.unwrap().with(Outcome::Fail).collect();
        assert_eq!(failed.len(), 1, "{inside:?}");
        let subject = failed[0].subject.to_string();
        assert_eq!(subject, "ServiceAccount shop/web");
        let told = |note: &&String| note.contains("names ServiceAccount web without its namespace");
        assert_eq!(report.notes.iter().filter(told).count(), 1);
    }
}

/// A policy for pods that no file declares, and a binding of a role and an account that none does.
const IN_VAIN: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
    metadata: { name: web, namespace: shop }\n\
    spec: { podSelector: { matchLabels: { app: absent } } }\n---\n\
    apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
    metadata: { name: web, namespace: shop }\n\
    roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: absent }\n\
    subjects: [{ kind: ServiceAccount, name: absent, namespace: shop }]\n";

#[test]
fn nothing_is_waited_for_where_the_files_hold_all() {
    let files = format!("{WEB}---\n{IN_VAIN}");
    let report = scanned(&files, true);
    for id in ["net-policy-dead", "rbac-stale-bindings"] {
        assert_eq!(outcome(&report, id).0, Outcome::Fail, "{id}");
    }
    // What the policy is for may lie in other files.
    let report = scanned(&files, false);
    assert_eq!(
        outcome(&report, "net-policy-dead").0,
        Outcome::NotApplicable
    );
    let table = table::render(&report, GroupBy::Family, false, Style::plain(None));
    let told = "  does not apply to NetworkPolicy shop/web, its podSelector selects no pod and no \
                template in namespace shop; it fails at ";
    assert!(table.contains(told), "{table}");
}

#[test]
fn a_template_of_another_shape_makes_nobody_tell_and_stops_nothing() {
    for template in [
        "{ spec: [{ name: web }] }",
        "{ metadata: web, spec: { containers: [] } }",
        "[web]",
    ] {
        let files = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web, namespace: shop }}\n\
             spec: {{ template: {template} }}\n"
        );
        let report = scanned(&files, true);
        let judged = outcome(&report, "net-host-network").0;
        assert_eq!(judged, Outcome::Unknown, "{template}");
    }
}

#[test]
fn whether_a_paused_schedule_backs_up_anything_only_complete_files_tell() {
    let paused = "apiVersion: velero.io/v1\nkind: Schedule\nmetadata: { name: daily, namespace: velero }\n\
                  spec: { paused: true, schedule: '0 1 * * *', template: {} }\n";
    let (told, why) = outcome(&scanned(paused, false), "backup-schedule-active");
    assert_eq!(told, Outcome::Unknown);
    assert!(why.contains("persistentvolumeclaims"), "{why}");
    let (told, _) = outcome(&scanned(paused, true), "backup-schedule-active");
    assert_eq!(
        told,
        Outcome::NotApplicable,
        "it holds the data of no claim"
    );
    // A file seldom says whether a claim is bound.
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\n\
                 metadata: { name: data, namespace: shop }\n";
    let report = scanned(&format!("{paused}{claim}"), true);
    let (told, _) = outcome(&report, "backup-schedule-active");
    assert_eq!(told, Outcome::Unknown, "whether it holds any data");
}
