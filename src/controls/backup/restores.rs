//! Restore tests, as they are found in the objects of every tool.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use crate::{
    analysis::backup::{
        Protectable, RESTORE_TEST, Recovery, class_subject, in_namespaces,
        plan::{earlier, later},
        points,
    },
    controls::{
        Context,
        backup::drill::{DRILL, DrillResult, Share},
    },
    inventory::{
        Inventory, Kind, Meta, Object, Sym, Uid,
        cnpg::Database,
        velero::{Filter, Restore},
        workload::Job,
    },
    words::many,
};

/// Kinds that tests are found in, beside those of the analysis.
pub(super) const READS: &[Kind] = &[
    Kind::VeleroRestore,
    Kind::K8upRestore,
    Kind::Claim,
    Kind::Database,
    Kind::Namespace,
];

/// A restore that shows that a class can be recovered.
#[derive(Debug, Clone)]
pub(super) struct Test {
    /// What was restored, as `Kind namespace/name`.
    pub(super) what: String,
    pub(super) uid: Uid,
    /// What it was restored from.
    pub(super) source: String,
    /// The moment that the restored data shows, where it is known.
    pub(super) shows: Option<Timestamp>,
    pub(super) began: Timestamp,
    /// When it was verified, or ended where nothing verifies it.
    pub(super) ended: Timestamp,
    /// What verified it.
    pub(super) verified_by: Option<String>,
    /// Bytes restored, where they are known.
    pub(super) bytes: u64,
    /// How many claims it restored, where that is known.
    pub(super) claims: usize,
    /// Whether it ended when it became ready, which it may lose and regain later.
    pub(super) by_readiness: bool,
}

impl Test {
    /// How long it took.
    pub(super) fn duration(&self) -> Duration {
        self.ended.duration_since(self.began).unsigned_abs()
    }
}

/// What was found of a class.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tests: Vec<Test>,
    /// Restores that show nothing, newest last: when, and why.
    pub(super) misses: Vec<(Timestamp, String)>,
}

impl Found {
    /// The test that ended last. A Job that verified a Restore may also have verified a claim beside
    /// it: the one that began first took as long as the whole.
    pub(super) fn newest(&self) -> Option<&Test> {
        let key = |test: &&Test| (test.ended, Reverse(test.began));
        self.tests.iter().max_by_key(key)
    }

    /// Why the last restore shows nothing.
    pub(super) fn newest_miss(&self) -> Option<&str> {
        let newest = self.misses.iter().max_by_key(|(at, _)| *at);
        newest.map(|(_, why)| why.as_str())
    }
}

/// All restore tests of a class.
pub(super) fn of_class(context: &Context<'_>, class: &str, needs_job: bool) -> Found {
    let (inventory, recovery) = (context.inventory, context.analyses.recovery());
    let jobs = verify_jobs(inventory, recovery, class);
    let mut found = Found::default();
    for restore in inventory.tables.velero_restores.iter() {
        velero(
            inventory, recovery, class, needs_job, &jobs, restore, &mut found,
        );
    }
    for database in inventory.tables.databases.iter() {
        database_test(inventory, class, database, &mut found);
    }
    for job in &jobs {
        found.tests.extend(by_job(inventory, job));
    }
    found
}

/// The Jobs that verify restores of a class and succeeded, with the time at which each ended.
fn verify_jobs<'a>(
    inventory: &'a Inventory,
    recovery: &Recovery,
    class: &str,
) -> Vec<(&'a Object<Job>, Timestamp)> {
    let jobs = recovery.runs(&class_subject(class));
    let jobs = jobs.filter_map(|(_, ns, name)| inventory.tables.jobs.get(ns, name));
    jobs.filter(|job| job.spec.succeeded == Some(true))
        .filter_map(|job| Some((job, job.spec.ended?)))
        .collect()
}

/// How long after a restore a Job may still be its verification.
const VERIFIED_WITHIN: Duration = Duration::from_hours(24);

