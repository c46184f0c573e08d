//! The evidence log: appending against the bare disk, what it takes on the disk, checking all of it, and reading it back at
//! a start.
//!
//! `LOG_ENTRIES` says how many entries are checked; 10 million without it, which takes some minutes and 2 GB.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use probity::{
    engine::Memory,
    evidence::{
        Entry, Identity, Log, Reader, Record, SubjectRef,
        body::Transition,
        canonical, epochs,
        key::PrivateKey,
        verify::Trust,
        verify::verify,
        words::{Cause, End},
    },
    verdict::{Outcome, Severity, Strength},
};
use sha2::{Digest as _, Sha256};

use crate::{
    Figure, Result,
    stats::{Samples, show},
};

/// Argument with which this program checks a log and prints three numbers.
pub(crate) const CHILD: &str = "verify-log";

/// Entries of a group.
const GROUP: u64 = 64;
/// Groups, and single entries, that are appended.
const ROUNDS: u64 = 2000;
/// A frame has so many bytes before its entry.
const HEADER: usize = 16;
/// Entries that are read back.
const RECALLED: u64 = 1_000_000;

/// Measures all.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir().map_err(explain)?;
    let mut figures = appending(&folder.path().join("append"))?;
    let entries = std::env::var("LOG_ENTRIES").unwrap_or_else(|_| "10000000".to_owned());
    let entries = entries
        .parse()
        .map_err(|error| format!("LOG_ENTRIES={entries}: {error}"))?;
    figures.extend(checking(&folder.path().join("verify"), entries)?);
    Ok(figures)
}

fn explain(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn begin() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

fn hash(of: &str, number: u64) -> String {
    let digest = Sha256::digest(format!("{of}{number}"));
    let mut hex = String::new();
    for byte in digest {
        let _ = write!(hex, "{byte:02x}"); // writing to a String can't fail
    }
    hex
}

#[allow(
    clippy::cast_precision_loss,
    reason = "all of these are far below 2^53"
)]
fn float(number: u64) -> f64 {
    number as f64
}

/// What happens in a cluster: some hundred controls, workloads that come and go, a change every three seconds.
fn transition(number: u64) -> Record {
    let (control, workload) = (number % 40, number / 7 % 5000);
    let failing = number.is_multiple_of(2);
    let (from, to) = if failing {
        (Outcome::Pass, Outcome::Fail)
    } else {
        (Outcome::Fail, Outcome::Pass)
    };
    // As the engine says it: once the log of a term holds a definition it is not said again.
    let said = Transition {
        policies: vec!["soc2".into()],
        control: format!("workload-rule-number-{control}").into(),
        rule_version: None,
        params_hash: None,
        scope_hash: None,
        subject: SubjectRef {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some(format!("team-{}", workload % 90).into()),
            name: format!("service-{workload}").into(),
            uid: uid(workload).into(),
        },
        owner: None,
        from: Some(from),
        to: Some(to),
        strength: Strength::Declared,
        reason: if failing { "RunsAsRoot" } else { "RunsAsUser" }.into(),
        // What passes has mostly nothing to say.
        message: if failing {
            format!("container app of service-{workload} may run as root")
        } else {
            String::new()
        },
        severity: Severity::High,
        cause: Cause::Object,
        ended: (!failing).then_some(End::FixedByOthers),
        // What fails began when it is said to; what ends began three seconds before.
        opened: (!failing).then(|| time(number - 1)),
        deviation: Some(hash("deviation", number / 2)[..16].to_owned()),
        accepted: None,
    };
    Record::new(time(number), said)
}

/// When that happens: as precise as clocks are.
fn time(number: u64) -> Timestamp {
    let after = i64::try_from(number).unwrap_or(i64::MAX);
    begin() + SignedDuration::new(after * 3, 123_456_789)
}

/// As long as those of API servers.
fn uid(number: u64) -> String {
    let hex = hash("uid", number);
    let [a, b, c, d] = [&hex[..8], &hex[8..12], &hex[12..15], &hex[15..27]];
    format!("{a}-{b}-4{c}-8000-{d}")
}

/// Bytes of an entry in a segment.
fn frame(record: &Record, seq: u64) -> Result<usize> {
    let entry = Entry {
        v: 1,
        seq,
        time: record.time,
        body: record.body.clone(),
    };
    Ok(HEADER + canonical::to_vec(&entry).map_err(explain)?.len())
}

fn open(data: &Path) -> Result<epochs::Opened> {
    let key = PrivateKey::of_data(data).map_err(explain)?;
    let identity = Identity {
        cluster: "c-1",
        replica: "probity-0",
    };
    epochs::open(data, identity, &key, &[], begin()).map_err(explain)
}

