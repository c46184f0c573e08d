//! Checks the logs of several replicas together: each by itself, and that they fit together where one took over from
//! another.

use std::convert::Infallible;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use super::{LogReport, Problem, Report, Trust, verify_and_hear};
use crate::evidence::joined::SKEW;
use crate::evidence::{Body, Entry, Joined, LogError, body::Anchored, epochs};
use crate::words::many;

/// The logs of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Which one: how the names of its logs begin.
    pub logs: String,
    /// Its name, such as `probity-system.probity-0`.
    pub name: String,
    /// The cluster, by the UID of its namespace `kube-system`.
    pub cluster: String,
    /// The data folder.
    pub folder: PathBuf,
}

impl Replica {
    /// Whose logs are in a folder, by what they say; `None` where they don't, or say different things. Fails only where
    /// none of them can be read: what is wrong with one is for [`verify_replicas`] to say.
    pub fn of(folder: &Path) -> Result<Option<Self>, LogError> {
        let mut found: Option<Self> = None;
        let mut damage = None;
        for dir in epochs::list(folder)? {
            let origin = match epochs::origin(&dir) {
                Err(error) if error.is_damage() => {
                    damage = Some(error);
                    continue;
                }
                origin => origin?,
            };
            let Some(origin) = origin else { continue };
            let Some(replica) = Self::named(&origin, folder) else {
                return Ok(None);
            };
            if found
                .as_ref()
                .is_some_and(|found| found.logs != replica.logs)
            {
                return Ok(None);
            }
            found = Some(replica);
        }
        match (&found, damage) {
            (None, Some(damage)) => Err(damage),
            _ => Ok(found),
        }
    }

    /// By the name of one of its logs. A name comes from a stranger, and becomes that of a folder.
    fn named(origin: &str, folder: &Path) -> Option<Self> {
        let (logs, _) = origin.rsplit_once('/')?;
        let (before, name) = logs.rsplit_once('/')?;
        let (_, cluster) = before.rsplit_once('/')?;
        let mut parts = Path::new(name).components();
        let is_name = matches!(parts.next(), Some(Component::Normal(part)) if part == name);
        (is_name && parts.next().is_none()).then(|| Self {
            logs: format!("{logs}/"),
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            folder: folder.to_owned(),
        })
    }

    fn has(&self, head: &Anchored) -> bool {
        head.origin.starts_with(&self.logs)
    }
}

