//! The exact commands that proposals name.
//!
//! Names of RBAC objects may hold nearly any character, and people paste these commands into a
//! shell: everything that is not plainly harmless is quoted.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::inventory::{Kind, Object, rbac::Binding, rbac::Rule};

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.:/@=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(harmless) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// Groups of Kubernetes itself: their kinds need no group behind them.
const BUILT_IN: [&str; 6] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "batch",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
];

/// A kind as kubectl takes it: several tools have kinds of the same name.
fn word(kind: Kind) -> String {
    let info = kind.info();
    if BUILT_IN.contains(&info.group) {
        info.kind.to_lowercase()
    } else {
        format!("{}.{}", info.plural, info.group)
    }
}

fn object(verb: &str, kind: Kind, namespace: &str, name: &str) -> String {
    let kind = word(kind);
    let scope = if namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {}", quoted(namespace))
    };
    // A name may begin with a dash; `--` ends the options.
    let end = if name.starts_with('-') { "-- " } else { "" };
    format!("kubectl {verb} {kind}{scope} {end}{}", quoted(name))
}

/// Deletes an object.
pub(in crate::controls) fn delete(kind: Kind, namespace: &str, name: &str) -> String {
    object("delete", kind, namespace, name)
}

/// Opens an object in an editor.
pub(in crate::controls) fn edit(kind: Kind, namespace: &str, name: &str) -> String {
    object("edit", kind, namespace, name)
}

/// Sets an annotation whatever it was before, or takes it off where `annotation` is a key and a
/// dash.
pub(in crate::controls) fn annotate(
    kind: Kind,
    namespace: &str,
    name: &str,
    annotation: &str,
) -> String {
    let removes = annotation.ends_with('-') && !annotation.contains('=');
    // kubectl refuses to change what is there, unless it is told to.
    let verb = if removes {
        "annotate"
    } else {
        "annotate --overwrite"
    };
    let command = object(verb, kind, namespace, name);
    format!("{command} {}", quoted(annotation))
}

/// Sets a label.
pub(in crate::controls) fn label(kind: Kind, namespace: &str, name: &str, label: &str) -> String {
    let command = object("label --overwrite", kind, namespace, name);
    format!("{command} {}", quoted(label))
}

/// Shows all that is known of an object, with what controllers say of it.
pub(in crate::controls) fn describe(kind: Kind, namespace: &str, name: &str) -> String {
    object("describe", kind, namespace, name)
}

/// Has the pods of a workload made anew by its controller; `None` where no controller does that.
pub(in crate::controls) fn restart(kind: Kind, namespace: &str, name: &str) -> Option<String> {
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
            Some(object("rollout restart", kind, namespace, name))
        }
        _ => None,
    }
}

/// Sets fields of an object; `null` takes one away.
pub(in crate::controls) fn set(kind: Kind, namespace: &str, name: &str, fields: &Value) -> String {
    let verb = format!("patch --type=merge -p {}", quoted(&fields.to_string()));
    object(&verb, kind, namespace, name)
}

/// Creates an object, or brings it to this.
pub(in crate::controls) fn apply(manifest: &Value) -> String {
    with("apply", manifest)
}

/// Creates an object; one of its name that is there stays as it is.
pub(in crate::controls) fn create(manifest: &Value) -> String {
    with("create", manifest)
}

fn with(verb: &str, manifest: &Value) -> String {
    let yaml = serde_saphyr::to_string(manifest).unwrap_or_else(|_| format!("{manifest}\n"));
    format!("kubectl {verb} -f - <<'EOF'\n{yaml}EOF")
}

fn patch(kind: Kind, namespace: &str, name: &str, patch: &Value) -> String {
    let patch = patch.to_string();
    let verb = format!("patch --type=json -p {}", quoted(&patch));
    object(&verb, kind, namespace, name)
}

/// Takes subjects out of a binding. Each removal tests first that the subject is still at its
/// place.
pub(in crate::controls) fn remove_subjects(
    kind: Kind,
    binding: &Object<Binding>,
    indexes: &[usize],
) -> String {
    // From the end, so that a removal does not shift those that follow it.
    let steps = indexes.iter().rev().flat_map(|index| {
        let holder = binding.spec.subjects.get(*index);
        let name = holder.map_or("", |holder| &*holder.name);
        [
            json!({ "op": "test", "path": format!("/subjects/{index}/name"), "value": name }),
            json!({ "op": "remove", "path": format!("/subjects/{index}") }),
        ]
    });
    let steps: Value = steps.collect();
    patch(kind, &binding.meta.namespace, &binding.meta.name, &steps)
}

/// Gives rules of a role other verbs. Each change tests first that the rule still has its verbs.
pub(in crate::controls) fn replace_verbs(
    kind: Kind,
    (namespace, name): (&str, &str),
    rules: &[(usize, &Rule, Vec<&str>)],
) -> String {
    let steps = rules.iter().flat_map(|(index, rule, verbs)| {
        let path = format!("/rules/{index}/verbs");
        let now: Vec<&str> = rule.verbs.iter().map(|verb| &**verb).collect();
        [
            json!({ "op": "test", "path": path, "value": now }),
            json!({ "op": "replace", "path": path, "value": verbs }),
        ]
    });
    let steps: Value = steps.collect();
    patch(kind, namespace, name, &steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_the_shell() {
        for (name, command) in [
            ("admins", "kubectl delete clusterrolebinding admins"),
            ("kubeadm:x", "kubectl delete clusterrolebinding kubeadm:x"),
            ("a b", "kubectl delete clusterrolebinding 'a b'"),
            ("$(id)", "kubectl delete clusterrolebinding '$(id)'"),
            ("it's", r"kubectl delete clusterrolebinding 'it'\''s'"),
            ("--all", "kubectl delete clusterrolebinding -- '--all'"),
        ] {
            assert_eq!(delete(Kind::ClusterRoleBinding, "", name), command);
        }
        assert_eq!(
            delete(Kind::RoleBinding, "shop", "x"),
            "kubectl delete rolebinding -n shop x"
        );
        assert_eq!(
            set(
                Kind::VeleroLocation,
                "velero",
                "a",
                &json!({ "spec": null })
            ),
            r#"kubectl patch --type=merge -p '{"spec":null}' backupstoragelocations.velero.io -n velero a"#
        );
    }

    #[test]
    fn an_annotation_is_set_whatever_it_was_before() {
        for (annotation, command) in [
            ("a=b", "kubectl annotate --overwrite namespace shop a=b"),
            ("a=b-", "kubectl annotate --overwrite namespace shop a=b-"),
            ("a-", "kubectl annotate namespace shop a-"),
        ] {
            assert_eq!(annotate(Kind::Namespace, "", "shop", annotation), command);
        }
    }

    #[test]
    fn only_what_a_controller_makes_anew_is_restarted() {
        for (kind, command) in [
            (
                Kind::Deployment,
                Some("kubectl rollout restart deployment -n shop web"),
            ),
            (Kind::ReplicaSet, None),
            (Kind::Pod, None),
            (Kind::Job, None),
            (Kind::CronJob, None),
        ] {
            assert_eq!(restart(kind, "shop", "web").as_deref(), command);
        }
    }
}
