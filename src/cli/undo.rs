//! `probity undo`: the commands that restore what remedies changed, from the evidence log.

use std::{
    collections::BTreeMap,
    io::BufRead,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Failure,
    evidence::{entries, json_lines},
    exit::Ending,
    output::{
        fix::{apply, deleting, patching, quoted, resource},
        style::{Style, When},
        wrap::hanging,
    },
};
use crate::{
    api::Period,
    controls::{Target, registry},
    engine::PAUSE,
    evidence::{
        Body, Entry,
        body::{Content, Intent},
        epochs,
        words::{Action, ActionResult},
    },
    inventory::Kind,
};

const EXAMPLES: &str = "\
Examples:
  # What was changed in the last day, from a folder with the log
  probity undo --data-dir ./evidence
  # The same from a running operator
  kubectl exec -n probity-system probity-0 -- probity log --json | probity undo -
  # One remedy, by its number, as commands to run
  probity undo --data-dir ./evidence 1764366000000001 > undo.sh

Nothing is run: the commands are printed, the latest change first, for a person to read and run.";

/// How long a pause is that the commands ask for: a working day.
const PAUSE_FOR: SignedDuration = SignedDuration::from_hours(8);

/// Arguments of `probity undo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Numbers of remedies, as the log and this command print them; or `-` for a log as JSON lines on
    /// standard input. Else all within --since.
    #[arg(value_name = "NUMBER|-")]
    wanted: Vec<String>,
    /// Folder of the evidence log.
    #[arg(
        long,
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    data_dir: PathBuf,
    /// Only what was changed in this time, such as 45m or 2d.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Only what was changed in this namespace.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only what this control changed.
    #[arg(long, value_name = "ID")]
    control: Option<String>,
}

/// A write, and what became of it.
#[derive(Debug, Clone, PartialEq)]
struct Written {
    time: Timestamp,
    intent: Intent,
    result: Option<ActionResult>,
}

/// Prints the commands. Those of a log of which a part can't be read may not be all.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, Failure> {
    let (piped, numbers): (Vec<&String>, Vec<&String>) =
        arguments.wanted.iter().partition(|word| *word == "-");
    let numbers = numbers.into_iter().map(|word| {
        let number = word.trim_start_matches('#').parse::<u64>();
        number.map_err(|_| {
            format!(
                "{word:?} is no number of a remedy: they are in `probity undo` and `probity log`"
            )
        })
    });
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
    let period = Period::try_from(arguments.since.clone()).map_err(|_| {
        format!(
            "--since {:?} is no time: write 45m, 24h or 2d",
            arguments.since
        )
    })?;
    let now = Timestamp::now();
    let since = SignedDuration::try_from(period.duration()).unwrap_or(SignedDuration::MAX);
    let from = now.saturating_sub(since).unwrap_or(Timestamp::MIN);
    let mut ending = Ending::Well;
    let written = if piped.is_empty() {
        let mut entries = entries(&arguments.data_dir)?;
        let written = written(entries.by_ref())?;
        entries.warn();
        if !entries.damaged().is_empty() {
            ending = Ending::Incomplete;
        }
        written
    } else {
        piped_in(std::io::stdin().lock())?
    };
    known(arguments.control.as_deref(), &written)?;
    let wanted = |one: &Written| {
        let inside = one.intent.target.namespace.as_deref();
        (if numbers.is_empty() {
            one.time >= from
        } else {
            numbers.contains(&one.intent.id)
        }) && arguments
            .namespace
            .as_deref()
            .is_none_or(|name| inside == Some(name))
            && arguments
                .control
                .as_deref()
                .is_none_or(|id| one.intent.control == id)
    };
    let found: Vec<Written> = written.into_iter().filter(wanted).collect();
    if let Some(missing) = numbers
        .iter()
        .find(|id| !found.iter().any(|one| one.intent.id == **id))
    {
        return Err(format!(
            "the log has no remedy {missing} that was or may have been carried out"
        ));
    }
    let text = script(&found, &arguments.data_dir, now)?;
    print!("{}", fitted(&text, Style::of_stdout(When::Never).width));
    Ok(ending)
}

