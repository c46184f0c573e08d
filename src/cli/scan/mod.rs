//! `probity scan`: one read-only pass over a cluster, or over manifests.

mod fault;
mod json;
mod junit;
pub(super) mod manifests;
mod offline;
mod report;
mod sarif;
mod table;
mod unread;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::Resource as _;
use serde_json::Value;

use self::{
    offline::{Declared, Grants},
    report::{Judged, Report, Source},
};
use super::{
    Connect, Failure,
    exit::Ending,
    output::{
        style::{Style, When},
        tell,
    },
    pass::{Pass, there_is},
};
use crate::{
    api::{ControlPolicy, Mode, Period},
    controls::{Family, REGISTRY},
    engine::Event,
    generate,
    verdict::{Outcome, Severity},
    words::one_line,
};

const EXAMPLES: &str = "\
Examples:
  # What holds in the cluster of the current context, and what does not
  probity scan
  # The same for one namespace, with every failing subject
  probity scan -n shop --all
  # Manifests, before they are applied
  probity scan -f manifests/
  # A chart, failing only for what is High or Critical
  helm template shop ./chart -n shop | probity scan -f - -n shop --fail-on high
  # For code scanning, and for a CI system's test report
  probity scan -f manifests/ -o sarif > probity.sarif
  probity scan -f manifests/ -o junit > probity.xml
  # By the controls of your own policy
  probity scan -p policy.yaml --group-by criterion

Exit code: 0 if nothing fails, 1 if something does that --fail-on heeds, 2 if there was no scan: a broken file, a wrong
argument, no cluster, or no right to read anything in it.";

/// Arguments of `probity scan`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Manifests instead of a cluster: files, folders with all below them, or `-` for standard
    /// input. Can be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Policy by whose controls to judge, as a file; else the baseline: every control. Can be given
    /// several times.
    #[arg(short, long = "policy", value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// Only subjects in this namespace; with --filename, the namespace of objects that name none.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// With --filename: the files hold all that the cluster will, so that there is nothing of a
    /// kind that none of them holds.
    #[arg(long, requires = "files")]
    complete: bool,
    /// Format of what is printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// What ends with exit code 1: failures of this severity or a worse one, those and what nobody
    /// can tell, or nothing.
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    fail_on: FailOn,
    /// How the table is grouped.
    #[arg(long, value_name = "GROUP", default_value = "family")]
    group_by: GroupBy,
    /// List every subject that fails or that nobody can tell of, not five of each control.
    #[arg(short, long)]
    all: bool,
    /// When to colour.
    #[arg(long = "color", value_name = "WHEN", default_value = "auto")]
    colour: When,
    #[command(flatten)]
    connect: Connect,
}

/// How a scan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// `JUnit`, for CI systems.
    Junit,
}

/// What ends with exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any failure.
    Low,
    /// Failures of Medium severity or worse.
    Medium,
    /// Failures of High or Critical severity.
    High,
    /// Failures of Critical severity.
    Critical,
    /// Any failure, and anything that nobody can tell.
    Unknown,
    /// Nothing.
    None,
}

/// How the table is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GroupBy {
    /// By family of controls.
    Family,
    /// By Trust Services Criterion; a control stands under each that it supports.
    Criterion,
}

/// Looks once and prints what was found.
pub(super) async fn run(arguments: Arguments) -> Result<Ending, Failure> {
    let policies = policies(&arguments.policies)?;
    let report = if arguments.files.is_empty() {
        cluster(&arguments, policies).await?
    } else {
        files(&arguments, &policies)?
    };
    for unread in &report.unread {
        tell(&one_line(&unread.to_string()));
    }
    match arguments.output {
        Format::Table => {
            let style = Style::of_stdout(arguments.colour);
            print!(
                "{}",
                table::render(&report, arguments.group_by, arguments.all, style)
            );
        }
        Format::Json => println!("{:#}", json::render(&report)),
        Format::Sarif => println!("{:#}", sarif::render(&report)),
        Format::Junit => {
            // It has no place for what is about no test.
            for note in &report.notes {
                tell(&one_line(note));
            }
            print!("{}", junit::render(&report)?);
        }
    }
    Ok(ending(&report, arguments.fail_on))
}

/// How the scan ended. One that could look at nothing was none, whatever is heeded.
fn ending(report: &Report, fail_on: FailOn) -> Ending {
    if report.blind {
        Ending::Incomplete
    } else {
        Ending::of(!fails(report, fail_on))
    }
}

/// The policies that were given, else the baseline; all of them observe, as a scan does.
fn policies(files: &[PathBuf]) -> Result<Vec<ControlPolicy>, Failure> {
    let mut policies = Vec::new();
    if files.is_empty() {
        let baseline = serde_saphyr::from_str(&generate::baseline());
        return Ok(vec![baseline.map_err(|error| error.to_string())?]);
    }
    for manifest in manifests::read(files)?.objects {
        let place = manifest.place;
        if manifest.object["kind"] != "ControlPolicy" {
            let kind = manifest.object["kind"].as_str().unwrap_or_default();
            return Err(format!("{place}: is a {kind}, not a ControlPolicy"));
        }
        let version = manifest.object["apiVersion"].as_str().unwrap_or_default();
        let known = ControlPolicy::api_version(&());
        if version != known {
            return Err(format!(
                "{place}: is a ControlPolicy of {version}, and this program knows {known} alone"
            ));
        }
        let policy: ControlPolicy =
            serde_json::from_value(manifest.object.clone()).map_err(|error| {
                let why = fault::explain(&manifest.object, &error);
                format!("{place}: is no ControlPolicy: {why}")
            })?;
        let spec = &manifest.object["spec"];
        let read = serde_json::to_value(&policy.spec).map_err(|error| error.to_string())?;
        let controls = spec["controls"].as_object();
        let strange = |field: &&String| !REGISTRY.iter().any(|known| known.info.field == **field);
        let strange = controls.and_then(|controls| controls.keys().find(strange));
        let strange = strange.map(|field| format!("controls.{field}"));
        if let Some(field) = strange.or_else(|| unknown(spec, &read)) {
            return Err(format!(
                "{place}: there is no field spec.{field}: docs/controls/README.md lists what there is"
            ));
        }
        policies.push(policy);
    }
    for policy in &mut policies {
        policy.spec.mode = Mode::Observe;
        policy.spec.suspend = false;
    }
    Ok(policies)
}