fn velero(
    inventory: &Inventory,
    recovery: &Recovery,
    class: &str,
    needs_job: bool,
    jobs: &[(&Object<Job>, Timestamp)],
    restore: &Object<Restore>,
    found: &mut Found,
) {
    let (meta, spec) = (&restore.meta, &restore.spec);
    let source = spec.backup.as_deref();
    let parts = Parts::of(inventory, recovery, restore, class);
    if meta.labels.get(DRILL).is_some() {
        return drill(restore, &parts, class, needs_job, found);
    }
    let labelled = meta.labels.get(RESTORE_TEST);
    let targets = |namespace: &Sym| spec.mapping.iter().any(|(_, new)| new == namespace);
    let near = |job: &Object<Job>| targets(&job.meta.namespace);
    let of_class = match labelled {
        Some(label) => label == class,
        None => parts.of_class > 0 || jobs.iter().any(|(job, _)| near(job)),
    };
    if !of_class {
        return;
    }
    let began = spec.started.unwrap_or_else(|| meta.created_at());
    let completed = match completed(restore) {
        Ok(completed) => completed,
        Err(why) => {
            let message = format!("Restore {}/{} {why}", meta.namespace, meta.name);
            found.misses.push((began, message));
            return;
        }
    };
    let until = later(completed, VERIFIED_WITHIN);
    let verified = jobs
        .iter()
        .filter(|(_, ended)| (completed..=until).contains(ended))
        .min_by_key(|(job, ended)| (!near(job), *ended));
    if needs_job && verified.is_none() {
        let message = format!(
            "Restore {}/{} was not verified: no Job with the label {RESTORE_TEST}={class} \
             succeeded after it",
            meta.namespace, meta.name
        );
        found.misses.push((began, message));
        return;
    }
    found.tests.push(Test {
        what: format!("Restore {}/{}", meta.namespace, meta.name),
        uid: meta.uid,
        source: source.map_or_else(
            || format!("schedule {}", spec.schedule.as_deref().unwrap_or_default()),
            |name| format!("Backup {name}"),
        ),
        shows: parts.shows,
        began,
        ended: verified.map_or(completed, |(_, ended)| *ended),
        verified_by: verified
            .map(|(job, _)| format!("Job {}/{}", job.meta.namespace, job.meta.name)),
        bytes: parts.bytes,
        claims: parts.of_class,
        by_readiness: false,
    });
}

/// A Restore that a drill made: it shows what the drill found, and nothing before.
fn drill(
    restore: &Object<Restore>,
    parts: &Parts,
    class: &str,
    needs_job: bool,
    found: &mut Found,
) {
    let (meta, spec) = (&restore.meta, &restore.spec);
    let began = spec.started.unwrap_or_else(|| meta.created_at());
    let what = format!("Restore {}/{}", meta.namespace, meta.name);
    let Some(result) = DrillResult::of(meta) else {
        if parts.of_class > 0 {
            let miss = format!("the drill of {what} is not over");
            found.misses.push((began, miss));
        }
        return;
    };
    let share = result.claims.get(class).copied();
    if share.is_none() && parts.of_class == 0 {
        return;
    }
    let Share { bound, all } = share.unwrap_or_default();
    let verified = result.verified.get(class);
    let miss = match verified {
        _ if !result.passed => Some(format!("failed: {}", result.said)),
        _ if all == 0 => Some("brought no claim of the class back".to_owned()),
        None if needs_job => Some("was not verified by a Job".to_owned()),
        _ => None,
    };
    if let Some(miss) = miss {
        found
            .misses
            .push((began, format!("the drill of {what} {miss}")));
        return;
    }
    found.tests.push(Test {
        what,
        uid: meta.uid,
        source: format!("Backup {}", spec.backup.as_deref().unwrap_or_default()),
        shows: parts.shows,
        began,
        ended: result.ended,
        verified_by: verified.map(|job| format!("Job {job}")),
        bytes: parts.bytes,
        claims: bound,
        by_readiness: false,
    });
}

