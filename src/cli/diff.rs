//! `probity diff`: what Enforce would change now, as `kubectl diff` shows what an apply would.

mod held;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Command,
};

use clap::Args;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;
use similar::TextDiff;

use self::held::Held;
use super::{
    Connect, Failure,
    evidence::json_lines,
    exit::Ending,
    output::{
        fix::yaml,
        style::{Style, When},
        tell,
    },
    pass::{self, Pass, Told},
};
use crate::{
    api::{Existing, Mode},
    cluster::client::{CallError, deadline, within},
    controls::{Remedy, Target},
    engine::{Event, Memory, Proposal, Standing},
    words::one_line,
};

const EXAMPLES: &str = "\
Examples:
  # What the policies of the cluster would change now
  probity diff
  # What they would change if all of them enforced, also what failed before
  probity diff --enforce
  # With another program to compare, as for kubectl
  KUBECTL_EXTERNAL_DIFF='diff -u -N' probity diff --enforce
  # Also what only the evidence log remembers, such as the fields of a policy that somebody opened
  kubectl exec -n probity-system probity-0 -- probity log --json | probity diff --log -

Exit code: 0 if nothing would change, 1 if something would, 2 or more if that could not be found out.";

/// Arguments of `probity diff`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// As if every policy had mode Enforce and `existing: Remediate`.
    #[arg(long)]
    enforce: bool,
    /// Namespace that Probity runs in.
    #[arg(long, value_name = "NAME", default_value = "probity-system")]
    probity_namespace: String,
    /// The evidence log as JSON lines, as `probity log --json` prints it: a file, or `-` for standard
    /// input. With it, values are shown too that would be put back as the log remembers them, and its
    /// brakes and truces count.
    #[arg(long, value_name = "FILE|-")]
    log: Option<String>,
    /// When to colour.
    #[arg(long = "color", value_name = "WHEN", default_value = "auto")]
    colour: When,
    #[command(flatten)]
    connect: Connect,
}

/// Reads the cluster once and shows the remedies; writes nothing.
pub(super) async fn run(arguments: Arguments) -> Result<Ending, Failure> {
    let memory = arguments.log.as_deref().map(recalled).transpose()?;
    let (connection, version) = arguments.connect.open().await?;
    let mut pass = Pass::remembering(&arguments.probity_namespace, memory.unwrap_or_default());
    let policies = pass::policies(&connection.client).await?;
    // What the operator says is about the policies as they are.
    let told = if arguments.enforce {
        Told::default()
    } else {
        Told::of(&policies)
    };
    for mut policy in policies {
        if arguments.enforce {
            policy.spec.mode = Mode::Enforce;
            policy.spec.existing = Existing::Remediate;
        }
        pass.apply(Event::Policy(Box::new(policy)));
    }
    let unread = pass.read(&connection, &version).await?;
    for unread in &unread {
        tell(unread);
    }
    let is_whole = unread.is_empty() && !pass.refused;
    pass.lead();
    let proposals = pass.engine.proposals();
    let mut held = Held::of(&proposals, &told, arguments.log.is_some());
    held.excepted(&pass.engine);
    let mut changes = Vec::new();
    for remedy in wanted(proposals) {
        let live = live(&connection.client, remedy.target()).await?;
        let merged = merged(&remedy, &live);
        if live != merged {
            changes.push(Change {
                name: file_name(remedy.target()),
                live: text(&live),
                merged: text(&merged),
            });
        }
    }
    let compared = external().map(|program| compare_with(&program, &changes));
    if compared.is_none() {
        let style = Style::of_stdout(arguments.colour);
        for change in &changes {
            print!("{}", change.unified(style));
        }
    }
    held.lines().iter().for_each(|line| tell(line));
    if let Some(ending) = compared {
        return ending;
    }
    // No difference where something could not be read is none that is known.
    if changes.is_empty() && !is_whole {
        return Ok(Ending::Incomplete);
    }
    Ok(Ending::of(changes.is_empty()))
}

