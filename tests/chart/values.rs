//! Values: what contradicts itself is refused in one line, what is set arrives.

use std::path::Path;

use serde_json::Value;

use super::{EVERYTHING, chart, helm, rendered, template};

#[test]
fn the_chart_passes_helms_own_checks() {
    for values in [&[][..], &EVERYTHING] {
        let chart = chart();
        let mut args = vec!["lint", "--strict", &chart];
        for value in values {
            args.extend(["--set", value]);
        }
        let output = helm(&args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused_in_one_line() {
    let cases: [(&[&str], &str); 18] = [
        (
            &["persistence.existingClaim=x", "replicas=2"],
            "persistence.existingClaim is for one replica",
        ),
        (
            &["persistence.existingClaim=x", "persistence.enabled=false"],
            "set it to true, or remove the claim",
        ),
        (
            &["drill.namespace=probity-system"],
            "drill.namespace must not be probity-system",
        ),
        (
            &["networkProbe.namespace=probity-system"],
            "networkProbe.namespace must not be probity-system",
        ),
        (
            &[
                "drill.enabled=true",
                "drill.namespace=x",
                "networkProbe.enabled=true",
                "networkProbe.namespace=x",
            ],
            "drill.namespace and networkProbe.namespace are the same",
        ),
        (
            &["extraArgs={--data-dir=/x}"],
            "extraArgs must not hold --data-dir",
        ),
        (
            &["extraEnv[0].name=POD_NAME", "extraEnv[0].value=x"],
            "extraEnv must not hold POD_NAME",
        ),
        (
            &["anchors.witness.url=https://x"],
            "anchors.witness.url and anchors.witness.key belong together",
        ),
        (
            &["anchors.witness.key=x"],
            "anchors.witness.url and anchors.witness.key belong together",
        ),
        (
            &["anchors.bucket.endpoint=https://x"],
            "need anchors.bucket.url: set it",
        ),
        (
            &["anchors.bucket.credentialsSecret=x"],
            "need anchors.bucket.url: set it",
        ),
        (
            &["drill.enabled=true", "drill.namespace=kube-system"],
            "drill.namespace must not be kube-system",
        ),
        (
            &["drill.enabled=true", "drill.namespace=velero"],
            "drill.namespace must not be velero",
        ),
        (
            &["networkProbe.namespace=x"],
            "networkProbe.namespace needs networkProbe.enabled",
        ),
        (
            &["openTelemetry.headersSecret=x"],
            "need openTelemetry.endpoint: set it",
        ),
        (&["image.digest=latest"], "image/digest"),
        (&["replicas=two"], "replicas"),
        (&["enforcment.network=true"], "enforcment"),
    ];
    for (values, wanted) in cases {
        let output = template(values);
        assert!(!output.status.success(), "{values:?} is taken");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().find(|line| line.contains(wanted));
        assert!(line.is_some(), "{values:?}: {said}");
    }
}

/// Argo CD renders with `helm template` again and again: the same values must give the same bytes, and nothing may ask
/// the cluster, draw lots, or wait for a hook.
#[test]
fn the_same_values_render_the_same_bytes() {
    assert_eq!(rendered(&EVERYTHING), rendered(&EVERYTHING));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/probity/templates");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(files.len() > 15);
    while let Some(entry) = files.pop() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // tests: hooks by their nature
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for call in [
            "lookup ",
            "randAlpha",
            "uuidv4",
            "now |",
            "genCA",
            "helm.sh/hook:",
        ] {
            assert!(!text.contains(call), "{}: {call}", path.display());
        }
    }
}

/// What a failed test said is in the log of its pod: only a pod that succeeded goes, and the next one may take its name.
#[test]
fn the_pod_of_a_failed_test_stays_until_the_next() {
    let documents = documents(&rendered(&[]));
    let is_test = |object: &&&Value| object["metadata"]["annotations"]["helm.sh/hook"] == "test";
    let pods = find(&documents, "Pod");
    let tests: Vec<&&Value> = pods.iter().filter(is_test).collect();
    assert_eq!(tests.len(), 1);
    let metadata = &tests[0]["metadata"];
    let policy = &metadata["annotations"]["helm.sh/hook-delete-policy"];
    assert_eq!(*policy, "before-hook-creation,hook-succeeded");
    // By this name the documentation asks for its log.
    assert_eq!(metadata["name"], "probity-ready");
    assert!(include_str!("../../docs/troubleshooting.md").contains("logs probity-ready"));
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    let parts = parts.filter(|part| {
        part.lines()
            .any(|line| !line.starts_with('#') && !line.trim().is_empty())
    });
    parts
        .map(|part| serde_saphyr::from_str(part).unwrap())
        .collect()
}

fn find<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents
        .iter()
        .filter(|document| document["kind"] == kind)
        .collect()
}

#[test]
fn what_is_off_by_default_is_not_there() {
    let documents = documents(&rendered(&["crds.install=false"]));
    for kind in [
        "ServiceMonitor",
        "PrometheusRule",
        "PodDisruptionBudget",
        "CustomResourceDefinition",
    ] {
        assert!(find(&documents, kind).is_empty(), "{kind}");
    }
    // The one is the manifest of the release.
    let maps = find(&documents, "ConfigMap");
    assert_eq!(maps.len(), 1);
    assert_eq!(maps[0]["immutable"], true);
    let pod = &find(&documents, "StatefulSet")[0]["spec"]["template"]["spec"];
    assert!(pod.get("hostUsers").is_none());
    assert!(!pod.to_string().contains("OTEL_"));
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
}

#[test]
fn what_is_switched_on_arrives() {
    let mut values = EVERYTHING.to_vec();
    values.extend([
        "crds.install=false",
        "docsUrl=https://docs.example.org/probity",
    ]);
    let text = rendered(&values);
    let documents = documents(&text);
    let rule = find(&documents, "PrometheusRule")[0];
    let file = std::fs::read_to_string(Path::new(&chart()).join("files/rules.yaml")).unwrap();
    let file = file.replace(
        "https://probity.dev/docs",
        "https://docs.example.org/probity",
    );
    let wanted: Value = serde_saphyr::from_str(&file).unwrap();
    assert_eq!(
        rule["spec"], wanted,
        "Prometheus' templates arrive as they are"
    );
    assert!(!text.contains("https://probity.dev/docs"));

    let mut dashboards = find(&documents, "ConfigMap");
    dashboards.retain(|map| map["immutable"] != true);
    assert_eq!(dashboards.len(), 4);
    for dashboard in dashboards {
        assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
        let (_, json) = dashboard["data"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        let json: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
        assert!(json["title"].as_str().unwrap().starts_with("Probity / "));
        // ConfigMaps end at 1 MiB, and so does `kubectl apply` at 256 KiB.
        assert!(dashboard.to_string().len() < 200 * 1024);
    }
    let pod = &find(&documents, "StatefulSet")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["hostUsers"], false);
    let image = pod["containers"][0]["image"].as_str().unwrap();
    assert!(image.contains("@sha256:"), "{image}");
    let key = pod["volumes"].as_array().unwrap().iter();
    let key = key.filter(|volume| volume["secret"]["secretName"] == "probity-key");
    assert_eq!(key.count(), 1);
    let args = pod["containers"][0]["args"].to_string();
    assert!(args.contains("--signing-key=/signing/key"), "{args}");
    let environment = pod["containers"][0]["env"].to_string();
    for set in [
        r#"{"name":"OTEL_EXPORTER_OTLP_ENDPOINT","value":"http://collector.monitoring:4318"}"#,
        r#"{"secretKeyRef":{"key":"headers","name":"collector-headers"}}"#,
        r#"{"name":"OTEL_EXPORTER_OTLP_CERTIFICATE","value":"/etc/probity/collector/ca.crt"}"#,
    ] {
        assert!(environment.contains(set), "{set} is not in {environment}");
    }
    assert_eq!(find(&documents, "PodDisruptionBudget").len(), 1);
}

/// Whoever scans reads what the operator reads, and nothing becomes part of roles that others hold.
#[test]
fn the_role_for_scans_only_reads_and_reads_no_secret() {
    let named = |values: &[&str], name: &str| {
        let documents = documents(&rendered(values));
        let roles = find(&documents, "ClusterRole").into_iter();
        let mut found = roles.filter(|role| role["metadata"]["name"] == name);
        found.next().cloned()
    };
    assert_eq!(named(&[], "probity-scanner"), None, "off by default");
    let alone = ["rbac.scannerRole=true", "rbac.helperRoles=false"];
    let role = named(&alone, "probity-scanner").unwrap();
    let rules = |role: &Value| role["rules"].as_array().unwrap().clone();
    for rule in rules(&role) {
        let verbs = rule["verbs"].as_array().unwrap().iter();
        assert!(
            verbs
                .clone()
                .all(|verb| ["get", "list", "watch"].contains(&verb.as_str().unwrap())),
            "{rule}"
        );
        let said = rule.to_string();
        assert!(
            !said.contains("secrets") && !said.contains('*') || said.contains("nonResourceURLs"),
            "{said}"
        );
    }
    let labels = role["metadata"]["labels"].to_string();
    assert!(!labels.contains("aggregate"), "{labels}");
    let operator = rules(&named(&[], "probity").unwrap());
    let reads = |rule: &&Value| {
        rule["apiGroups"][0] != "probity.dev" && rule["verbs"].as_array().unwrap().len() == 3
    };
    for rule in operator.iter().filter(reads) {
        assert!(rules(&role).contains(rule), "{rule} is not the scanner's");
    }
}

/// Each value is in the schema with a description, and each of the schema has a default.
#[test]
fn the_schema_describes_every_value_and_no_other() {
    let read = |file: &str| std::fs::read_to_string(Path::new(&chart()).join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    compare("", &values, &schema);
}

fn compare(path: &str, values: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        let said = property["description"].as_str().unwrap_or_default();
        assert!(said.ends_with('.'), "{path}: {said:?} is no description");
        // Parent charts set global; a claim of a device is nobody's default.
        if ![".global", ".resources.claims"].contains(&path.as_str()) {
            assert!(values.get(name).is_some(), "{path} has no default");
            compare(&path, &values[name], property);
        }
    }
    for name in values
        .as_object()
        .into_iter()
        .flat_map(|values| values.keys())
    {
        assert!(
            properties.contains_key(name),
            "{path}.{name} is not in the schema"
        );
    }
}
