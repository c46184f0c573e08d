use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::{
    api::{ControlPolicy, Controls, Mode},
    criteria::CRITERIA,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `net-no-allow-all` as `netNoAllowAll`.
fn camel(id: &str) -> String {
    let mut words = id.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |field, word| {
        let (head, tail) = word.split_at(1);
        field + &head.to_uppercase() + tail
    })
}

#[test]
fn every_control_has_a_field_and_every_field_a_control() {
    let schema = serde_json::to_value(schemars::schema_for!(Controls)).unwrap();
    let fields: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    let named: Vec<String> = infos().map(|info| info.field.to_owned()).collect();
    assert_eq!(
        fields,
        named.iter().collect(),
        "add the field to api::Controls, or the line to REGISTRY"
    );
    assert_eq!(fields.len(), named.len(), "a field is named twice");
}

#[test]
fn each_registry_line_reads_the_field_that_its_control_names() {
    for registered in REGISTRY {
        let switched = serde_json::json!({ registered.info.field: {} });
        let controls: Controls = serde_json::from_value(switched).unwrap();
        for other in REGISTRY {
            assert_eq!(
                (other.enabled)(&controls).is_some(),
                other.info.id == registered.info.id,
                "{} with only {} switched on",
                other.info.id,
                registered.info.field
            );
        }
        let enabled = (registered.enabled)(&controls).unwrap();
        assert_eq!(enabled.control.info().id, registered.info.id);
    }
}

#[test]
fn ids_fields_and_criteria_are_consistent() {
    for info in infos() {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(info.id.chars().all(word), "{} is not kebab-case", info.id);
        assert_eq!(info.field, camel(info.id), "field of {}", info.id);
        assert!(!info.criteria.is_empty(), "{} has no criterion", info.id);
        for criterion in info.criteria {
            assert!(
                CRITERIA.contains(criterion),
                "{}: {criterion} is no criterion",
                info.id
            );
        }
        for text in [
            info.title,
            info.what,
            info.why,
            info.fix,
            info.by_hand,
            info.prevention,
            info.limits,
        ] {
            assert!(!text.is_empty(), "{} lacks documentation", info.id);
        }
        assert!(!info.title.ends_with('.'), "title of {}", info.id);
    }
    let distinct: BTreeSet<_> = CRITERIA.iter().collect();
    assert_eq!(distinct.len(), CRITERIA.len());
}

#[test]
fn only_families_that_mend_write() {
    for info in infos().filter(|info| !Family::MENDING.contains(&info.family)) {
        assert_eq!(info.writes, [], "{}", info.id);
    }
}

#[test]
fn controls_declare_rights_that_make_sense() {
    for info in infos() {
        for kind in info.subjects {
            assert!(
                info.reads.contains(kind),
                "{} judges {kind:?} unread",
                info.id
            );
        }
        for write in info.writes {
            assert!(
                ["create", "patch", "delete"].contains(&write.verb),
                "{}: verb {}",
                info.id,
                write.verb
            );
            assert!(
                info.inputs().any(|kind| kind == write.kind),
                "{} writes {:?} unread",
                info.id,
                write.kind
            );
        }
    }
}

/// A file that declares an [`Info`] is a control; others in a family's folder are helpers.
#[test]
fn every_control_file_is_registered() {
    for family in Family::ALL {
        let folder = root().join("src/controls").join(family.as_str());
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let Some((_, declared)) = source.split_once("const INFO: Info = Info {") else {
                continue;
            };
            let (_, id) = declared.split_once("id: \"").unwrap();
            let (id, _) = id.split_once('"').unwrap();
            let registered = crate::controls::registry::find(id);
            let registered =
                registered.unwrap_or_else(|| panic!("{} is not in REGISTRY", path.display()));
            assert_eq!(registered.info.family, family, "folder of {id}");
        }
    }
}

#[test]
fn definitions_fit_into_an_annotation() {
    for (file, definition) in api::definitions() {
        // `kubectl apply` keeps the whole object in an annotation, of 256 KiB at most.
        let size = serde_json::to_string(&definition).unwrap().len();
        assert!(size < 256 * 1024, "{file} has {size} bytes");
    }
    for (file, yaml) in api::crds().unwrap() {
        assert!(yaml.len() < 256 * 1024, "{file} has {} bytes", yaml.len());
        if file == "probity.dev_controlpolicies.yaml" {
            assert!(yaml.contains("minProperties: 1"), "{file}");
        }
    }
}