/// Refuses a control that nobody knows: nothing would have been changed by it.
fn known(control: Option<&str>, written: &[Written]) -> Result<(), Failure> {
    let Some(id) = control else { return Ok(()) };
    // A log may be older than this version, or newer.
    if registry::find(id).is_some() || written.iter().any(|one| one.intent.control == id) {
        return Ok(());
    }
    Err(format!(
        "there is no control {id}, and none in the log; `probity controls` lists them"
    ))
}

/// Comments in lines that fit. Commands are to be copied, and stay as they are; so do the manifests in them, where `#`
/// may be anything.
fn fitted(script: &str, width: Option<usize>) -> String {
    let mut inside = false;
    let lines = script.lines().map(|line| {
        let was_inside = inside;
        inside = if was_inside {
            line != "EOF"
        } else {
            line.ends_with("<<'EOF'")
        };
        match line.strip_prefix("# ") {
            Some(said) if !was_inside && !said.starts_with('{') => {
                hanging(said, width, "# ", "#   ")
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// The writes of a log that comes in. Where the command before the pipe failed, nothing comes, which must not look as if
/// nothing had been changed.
fn piped_in(log: impl BufRead) -> Result<Vec<Written>, Failure> {
    let mut lines = json_lines(log).peekable();
    if lines.peek().is_none() {
        return Err(
            "standard input holds no entry: give the output of `probity log --json`".to_owned(),
        );
    }
    written(lines)
}

/// The writes that were carried out, or may have been, oldest first.
fn written(entries: impl Iterator<Item = Result<Entry, Failure>>) -> Result<Vec<Written>, Failure> {
    let mut all: BTreeMap<u64, Written> = BTreeMap::new();
    for entry in entries {
        let Entry { time, body, .. } = entry?;
        match body {
            Body::Intent(intent) => {
                let (id, result) = (intent.id, None);
                all.insert(
                    id,
                    Written {
                        time,
                        intent,
                        result,
                    },
                );
            }
            Body::Outcome(outcome) => match outcome.result {
                ActionResult::Applied | ActionResult::Unresolved => {
                    if let Some(one) = all.get_mut(&outcome.intent) {
                        one.result = Some(outcome.result);
                    }
                }
                ActionResult::Rejected | ActionResult::Failed | ActionResult::Superseded => {
                    all.remove(&outcome.intent);
                }
            },
            _ => {}
        }
    }
    Ok(all.into_values().collect())
}

/// A shell script, the latest change first: so what several changes did to an object is taken back in
/// order.
fn script(written: &[Written], log: &Path, now: Timestamp) -> Result<String, Failure> {
    if written.is_empty() {
        return Ok("# No remedy was carried out in this time; see --since.\n".to_owned());
    }
    let mut text = String::from(
        "# What Probity changed, and the commands that restore it, the latest change first.\n\
         # A control in Enforce does it again, unless it is paused (commands below), excepted \
         (ControlException), or its mode is Observe.\n",
    );
    for one in written.iter().rev() {
        text.push('\n');
        text.push_str(&comment(one));
        text.push_str(&commands(one, log, now)?);
    }
    Ok(text)
}

fn comment(one: &Written) -> String {
    let Intent {
        id,
        action,
        policies,
        control,
        target,
        ..
    } = &one.intent;
    let name = match &target.namespace {
        Some(namespace) => format!("{namespace}/{}", target.name),
        None => target.name.to_string(),
    };
    let done = match one.result {
        Some(ActionResult::Applied) => "",
        _ => "; whether it was carried out is not known: look first",
    };
    // Names come from the cluster; a line break would end the comment.
    let line = format!(
        "# {id} {:.0} {action} {} {name} for {control} (policy {}){done}",
        one.time,
        target.kind,
        policies.join(", ")
    );
    format!("{}\n", line.replace(['\n', '\r'], " "))
}

fn commands(one: &Written, log: &Path, now: Timestamp) -> Result<String, Failure> {
    let Some(target) = target(one) else {
        return Ok(format!(
            "# This version does not know the kind {} of {:?}: undo it by hand\n",
            one.intent.target.kind, one.intent.target.group
        ));
    };
    let until = now.saturating_add(PAUSE_FOR).unwrap_or(Timestamp::MAX);
    let until = format!("{until:.0}");
    let before = one.intent.before.as_ref();
    let before = before.map(|content| load(content, log)).transpose()?;
    let text = match (one.intent.action, before) {
        (Action::Create, _) => format!("{}{}\n", pause(&target, &until), deleting(&target)),
        (Action::Delete, Some(Some(mut object))) => {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("uid");
                metadata.remove("creationTimestamp");
                metadata.remove("resourceVersion");
            }
            object["metadata"]["annotations"][PAUSE] = until.into();
            format!("{}\n", apply(&object))
        }
        (Action::PutBack | Action::Set, Some(Some(before))) => {
            format!("{}{}\n", pause(&target, &until), patching(&target, &before))
        }
        (Action::PutBack | Action::Set, None) => {
            let after = one.intent.after.as_ref().map(|content| load(content, log));
            let after = after.transpose()?.flatten().unwrap_or(json!(null));
            let edit = deleting(&target).replacen("kubectl delete", "kubectl edit", 1);
            format!(
                "{}# It set these fields; what they were is not in the log:\n# {after}\n{edit}\n",
                pause(&target, &until)
            )
        }
        (Action::Delete, None) => {
            "# The log holds no archive of it: restore it from where it came from\n".to_owned()
        }
        (_, Some(None)) => {
            "# What it was is in a blob of the log: run this with --data-dir\n".to_owned()
        }
    };
    Ok(text)
}

/// The command that keeps Probity from doing it again for a while. What does not exist can't be
/// annotated: its namespace can.
fn pause(target: &Target, until: &str) -> String {
    let annotation = format!("{PAUSE}={}", quoted(until));
    if target.namespace.is_empty() {
        format!(
            "kubectl annotate --overwrite {} {} {annotation}\n",
            resource(target.kind),
            quoted(&target.name)
        )
    } else {
        let namespace = quoted(&target.namespace);
        format!("kubectl annotate --overwrite namespace {namespace} {annotation}\n")
    }
}

/// The object that was written, as we know its kind.
fn target(one: &Written) -> Option<Target> {
    let target = &one.intent.target;
    let known = |kind: &&Kind| {
        let info = kind.info();
        *info.kind == *target.kind && *info.group == *target.group
    };
    Some(Target {
        kind: *Kind::ALL.iter().find(known)?,
        namespace: target.namespace.clone().unwrap_or_else(|| "".into()),
        name: target.name.clone(),
    })
}

/// A value of the log; `None` where it lies in a blob that is not at hand.
fn load(content: &Content, log: &Path) -> Result<Option<Value>, Failure> {
    match content {
        Content::Inline(value) => Ok(Some(value.clone())),
        Content::Blob(blob) => {
            let folders = epochs::list(log).map_err(|error| error.to_string())?;
            let mut folders = folders.into_iter().chain([log.to_owned()]);
            let folder = folders.find(|folder| blob.path(folder).is_file());
            let Some(folder) = folder else {
                return Ok(None);
            };
            let loaded = content.load(&folder);
            loaded.map(Some).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, body: &Value) -> Result<Entry, Failure> {
        let mut entry = json!({ "v": 1, "seq": seq, "time": "2026-01-01T00:00:00Z" });
        for (key, value) in body.as_object().unwrap() {
            entry[key] = value.clone();
        }
        serde_json::from_value(entry).map_err(|error| error.to_string())
    }

    fn intent(id: u64, action: &str, before: Value) -> Value {
        let mut intent = json!({
            "type": "intent", "id": id, "action": action, "policies": ["base"],
            "control": "rbac-cluster-admin-allowlist", "contentHash": "",
            "target": { "group": "rbac.authorization.k8s.io", "kind": "ClusterRoleBinding",
                        "name": "it's", "uid": "u" },
        });
        if !before.is_null() {
            intent["before"] = before;
        }
        intent
    }

    fn outcome(id: u64, result: &str) -> Value {
        json!({ "type": "outcome", "intent": id, "result": result, "message": "" })
    }

    fn undone(bodies: &[Value]) -> String {
        let entries = (0..).zip(bodies).map(|(seq, body)| entry(seq, body));
        let written = written(entries).unwrap();
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        script(&written, Path::new("/nonexistent"), now).unwrap()
    }

    #[test]
    fn what_was_deleted_is_created_from_its_archive_and_paused() {
        let archive = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "it's", "uid": "u", "resourceVersion": "7" },
        });
        let said = undone(&[intent(7, "Delete", archive), outcome(7, "Applied")]);
        let manifest = said.split_once("<<'EOF'\n").unwrap().1;
        let manifest = manifest.split_once("EOF").unwrap().0;
        let manifest: Value = serde_saphyr::from_str(manifest).unwrap();
        let wanted = json!({ "name": "it's", "annotations": { PAUSE: "2026-01-01T20:00:00Z" } });
        assert_eq!(manifest["metadata"], wanted);
    }

    #[test]
    fn what_was_created_is_deleted_and_what_was_patched_is_patched_back() {
        let said = undone(&[intent(1, "Create", Value::Null), outcome(1, "Applied")]);
        let pause = "kubectl annotate --overwrite clusterrolebindings.rbac.authorization.k8s.io \
                     'it'\\''s' probity.dev/pause-until=2026-01-01T20:00:00Z\n";
        let delete = "kubectl delete clusterrolebindings.rbac.authorization.k8s.io 'it'\\''s'\n";
        assert!(said.ends_with(&format!("{pause}{delete}")), "{said}");
        let said = undone(&[
            intent(1, "Set", json!({ "a": false })),
            outcome(1, "Applied"),
        ]);
        assert!(
            said.ends_with("'it'\\''s' --type=merge -p '{\"a\":false}'\n"),
            "{said}"
        );
        let said = undone(&[intent(1, "Set", Value::Null), outcome(1, "Applied")]);
        assert!(said.contains("what they were is not in the log"), "{said}");
    }

    #[test]
    fn comments_fit_a_terminal_and_commands_stay_whole() {
        let object = json!({ "metadata": { "name": "a", "annotations": {
            "note": "a line\n# with what looks like a comment in it, and is none\n" } } });
        let script = undone(&[
            intent(1, "Set", Value::Null),
            outcome(1, "Applied"),
            intent(2, "Delete", object),
            outcome(2, "Applied"),
        ]);
        assert_eq!(fitted(&script, None), script);
        let narrow = fitted(&script, Some(40));
        let rest = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(rest(&narrow), rest(&script));
        for line in narrow.lines().filter(|line| line.starts_with("# ")) {
            assert!(line.chars().count() <= 40, "{line}");
        }
    }

    #[test]
    fn a_control_that_nobody_knows_is_refused() {
        assert_eq!(known(Some("net-policy-dead"), &[]), Ok(()));
        let refused = known(Some("net-policy-daed"), &[]).unwrap_err();
        assert!(refused.contains("no control net-policy-daed"), "{refused}");
        let entries = [entry(0, &intent(1, "Set", Value::Null))];
        let mut written = written(entries.into_iter()).unwrap();
        written[0].intent.control = "of-another-version".into();
        assert_eq!(known(Some("of-another-version"), &written), Ok(()));
    }

    #[test]
    fn a_log_that_comes_in_empty_is_refused() {
        let refused = piped_in(&b""[..]).unwrap_err();
        assert!(
            refused.contains("standard input holds no entry"),
            "{refused}"
        );
    }

    #[test]
    fn what_the_server_refused_is_no_change_and_the_latest_comes_first() {
        let refused = undone(&[intent(1, "Delete", json!({})), outcome(1, "Rejected")]);
        assert!(refused.starts_with("# No remedy"), "{refused}");
        let two = undone(&[
            intent(1, "Create", Value::Null),
            outcome(1, "Applied"),
            intent(2, "Create", Value::Null),
        ]);
        let (first, second) = (two.find("# 1 ").unwrap(), two.find("# 2 ").unwrap());
        assert!(second < first, "{two}");
        assert!(
            two.contains("whether it was carried out is not known"),
            "{two}"
        );
    }
}
