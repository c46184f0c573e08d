//! What mends a failure, as commands to copy.

use serde_json::Value;

use crate::{
    controls::{Info, Remedy, Target, Verdict},
    inventory::{Kind, meta::MANAGED_BY},
};

/// The commands that make a subject pass, or where there are none the words for a person.
pub(in crate::cli) fn fix(verdict: &Verdict, info: &Info) -> String {
    if let Some(remedy) = &verdict.remedy {
        return commands(remedy);
    }
    match &verdict.proposal {
        Some(proposal) => proposal.to_string(),
        None => info
            .by_hand
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A fix as words for people, and the commands behind them, which are to be copied as they are: from a program on
/// that begins the text, or follows a colon.
pub fn words_and_commands(fix: &str) -> (&str, &str) {
    let begins = |program: &str| {
        if fix.starts_with(program) {
            return Some(0);
        }
        fix.find(&format!(": {program}")).map(|at| at + 2)
    };
    let begin = ["kubectl ", "probity ", "velero "]
        .into_iter()
        .filter_map(begins)
        .min();
    let (words, commands) = fix.split_at(begin.unwrap_or(fix.len()));
    (words.trim_end(), commands)
}

/// The commands that carry a remedy out.
pub(in crate::cli) fn commands(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Create { manifest, .. } | Remedy::Start { manifest, .. } => {
            apply(&by_hand(manifest))
        }
        Remedy::PutBack { target, patch, .. } | Remedy::Set { target, patch, .. } => {
            patching(target, patch)
        }
        Remedy::Delete { target } => deleting(target),
    }
}

/// The object of a remedy as a person creates it: without the mark of what Probity made. With it, Probity would take the object
/// for its own.
fn by_hand(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut)
    {
        labels.remove(MANAGED_BY);
        if labels.is_empty() {
            metadata.remove("labels");
        }
    }
    manifest
}

/// The command that creates an object.
pub(in crate::cli) fn apply(manifest: &Value) -> String {
    format!("kubectl apply -f - <<'EOF'\n{}EOF", yaml(manifest))
}

/// The command that changes fields of an object.
pub(in crate::cli) fn patching(target: &Target, patch: &Value) -> String {
    let what = named(target);
    format!(
        "kubectl patch {what} --type=merge -p {}",
        quoted(&patch.to_string())
    )
}

/// The command that deletes an object.
pub(in crate::cli) fn deleting(target: &Target) -> String {
    format!("kubectl delete {}", named(target))
}

/// An object as kubectl names it.
fn named(target: &Target) -> String {
    let resource = resource(target.kind);
    let name = quoted(&target.name);
    if target.namespace.is_empty() {
        format!("{resource} {name}")
    } else {
        format!("{resource} {name} -n {}", quoted(&target.namespace))
    }
}

/// A kind as kubectl takes it, without doubt about its group.
pub(in crate::cli) fn resource(kind: Kind) -> String {
    let info = kind.info();
    if info.group.is_empty() {
        info.plural.to_owned()
    } else {
        format!("{}.{}", info.plural, info.group)
    }
}

/// A value as YAML, its keys in the order in which people expect them.
pub(in crate::cli) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value}\n"))
}

/// A word as a shell takes it: names of RBAC objects may hold almost any character.
pub(in crate::cli) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:=@,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::controls::Consent;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_a_quoted_word_as_it_was(word in "[ -~äö]{0,20}") {
            let output = Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quoted(&word)))
                .output()
                .unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn words_are_told_from_the_commands_behind_them() {
        for (fix, words, commands) in [
            ("kubectl delete pod a", "", "kubectl delete pod a"),
            (
                "do it: kubectl delete pod a",
                "do it:",
                "kubectl delete pod a",
            ),
            (
                "look (`kubectl get pod a`) first",
                "look (`kubectl get pod a`) first",
                "",
            ),
            (
                "look (`velero backup logs a`): velero backup create b",
                "look (`velero backup logs a`):",
                "velero backup create b",
            ),
        ] {
            assert_eq!(words_and_commands(fix), (words, commands));
        }
    }

    #[test]
    fn each_kind_of_remedy_is_a_command() {
        let target = Target {
            kind: Kind::RoleBinding,
            namespace: "shop".into(),
            name: "it's".into(),
        };
        let create = commands(&Remedy::Create {
            target: target.clone(),
            manifest: json!({ "kind": "Role", "metadata": {
                "name": "a", "labels": { "app.kubernetes.io/managed-by": "probity" },
            } }),
            consent: Consent::Given,
            owners: None,
        });
        assert_eq!(
            create, "kubectl apply -f - <<'EOF'\nkind: Role\nmetadata:\n  name: a\nEOF",
            "what a person makes is not marked as Probity's"
        );
        let start = commands(&Remedy::Start {
            target: target.clone(),
            manifest: json!({ "metadata": { "labels": {
                "app.kubernetes.io/managed-by": "probity", "velero.io/schedule-name": "nightly",
            } } }),
            of: target.clone(),
            rest: std::time::Duration::ZERO,
        });
        assert!(
            start.contains("labels:\n    velero.io/schedule-name: nightly\n")
                && !start.contains("managed-by"),
            "{start}"
        );
        let delete = commands(&Remedy::Delete {
            target: target.clone(),
        });
        assert_eq!(
            delete,
            "kubectl delete rolebindings.rbac.authorization.k8s.io 'it'\\''s' -n shop"
        );
        let patch = commands(&Remedy::Set {
            target,
            patch: json!({ "a": true }),
            path: 0,
        });
        assert!(
            patch.ends_with(r#"--type=merge -p '{"a":true}'"#),
            "{patch}"
        );
    }
}
