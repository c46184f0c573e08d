//! Backups that are made because one is overdue.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::common::later;
use crate::{
    analysis::backup::{Protectable, coverage::Covers},
    controls::prelude::*,
    inventory::{
        meta::{MANAGED_BY, MANAGER},
        velero::{Backup, SCHEDULE, Schedule},
    },
};

/// What is next for a claim whose recovery point is too old.
pub(super) enum Next {
    /// A Backup is made.
    Start(Remedy),
    /// A run of its Schedule has not ended.
    UnderWay(Sym),
    /// One that was made for this is not long ago.
    Rest(Sym, Timestamp),
    /// It is for people.
    Propose,
}

/// Bytes of a Schedule's name that a Backup's name begins with: labels hold 63 of it.
const NAME: usize = 30;

pub(super) fn next(context: &Context<'_>, what: Protectable<'_>, retry: Duration) -> Next {
    let Some(schedule) = schedule(context, what) else {
        return Next::Propose;
    };
    let subject = Subject::of(Kind::VeleroSchedule, &schedule.meta);
    let runs = context.analyses.recovery().runs(&subject);
    let backups = &context.inventory.tables.velero_backups;
    let runs: Vec<&Object<Backup>> = runs
        .filter_map(|(_, namespace, name)| backups.get(namespace, name))
        .collect();
    let is_over = |run: &&&Object<Backup>| {
        matches!(
            run.spec.phase.as_deref(),
            Some("Completed" | "PartiallyFailed" | "Failed" | "FailedValidation" | "Deleting")
        )
    };
    if let Some(run) = runs.iter().find(|run| !is_over(run)) {
        return Next::UnderWay(run.meta.name.clone());
    }
    let newest = |run: &&&Object<Backup>| run.meta.created_at();
    // A Schedule that we created has our label, and Velero gives it to all its runs.
    let begin = name_begin(&schedule.meta.name);
    let made = runs
        .iter()
        .filter(|run| run.meta.owners.ours && run.meta.name.starts_with(&*begin))
        .max_by_key(newest);
    if let Some(made) = made {
        let until = later(made.meta.created_at(), retry);
        if context.now < until {
            return Next::Rest(made.meta.name.clone(), until);
        }
    }
    // The same name until the next run: a second writer makes no second Backup.
    let last = runs.iter().map(|run| run.meta.created_at()).max();
    let last = last.unwrap_or(schedule.meta.created_at());
    start(schedule, last, retry).map_or(Next::Propose, Next::Start)
}

/// The first active Schedule whose backups hold the claim.
fn schedule<'a>(context: &Context<'a>, what: Protectable<'a>) -> Option<&'a Object<Schedule>> {
    let recovery = context.analyses.recovery();
    let mut plans = recovery.coverage(context.inventory, what);
    plans.find_map(|(plan, covers)| {
        let active = matches!(covers, Covers::Yes(_));
        let is_velero = plan.object_kind() == Some(Kind::VeleroSchedule);
        let schedules = &context.inventory.tables.velero_schedules;
        (active && is_velero).then(|| schedules.get(&plan.namespace, &plan.name))?
    })
}

/// How the names of Backups begin that are made because one of this Schedule is overdue.
fn name_begin(schedule: &str) -> String {
    let end = schedule.floor_char_boundary(NAME);
    let base = schedule[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("probity-{base}-after-")
}

/// The remedy; `None` where the template has hooks, whose commands no log must hold.
fn start(schedule: &Object<Schedule>, last: Timestamp, rest: Duration) -> Option<Remedy> {
    let spec: Value = serde_json::from_str(&schedule.spec.written).ok()?;
    let hooks = &spec["hooks"];
    if hooks["resources"]
        .as_array()
        .is_some_and(|hooks| !hooks.is_empty())
    {
        return None;
    }
    let (namespace, of) = (&schedule.meta.namespace, &schedule.meta.name);
    let after = last.strftime("%Y%m%d%H%M%S");
    let name: Sym = format!("{}{after}", name_begin(of)).as_str().into();
    let info = Kind::VeleroBackup.info();
    Some(Remedy::Start {
        manifest: json!({
            "apiVersion": info.api_version(),
            "kind": info.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { MANAGED_BY: MANAGER, SCHEDULE: of },
            },
            "spec": spec,
        }),
        target: Target {
            kind: Kind::VeleroBackup,
            namespace: namespace.clone(),
            name,
        },
        of: Target {
            kind: Kind::VeleroSchedule,
            namespace: namespace.clone(),
            name: of.clone(),
        },
        rest,
    })
}

/// The Backup when it is Completed, and its part of the claim, where it holds that at all.
pub(super) fn foresee(
    context: &Context<'_>,
    subject: &Subject,
    stored: &Value,
) -> Result<Vec<(Kind, Value)>, String> {
    let meta = &stored["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let inventory = context.inventory;
    let backup = inventory.tables.velero_backups.get(namespace, name);
    let what = Protectable::of(inventory, subject);
    let (Some(backup), Some(Protectable::Claim(claim))) = (backup, what) else {
        return Err("the claim is gone".to_owned());
    };
    match context
        .analyses
        .recovery()
        .backup_covers(inventory, backup, claim)
    {
        Covers::Yes(_) => {}
        _ => return Err("the Backup that the server would store does not hold it".to_owned()),
    }
    let mut done = stored.clone();
    done["status"] = json!({
        "phase": "Completed", "startTimestamp": context.now, "completionTimestamp": context.now,
    });
    // Whatever the means: this stands for the proof that the volume's part of it succeeded.
    let part = json!({
        "metadata": {
            "name": format!("{name}-foreseen"),
            "namespace": namespace,
            "uid": "00000000-0000-4000-8000-000000000000",
            "creationTimestamp": context.now,
            "labels": {
                "velero.io/backup-name": name,
                "velero.io/pvc-uid": claim.meta.uid.to_string(),
            },
        },
        "status": { "phase": "Completed", "startTimestamp": context.now },
    });
    Ok(vec![
        (Kind::VeleroBackup, done),
        (Kind::PodVolumeBackup, part),
    ])
}