/// What a log says, which is in a file or comes in.
fn recalled(log: &str) -> Result<Memory, Failure> {
    let lines: Box<dyn BufRead> = if log == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = fs::File::open(log).map_err(|error| format!("--log {log}: {error}"))?;
        Box::new(BufReader::new(file))
    };
    let mut memory = Memory::default();
    for entry in json_lines(lines) {
        memory.recall(entry?);
    }
    if memory.end().is_none() {
        return Err(format!(
            "--log {log} holds no entry: give the output of `probity log --json`"
        ));
    }
    Ok(memory)
}

/// An object before and after.
#[derive(Debug)]
struct Change {
    name: String,
    live: String,
    merged: String,
}

impl Change {
    /// The difference, as `diff -u -N` writes it.
    fn unified(&self, style: Style) -> String {
        let diff = TextDiff::from_lines(&self.live, &self.merged);
        let (from, to) = (
            format!("live/{}", self.name),
            format!("merged/{}", self.name),
        );
        let text = diff.unified_diff().header(&from, &to).to_string();
        let lines = text.lines().map(|line| match line.as_bytes().first() {
            Some(b'-') => style.removed(line),
            Some(b'+') => style.added(line),
            Some(b'@') => style.dim(line),
            _ => line.to_owned(),
        });
        let mut coloured = format!("diff -u -N {from} {to}\n");
        for line in lines {
            // Writing to a string can't fail.
            let _ = writeln!(coloured, "{line}");
        }
        coloured
    }
}

/// The remedies that would be carried out, each once, however many policies ask for it.
fn wanted(proposals: Vec<Proposal>) -> Vec<Remedy> {
    let carried = proposals
        .into_iter()
        .filter(|proposal| proposal.standing == Standing::UnderWay);
    let mut wanted: BTreeMap<(Target, String), Remedy> = BTreeMap::new();
    for remedy in carried.filter_map(|proposal| proposal.remedy) {
        let key = (remedy.target().clone(), remedy.content().to_string());
        wanted.insert(key, *remedy);
    }
    wanted.into_values().collect()
}

/// An object as it is; `Null` where it is not there. Who manages its fields is left out, as kubectl does.
async fn live(client: &kube::Client, target: &Target) -> Result<Value, Failure> {
    let info = target.kind.info();
    let resource = ApiResource {
        group: info.group.to_owned(),
        version: info.version.to_owned(),
        api_version: info.api_version(),
        kind: info.kind.to_owned(),
        plural: info.plural.to_owned(),
    };
    let objects: kube::Api<DynamicObject> = if info.is_namespaced() {
        kube::Api::namespaced_with(client.clone(), &target.namespace, &resource)
    } else {
        kube::Api::all_with(client.clone(), &resource)
    };
    let found = match within(deadline::READ, objects.get(&target.name)).await {
        Ok(mut object) => {
            object.metadata.managed_fields = None;
            serde_json::to_value(object)
        }
        Err(CallError::NotFound) => Ok(Value::Null),
        Err(error) => {
            let name = file_name(target);
            return Err(format!("{name} can't be read: {error}"));
        }
    };
    found.map_err(|error| error.to_string())
}

/// An object as a remedy would leave it.
fn merged(remedy: &Remedy, live: &Value) -> Value {
    match remedy {
        Remedy::Create { manifest, .. } | Remedy::Start { manifest, .. } if live.is_null() => {
            manifest.clone()
        }
        Remedy::Create {
            manifest: patch, ..
        }
        | Remedy::Start {
            manifest: patch, ..
        }
        | Remedy::PutBack { patch, .. }
        | Remedy::Set { patch, .. } => {
            let mut merged = live.clone();
            merge(&mut merged, patch);
            merged
        }
        Remedy::Delete { .. } => Value::Null,
    }
}

/// Applies a merge patch (RFC 7396).
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(fields) = value {
        for (key, patch) in patch {
            if patch.is_null() {
                fields.remove(key);
            } else {
                merge(fields.entry(key.clone()).or_insert(Value::Null), patch);
            }
        }
    }
}

fn text(object: &Value) -> String {
    if object.is_null() {
        String::new()
    } else {
        yaml(object)
    }
}