/// Checks the logs of several replicas of one cluster. `progress` hears how many entries of one of them are done.
///
/// Fails only if nothing can be read at all; what is wrong is in the report.
pub fn verify_replicas(
    replicas: &[Replica],
    trust: &Trust,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Report, LogError> {
    let mut report = Report::default();
    let mut terms = Vec::new();
    for replica in replicas {
        let trust = trust_in(replica, trust);
        let mut said: Vec<Led> = Vec::new();
        let mut listener = |entry: &Entry| match &entry.body {
            Body::Term(_) => said.push(Led {
                term: entry.clone(),
                last: entry.time,
            }),
            // A replica writes these without leading, too.
            Body::Epoch(_) | Body::Start(_) | Body::KeyChange(_) | Body::Pruned(_) => {}
            _ => {
                if let Some(led) = said.last_mut() {
                    led.last = led.last.max(entry.time);
                }
            }
        };
        let (mut found, _) = verify_and_hear(&replica.folder, &trust, progress, &mut listener)?;
        for log in &mut found.logs {
            for problem in &mut log.problems {
                problem.file = Path::new(&replica.name).join(&problem.file);
            }
        }
        report.logs.append(&mut found.logs);
        report.remarks.append(&mut found.remarks);
        terms.push(said);
    }
    compare_heads(&mut report, replicas, &terms)?;
    compare_times(&mut report, replicas, &terms);
    compare_terms(&mut report, replicas, terms);
    let known = |anchor: &&Anchored| !replicas.iter().any(|replica| replica.has(anchor));
    let strangers = Trust {
        anchors: trust.anchors.iter().filter(known).cloned().collect(),
        ..Trust::default()
    };
    report.compare_missing(&strangers);
    report.conclude(trust);
    Ok(report)
}

/// A term that a replica led.
struct Led {
    /// The entry that begins it.
    term: Entry,
    /// When it last said something in it.
    last: Timestamp,
}

/// What is known of the logs of one replica.
fn trust_in(replica: &Replica, trust: &Trust) -> Trust {
    let ours = trust.anchors.iter().filter(|anchor| replica.has(anchor));
    Trust {
        anchors: ours.cloned().collect(),
        ..trust.clone()
    }
}

/// Where a replica took over, it wrote down the last head that it knew of the log before: that log must have it.
fn compare_heads(
    report: &mut Report,
    replicas: &[Replica],
    terms: &[Vec<Led>],
) -> Result<(), LogError> {
    for (who, said) in replicas.iter().zip(terms) {
        for led in said {
            let Body::Term(term) = &led.term.body else {
                continue;
            };
            let Some(head) = &term.before else { continue };
            let Some(of) = replicas.iter().find(|replica| replica.has(head)) else {
                report.remarks.push(format!(
                    "when {} began to lead in term {}, it followed {}, which is not here",
                    who.name, term.epoch, head.origin
                ));
                continue;
            };
            let Some(what) = contradiction(report, of, head)? else {
                continue;
            };
            let problem = Problem {
                entry: None,
                file: Path::new(&of.name).to_owned(),
                byte: None,
                what: format!(
                    "when {} began to lead in term {}, {} had {} of {}: {what}",
                    who.name,
                    term.epoch,
                    head.source,
                    many(head.size, "entry"),
                    head.origin
                ),
            };
            if let Some(log) = log_of(report, &head.origin, &of.logs) {
                log.add(problem);
            }
        }
    }
    Ok(())
}

/// What of a head is not so.
fn contradiction(
    report: &Report,
    of: &Replica,
    head: &Anchored,
) -> Result<Option<String>, LogError> {
    let Some(log) = report.logs.iter().find(|log| log.origin == head.origin) else {
        return Ok(Some("this log is not here".to_owned()));
    };
    if log.size < head.size {
        return Ok(Some(format!("here it has {}", log.size)));
    }
    // What is wrong with a log that can't be read has been said.
    if !log.problems.is_empty() {
        return Ok(None);
    }
    for dir in epochs::list(&of.folder)? {
        let origin = match epochs::origin(&dir) {
            Err(error) if error.is_damage() => continue, // of another one
            origin => origin?,
        };
        if origin.as_deref() == Some(&*head.origin) && !epochs::has_root(&dir, log.size, head)? {
            return Ok(Some("here they are others".to_owned()));
        }
    }
    Ok(None)
}

/// The report of the log of this name, or of another one of the same replica.
fn log_of<'a>(report: &'a mut Report, origin: &str, logs: &str) -> Option<&'a mut LogReport> {
    let of = |wanted: &dyn Fn(&LogReport) -> bool| report.logs.iter().rposition(wanted);
    let at = of(&|log| log.origin == origin).or_else(|| of(&|log| log.origin.starts_with(logs)))?;
    report.logs.get_mut(at)
}

/// Nobody went on leading when another one did, as far as clocks of nodes tell.
fn compare_times(report: &mut Report, replicas: &[Replica], terms: &[Vec<Led>]) {
    let all = replicas.iter().zip(terms);
    let all = all.flat_map(|(who, said)| said.iter().map(move |led| (who, led)));
    let mut all: Vec<(&Replica, &Led)> = all.collect();
    all.sort_by_key(|(_, led)| led.term.time);
    for pair in all.windows(2) {
        let [(who, led), (next, began)] = pair else {
            continue;
        };
        let over = led.last.duration_since(began.term.time);
        if who.name != next.name && over > SKEW {
            let what = format!(
                "it went on leading until {}, and {} had begun to lead at {}",
                led.last, next.name, began.term.time
            );
            let problem = Problem {
                entry: None,
                file: Path::new(&who.name).to_owned(),
                byte: None,
                what,
            };
            if let Some(log) = log_of(report, &who.logs, &who.logs) {
                log.add(problem);
            }
        }
    }
}

/// No term was led twice.
fn compare_terms(report: &mut Report, replicas: &[Replica], terms: Vec<Vec<Led>>) {
    let logs = terms.into_iter().map(|said| {
        let said = said.into_iter();
        said.map(|led| Ok::<_, Infallible>(led.term))
    });
    let Ok(mut joined) = Joined::new(logs.collect());
    joined.by_ref().for_each(drop);
    let names: Vec<&str> = replicas.iter().map(|replica| &*replica.name).collect();
    for term in joined.disputed() {
        let problem = Problem {
            entry: None,
            file: PathBuf::from(names.join(", ")),
            byte: None,
            what: format!("more than one of them says that it led in term {term}"),
        };
        if let Some(log) = report.logs.last_mut() {
            log.add(problem);
        }
    }
    for (term, at) in joined.anew() {
        report.remarks.push(format!(
            "terms are counted anew from {term}, which began at {at}: their Lease was made anew, or a clock was wrong by more than an hour"
        ));
    }
}