/// The path of the first field that was given and not read: an API server would refuse it as a typo.
fn unknown(given: &Value, read: &Value) -> Option<String> {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => {
            given.iter().find_map(|(key, value)| match read.get(key) {
                Some(read) => Some(format!("{key}.{}", unknown(value, read)?)),
                // What says nothing may be left out.
                None => (!is_empty(value)).then(|| key.clone()),
            })
        }
        (Value::Array(given), Value::Array(read)) => given
            .iter()
            .zip(read)
            .find_map(|(given, read)| unknown(given, read)),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A pass that knows the policies.
fn pass(policies: Vec<ControlPolicy>) -> Result<Pass, Failure> {
    let mut pass = Pass::new("probity-system");
    for policy in policies {
        pass.apply(Event::Policy(Box::new(policy)));
    }
    if let Some((policy, problem)) = pass.engine.problems().first() {
        return Err(format!("policy {policy}: {problem}"));
    }
    Ok(pass)
}

async fn cluster(arguments: &Arguments, policies: Vec<ControlPolicy>) -> Result<Report, Failure> {
    let mut pass = pass(policies)?;
    let (connection, version) = arguments.connect.open().await?;
    if let Some(namespace) = &arguments.namespace {
        there_is(&connection.client, namespace).await?;
    }
    let notes = pass.read(&connection, &version).await?;
    let found = pass.engine.findings().into_iter();
    let mut controls: Vec<Judged> = found.map(Judged::of_cluster).collect();
    if let Some(namespace) = &arguments.namespace {
        for judged in &mut controls {
            judged
                .findings
                .retain(|finding| *finding.subject.namespace == **namespace);
            judged.recount();
        }
        controls.retain(|judged| judged.why.is_some() || !judged.findings.is_empty());
    }
    Ok(Report {
        source: Source::Cluster {
            url: connection.cluster_url,
            version: version.git_version,
        },
        controls,
        notes,
        unread: Vec::new(),
        blind: pass.blind,
    })
}

/// Takes the graces away that wait for what is still to come: nothing is, where the files hold all.
fn give_no_grace(policy: &mut ControlPolicy) {
    let controls = &mut policy.spec.controls;
    if let Some(setting) = &mut controls.net_policy_dead {
        setting.parameters.grace = Period::seconds(0);
    }
    if let Some(setting) = &mut controls.rbac_stale_bindings {
        setting.parameters.dangling_grace = Period::seconds(0);
    }
}

fn files(arguments: &Arguments, policies: &[ControlPolicy]) -> Result<Report, Failure> {
    let read = manifests::read(&arguments.files)?;
    let (files, complete) = (read.files, arguments.complete);
    let mut policies = policies.to_vec();
    if complete {
        policies.iter_mut().for_each(give_no_grace);
    }
    let namespace = arguments.namespace.as_deref().unwrap_or("default");
    let declared = Declared::new(read, namespace, complete, Timestamp::now());
    let judge = |unclear, made| -> Result<Vec<Judged>, Failure> {
        let mut pass = pass(policies.clone())?;
        declared.feed(&mut pass, complete, unclear, made);
        let found = pass.engine.findings().into_iter();
        Ok(found
            .map(|found| Judged::of_files(found, &declared, complete))
            .collect())
    };
    // Backups read claims through pods; of all else controllers tell by their templates, and what
    // admission would make of their pods nobody knows.
    let judge = |unclear| -> Result<Vec<Judged>, Failure> {
        let mut controls = judge(unclear, false)?;
        if declared.mounts_claims() {
            for (judged, other) in controls.iter_mut().zip(judge(unclear, true)?) {
                if judged.info.family == Family::Backup {
                    *judged = other;
                }
            }
        }
        Ok(controls)
    };
    let mut controls = judge(Grants::Nothing)?;
    if let Some(why) = declared.unclear_roles() {
        let others = judge(Grants::Everything)?;
        for (judged, other) in controls.iter_mut().zip(&others) {
            judged.doubt(other, &why);
        }
    }
    let objects = declared.len();
    Ok(Report {
        source: Source::Files { files, objects },
        controls,
        notes: declared.notes,
        blind: objects == 0 && !declared.documents.is_empty(),
        unread: declared.documents,
    })
}

/// Whether the exit code must say that something is wrong.
fn fails(report: &Report, fail_on: FailOn) -> bool {
    let worst = report.failing().into_keys().max();
    let at_least = |severity| worst.is_some_and(|worst| worst >= severity);
    match fail_on {
        FailOn::None => false,
        FailOn::Unknown => {
            worst.is_some()
                || !report.unread.is_empty()
                || report.controls.iter().any(|judged| {
                    judged.outcome == Outcome::Unknown || judged.counts.of(Outcome::Unknown) > 0
                })
        }
        FailOn::Low => at_least(Severity::Low),
        FailOn::Medium => at_least(Severity::Medium),
        FailOn::High => at_least(Severity::High),
        FailOn::Critical => at_least(Severity::Critical),
    }
}

#[cfg(test)]
mod tests;