/// What kubectl calls the file of an object: `group.version.Kind.namespace.name`.
fn file_name(target: &Target) -> String {
    let info = target.kind.info();
    let group = info.api_version().replace('/', ".");
    let name = format!("{group}.{}.{}.{}", info.kind, target.namespace, target.name);
    // Names of RBAC objects may hold a slash.
    one_line(&name).replace('/', "%2F")
}

/// The program to compare with, and its arguments, where the environment names one.
fn external() -> Option<Vec<String>> {
    let named = std::env::var("KUBECTL_EXTERNAL_DIFF").ok()?;
    let words: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

/// Has another program compare two folders. Its exit code is ours, as kubectl's.
fn compare_with(program: &[String], changes: &[Change]) -> Result<Ending, Failure> {
    if changes.is_empty() {
        return Ok(Ending::Well);
    }
    let problem =
        |error: std::io::Error| format!("the objects can't be written to compare: {error}");
    let folder = |prefix| tempfile::Builder::new().prefix(prefix).tempdir();
    let (live, merged) = (
        folder("LIVE-").map_err(problem)?,
        folder("MERGED-").map_err(problem)?,
    );
    let write = |folder: &Path, name: &str, text: &str| {
        if text.is_empty() {
            Ok(()) // -N takes what is not there for empty
        } else {
            fs::write(folder.join(name), text)
        }
    };
    for change in changes {
        write(live.path(), &change.name, &change.live).map_err(problem)?;
        write(merged.path(), &change.name, &change.merged).map_err(problem)?;
    }
    let (name, arguments) = program
        .split_first()
        .ok_or("KUBECTL_EXTERNAL_DIFF names no program")?;
    let status = Command::new(name)
        .args(arguments)
        .arg(live.path())
        .arg(merged.path())
        .status()
        .map_err(|error| format!("KUBECTL_EXTERNAL_DIFF: {name} can't be run: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map(Ending::Theirs)
        .ok_or_else(|| format!("KUBECTL_EXTERNAL_DIFF: {name} was ended by a signal"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::inventory::Kind;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn what_a_remedy_wants_is_what_is_shown(live in json_value(), wanted in json_value()) {
            let patch = crate::controls::remedy::merge_patch(&live, &wanted);
            let mut merged = live;
            merge(&mut merged, &patch);
            prop_assert_eq!(merged, wanted);
        }
    }

    fn target() -> Target {
        Target {
            kind: Kind::RoleBinding,
            namespace: "shop".into(),
            name: "a/b".into(),
        }
    }

    #[test]
    fn a_deletion_removes_every_line() {
        let live = json!({ "kind": "RoleBinding" });
        let merged = merged(&Remedy::Delete { target: target() }, &live);
        let change = Change {
            name: file_name(&target()),
            live: text(&live),
            merged: text(&merged),
        };
        assert_eq!(
            change.unified(Style::plain(None)),
            "diff -u -N live/rbac.authorization.k8s.io.v1.RoleBinding.shop.a%2Fb \
             merged/rbac.authorization.k8s.io.v1.RoleBinding.shop.a%2Fb\n\
             --- live/rbac.authorization.k8s.io.v1.RoleBinding.shop.a%2Fb\n\
             +++ merged/rbac.authorization.k8s.io.v1.RoleBinding.shop.a%2Fb\n\
             @@ -1 +0,0 @@\n-kind: RoleBinding\n"
        );
    }

    #[test]
    fn another_program_compares_and_its_exit_code_counts() {
        let change = || Change {
            name: "a".to_owned(),
            live: "x\n".to_owned(),
            merged: String::new(),
        };
        let run = |line: &[&str], changes: &[Change]| {
            let words: Vec<String> = line.iter().map(ToString::to_string).collect();
            compare_with(&words, changes)
        };
        // `sh -c` gets the two folders as $0 and $1.
        let look = "test -f \"$0/a\" && test ! -e \"$1/a\" && exit 1; exit 3";
        let code = run(&["sh", "-c", look], &[change()]).unwrap();
        assert_eq!(code, Ending::Theirs(1));
        let missing = run(&["no-such-program"], &[change()]).unwrap_err();
        assert!(missing.contains("no-such-program"), "{missing}");
    }
}