#[test]
fn the_baseline_is_a_policy_that_observes_every_control() {
    let policy: ControlPolicy = serde_saphyr::from_str(&baseline()).unwrap();
    assert_eq!(policy.metadata.name.as_deref(), Some("soc2-baseline"));
    assert_eq!(policy.spec.mode, Mode::Observe);
    for registered in REGISTRY {
        let enabled = (registered.enabled)(&policy.spec.controls).unwrap();
        enabled.control.check().unwrap();
    }
}

#[test]
fn the_chart_grants_by_family() {
    let values = fs::read_to_string(root().join("charts/probity/values.yaml")).unwrap();
    let values: serde_json::Value = serde_saphyr::from_str(&values).unwrap();
    let schema = fs::read_to_string(root().join("charts/probity/values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let families: BTreeSet<_> = Family::MENDING
        .iter()
        .map(|family| family.as_str())
        .collect();
    for enforcement in [
        &values["enforcement"],
        &schema["properties"]["enforcement"]["properties"],
    ] {
        let keys: BTreeSet<_> = enforcement
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, families);
    }
    for (family, granted) in values["enforcement"].as_object().unwrap() {
        assert_eq!(granted, false, "{family} must be opted into");
    }
}

#[test]
fn nothing_grants_access_to_secrets() {
    let rights = files()
        .unwrap()
        .remove("charts/probity/files/rights.yaml")
        .unwrap();
    assert!(!rights.contains("secrets"), "{rights}");
}

#[test]
fn the_table_of_the_readme_is_replaced_between_its_markers_only() {
    assert_eq!(readme("no markers\n"), "no markers\n");
    let once = readme(&format!("before\n{BEGIN}\na stale row\n{END}\nafter\n"));
    assert!(once.starts_with("before\n") && once.ends_with("\nafter\n"));
    assert!(!once.contains("a stale row") && once.contains("docs/controls/net-"));
    assert_eq!(readme(&once), once);
}

#[test]
fn braces_of_a_description_survive_the_chart() {
    let text = templated("kind: X\nmetadata:\n  name: x\nspec: \"{{ns}}\"\n");
    assert!(text.contains("\"{{ \"{{\" }}ns}}\""), "{text}");
    assert!(text.contains("helm.sh/resource-policy: keep"));
}

/// Every field and rule of a definition, found in its JSON instead of in its types.
fn walk(path: &str, schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        found.insert(rule["message"].as_str().unwrap().to_owned());
    }
    if path.starts_with("spec.controls") {
        return;
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{name}");
        if path.contains('.') {
            found.insert(format!("| `{path}` |"));
        }
        walk(&path, field, found);
    }
    walk_below(&format!("{path}[]"), &schema["items"], found);
    walk_below(&format!("{path}.*"), &schema["additionalProperties"], found);
}

fn walk_below(path: &str, schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    if schema.is_object() {
        walk(path, schema, found);
    }
}

#[test]
fn the_reference_has_every_kind_field_and_rule() {
    let page = files().unwrap().remove("docs/reference/api.md").unwrap();
    let mut sections = page.split("\n## ").skip(1);
    for (file, definition) in api::definitions() {
        let definition = serde_json::to_value(definition).unwrap();
        let section = sections.next().unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        assert!(section.starts_with(&format!("{kind}\n")), "{file}");
        let mut wanted = BTreeSet::new();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk("", schema, &mut wanted);
        assert!(!wanted.is_empty(), "{file}");
        for text in wanted {
            assert!(section.contains(&text), "{kind} lacks {text}");
        }
    }
    assert_eq!(sections.next(), None);
}

#[test]
fn the_reference_tells_types_bounds_and_defaults() {
    let page = files().unwrap().remove("docs/reference/api.md").unwrap();
    for row in [
        "| `spec.expiresAt` | time | **required** |",
        "| `spec.subjects[].kind` | string | **required**; 1 to 63 characters |",
        "| `spec.mode` | `Observe`, `Enforce` | default `\"Observe\"` |",
        "| `status.size` | integer | **required**; at least 0 |",
    ] {
        assert!(page.contains(row), "{row}");
    }
}