/// When a Velero Restore completed in a way that shows something; `Err` is why it shows nothing.
fn completed(restore: &Object<Restore>) -> Result<Timestamp, String> {
    let spec = &restore.spec;
    match spec.phase.as_deref() {
        Some("Completed") => {}
        phase => return Err(format!("is {}", phase.unwrap_or("New"))),
    }
    let aside = |old: &Sym| {
        spec.mapping
            .iter()
            .any(|(from, to)| from == old && to != old)
    };
    let all_aside = spec.mapping.iter().all(|(old, new)| old != new)
        && (spec.included.iter().all(aside) || spec.included.is_empty());
    if spec.mapping.is_empty() || !all_aside {
        return Err(
            "restores into the namespace that it was taken from: what is there is left as it is, \
             and it completes without restoring anything"
                .to_owned(),
        );
    }
    if spec.without_volumes {
        return Err("leaves volumes out (restorePVs: false)".to_owned());
    }
    if spec.errors > 0 || spec.warnings > 0 {
        let (errors, warnings) = (spec.errors, spec.warnings);
        return Err(format!(
            "has {} and {}",
            many(errors, "error"),
            many(warnings, "warning")
        ));
    }
    spec.completed
        .ok_or_else(|| "doesn't say when it ended".to_owned())
}

/// What a Velero Backup holds of a class.
#[derive(Debug, Default)]
struct Parts {
    of_class: usize,
    bytes: u64,
    shows: Option<Timestamp>,
}

impl Parts {
    fn of(
        inventory: &Inventory,
        recovery: &Recovery,
        restore: &Object<Restore>,
        class: &str,
    ) -> Self {
        let mut sum = Self::default();
        let backups = &inventory.tables.velero_backups;
        let backup = restore.spec.backup.as_deref();
        let Some(backup) = backup.and_then(|name| backups.get(&restore.meta.namespace, name))
        else {
            return sum;
        };
        let restored = Filter {
            included: restore.spec.included.clone(),
            excluded: Box::default(),
        };
        sum.shows = backup.spec.started;
        for (kind, namespace, name) in recovery.parts(&backup.meta) {
            let Some(part) = points::volume_backup(inventory, *kind, namespace, name) else {
                continue;
            };
            let claim = recovery.claim_of(inventory, &part.spec);
            let claim = claim.filter(|claim| in_namespaces(&restored, &claim.meta.namespace));
            if claim.is_some_and(|claim| Protectable::Claim(claim).backup_class() == class) {
                sum.of_class += 1;
                sum.bytes = sum.bytes.saturating_add(part.spec.bytes);
            }
        }
        sum
    }
}

/// How long after its creation a recovered database may become ready. Its condition tells only of
/// the last time: of one that lives on, that is its last failover.
const READY_WITHIN: Duration = Duration::from_hours(24);

/// A database cluster that was recovered and became ready.
fn database_test(
    inventory: &Inventory,
    class: &str,
    database: &Object<Database>,
    found: &mut Found,
) {
    let meta = &database.meta;
    let Some(recovered) = &database.spec.recovered else {
        return;
    };
    let tables = &inventory.tables;
    let backup = recovered.backup.as_deref();
    let backup = backup.and_then(|name| tables.database_backups.get(&meta.namespace, name));
    let source = backup.and_then(|b| tables.databases.get(&meta.namespace, &b.spec.cluster));
    let of = Protectable::Database(source.unwrap_or(database)).backup_class();
    if meta.labels.get(RESTORE_TEST).unwrap_or(of) != class {
        return;
    }
    let what = format!("Cluster {}/{}", meta.namespace, meta.name);
    let began = meta.created_at();
    let (Some(true), Some(ended)) = (database.spec.ready, database.spec.ready_since) else {
        found
            .misses
            .push((began, format!("{what} was recovered, but is not ready")));
        return;
    };
    if ended > later(began, READY_WITHIN) {
        let miss = format!(
            "{what} was recovered at {began}, but is ready only since {ended}: when its recovery \
             ended is not known"
        );
        found.misses.push((began, miss));
        return;
    }
    found.tests.push(Test {
        source: match (&recovered.backup, &recovered.source) {
            (Some(backup), _) => format!("Backup {backup}"),
            (None, Some(source)) => format!("external cluster {source}"),
            (None, None) => "snapshots".to_owned(),
        },
        what,
        uid: meta.uid,
        shows: backup.and_then(|backup| backup.spec.started),
        began,
        ended,
        verified_by: Some("its own readiness".to_owned()),
        bytes: 0,
        claims: 1,
        by_readiness: true,
    });
}