/// Appends to the log and, in turn, as many bytes to a bare file.
///
/// The bare file is what a careful person would write to: of a fixed size, with blocks that were written and synced before,
/// so that its syncs have neither a size nor extents to write. That laying out is not in its time, while the log's own is.
/// Both are on the same disk, and write the same number of bytes with one write and one fdatasync each; the log's publisher
/// runs beside both.
fn appending(data: &Path) -> Result<Vec<Figure>> {
    let log = open(data)?.log;
    let path = data.join("bare");
    fs::write(&path, vec![0; 256 << 20]).map_err(explain)?;
    let bare = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(explain)?;
    bare.sync_all().map_err(explain)?;
    let mut offset = 0;
    let mut both = |size: u64, first: u64| -> Result<(Duration, Duration)> {
        let records: Vec<Record> = (first..first + size).map(transition).collect();
        let seq = log.position();
        let bytes: usize = records
            .iter()
            .zip(seq..)
            .map(|(record, seq)| frame(record, seq))
            .sum::<Result<usize>>()?;
        let content = vec![b'x'; bytes];
        let began = Instant::now();
        append(&log, records)?;
        let logged = began.elapsed();
        let began = Instant::now();
        bare.write_all_at(&content, offset).map_err(explain)?;
        bare.sync_data().map_err(explain)?;
        offset += bytes as u64;
        Ok((logged, began.elapsed()))
    };
    let mut measured = Vec::new();
    for size in [GROUP, 1] {
        let (mut logged, mut floor) = (Samples::default(), Samples::default());
        for round in 0..ROUNDS {
            let (log, bare) = both(size, round * size)?;
            logged.push(log);
            floor.push(bare);
        }
        measured.push((logged, floor));
    }
    let [groups, single] = &measured[..] else {
        return Err("two sizes were measured".to_owned());
    };
    let share = groups.1.mean().as_secs_f64() / groups.0.mean().as_secs_f64();
    let rate = float(GROUP) / groups.0.mean().as_secs_f64();
    let ratio = single.0.percentile(50).as_secs_f64() / single.1.percentile(50).as_secs_f64();
    Ok(vec![
        Figure {
            what: "append, durable, groups of 64, of a bare write and fdatasync",
            measured: format!("{share:.2}× ({rate:.0} entries/s)"),
            limit: "≥ 0.5×",
            kept: Some(share >= 0.5),
        },
        Figure {
            what: "append, durable, single, p50, of a bare write and fdatasync",
            measured: format!("{ratio:.2}× ({})", show(single.0.percentile(50))),
            limit: "≤ 1.3×",
            kept: Some(ratio <= 1.3),
        },
    ])
}

fn append(log: &Log, records: Vec<Record>) -> Result<()> {
    let answer = log.append(records).wait();
    answer.map(|_| ()).map_err(explain)
}

/// Writes a log of so many entries, and checks it in a process of its own.
fn checking(data: &Path, entries: u64) -> Result<Vec<Figure>> {
    let opened = open(data)?;
    let (mut next, mut fresh) = (0, 0);
    while next < entries {
        let end = entries.min(next + 1000);
        let records: Vec<Record> = (next..end).map(transition).collect();
        if next == 0 {
            for (record, seq) in records.iter().zip(1..) {
                fresh += frame(record, seq)?;
            }
            fresh /= records.len().max(1);
        }
        append(&opened.log, records)?;
        next = end;
    }
    opened.log.close().map_err(explain)?;
    let sealed = float(size_of(&opened.dir.join("tile"))?) / float(entries);

    let program = std::env::current_exe().map_err(explain)?;
    let output = Command::new(program).arg(CHILD).arg(data).output();
    let said = output.map_err(explain)?.stdout;
    let said = String::from_utf8_lossy(&said);
    let numbers: Vec<f64> = said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [checked, seconds, memory] = numbers[..] else {
        return Err(format!("the child said: {said}"));
    };
    let rate = checked / seconds / 1e6;
    let recalled = recall(data)?;
    Ok(vec![
        Figure {
            what: "verify, everything, on all processors",
            measured: format!("{rate:.2} million entries/s ({checked:.0} in {seconds:.1} s)"),
            limit: "≥ 1 million entries/s on 2 processors",
            kept: Some(rate >= 1.0),
        },
        Figure {
            what: "— memory",
            measured: format!("{memory:.0} MiB"),
            limit: "≤ 128 MiB",
            kept: Some(memory <= 128.0),
        },
        Figure {
            what: "disk, per transition, fresh",
            measured: format!("{fresh} bytes"),
            limit: "≤ 450 bytes",
            kept: Some(fresh <= 450),
        },
        Figure {
            what: "disk, per transition, sealed",
            measured: format!("{sealed:.0} bytes"),
            limit: "≤ 150 bytes",
            kept: Some(sealed <= 150.0),
        },
        Figure {
            what: "a start: reading back, per million entries",
            measured: show(recalled),
            limit: "",
            kept: None,
        },
    ])
}

/// Checks the log in the folder that is named last; returns entries, seconds, and the most memory in MiB.
pub(crate) fn child() -> Result<String> {
    let data = std::env::args().next_back().unwrap_or_default();
    let data = Path::new(&data);
    let key = PrivateKey::of_data(data).map_err(explain)?;
    let key = key.signer("any").map_err(explain)?.verifier().clone();
    let trust = Trust {
        keys: vec![key],
        ..Trust::default()
    };
    let began = Instant::now();
    let report = verify(data, &trust, &|_, _| {}).map_err(explain)?;
    let seconds = began.elapsed().as_secs_f64();
    if let Some(problem) = report.problems().next() {
        return Err(problem.to_string());
    }
    let entries: u64 = report.logs.iter().map(|log| log.size).sum();
    let status = fs::read_to_string("/proc/self/status").map_err(explain)?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = most.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let most = most.ok_or("/proc/self/status has no VmHWM")?;
    Ok(format!("{entries} {seconds} {}", most / 1024.0))
}

/// How long it takes to recall a million entries, as a start does.
fn recall(data: &Path) -> Result<Duration> {
    let mut memory = Memory::default();
    let began = Instant::now();
    let mut read = 0;
    for entry in Reader::open(data).map_err(explain)? {
        memory.recall(entry.map_err(explain)?);
        read += 1;
        if read == RECALLED {
            break;
        }
    }
    let share = float(RECALLED) / float(read.max(1));
    Ok(began.elapsed().mul_f64(share))
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for file in fs::read_dir(folder).map_err(explain)? {
        let file = file.map_err(explain)?;
        let about = file.metadata().map_err(explain)?;
        size += if about.is_dir() {
            size_of(&file.path())?
        } else {
            about.len()
        };
    }
    Ok(size)
}