/// A Job that mounts a claim that was made of a snapshot or a backup, or that K8up restored to, a
/// day before at most.
fn by_job(inventory: &Inventory, (job, ended): &(&Object<Job>, Timestamp)) -> Option<Test> {
    let namespace = &job.meta.namespace;
    let tables = &inventory.tables;
    let mounts = |claim: &Sym| job.spec.claims.contains(claim);
    let claims = tables.claims.in_namespace(namespace);
    let claims = claims.filter(|claim| mounts(&claim.meta.name));
    let claims = claims.filter(|claim| !is_of_failed_restore(inventory, &claim.meta));
    let made = claims.filter(|claim| {
        let volume = claim.spec.volume.as_deref();
        let volume = volume.and_then(|name| tables.volumes.get("", name));
        let from = volume.and_then(|volume| volume.spec.attributes.get("fromBackup"));
        claim.spec.restored || from.is_some_and(|from| !from.is_empty())
    });
    let made = made.map(|claim| {
        (
            "PersistentVolumeClaim",
            &claim.meta,
            claim.meta.created_at(),
        )
    });
    let runs = tables.k8up_restores.in_namespace(namespace);
    let runs = runs.filter(|run| {
        let done = run.spec.ended.is_none_or(|done| done <= *ended);
        done && run.spec.succeeded == Some(true) && run.spec.claim.as_ref().is_some_and(mounts)
    });
    let runs = runs.map(|run| ("K8up Restore", &run.meta, run.meta.created_at()));
    let from = earlier(*ended, VERIFIED_WITHIN);
    let mut before = made
        .chain(runs)
        .filter(|(.., began)| (from..=*ended).contains(began));
    let newest = before.next().map(|first| {
        before.fold(
            first,
            |best, next| if next.2 > best.2 { next } else { best },
        )
    });
    let (kind, meta, began): (&str, &Meta, Timestamp) = newest?;
    Some(Test {
        what: format!("{kind} {}/{}", meta.namespace, meta.name),
        uid: meta.uid,
        source: "a snapshot or backup".to_owned(),
        shows: None,
        began,
        ended: *ended,
        verified_by: Some(format!("Job {namespace}/{}", job.meta.name)),
        bytes: 0,
        claims: 1,
        by_readiness: false,
    })
}

/// Whether a claim was made while a Velero Restore into its namespace ran that did not end well:
/// that Restore is judged as what it is.
fn is_of_failed_restore(inventory: &Inventory, claim: &Meta) -> bool {
    let made = claim.created_at();
    inventory.tables.velero_restores.iter().any(|restore| {
        let spec = &restore.spec;
        let into = if spec.mapping.is_empty() {
            spec.included.is_empty() || spec.included.contains(&claim.namespace)
        } else {
            spec.mapping.iter().any(|(_, new)| *new == claim.namespace)
        };
        let clean = spec.phase.as_deref() == Some("Completed");
        let clean = clean && spec.errors == 0 && spec.warnings == 0;
        let ran = spec.started.is_some_and(|started| started <= made)
            && spec.completed.is_none_or(|completed| made <= completed);
        into && !clean && ran
    })
}
