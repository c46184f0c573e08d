//! `probity report`: the auditor pack of an audit period, from the log alone.

mod aside;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;

use self::aside::Aside;
use super::{
    Failure,
    evidence::{Wanted, wanted},
    logs::{LogArguments, Logs, Taker},
    output::{
        style::{Style, When},
        wrap::fit,
    },
    trust::TrustArguments,
};
use crate::{
    evidence::{
        Entry, LogError,
        copy::{self, Bundles},
        key::PrivateKey,
        note::Signer,
        verify::Trust,
    },
    period::{Account, Frame, Summary},
    report::{self, Collector, Facts, Folder, Pack, ReportError, Verified},
    words::many,
};

/// Arguments of `probity report`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An `AuditPeriod` by the name under which the log knows it, or a file that holds one.
    #[arg(long, value_name = "NAME|FILE")]
    period: String,
    #[command(flatten)]
    logs: LogArguments,
    /// Folder for the pack. It must not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Of the time since the period ended, until today, instead of the period: for the roll-forward.
    #[arg(long)]
    since_period_end: bool,
    /// Copy the log's bundles into the pack without gzip, for readers of tlog-tiles that know nothing else: twenty or more
    /// times as large.
    #[arg(long)]
    plain_log: bool,
    /// Sign the statement over the pack with this Ed25519 key (PKCS#8 PEM): your own, not that of the log.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArguments,
}

/// The folder of the log in a pack.
const LOG: &str = "log";

/// Writes the pack beside its place, and moves it there when it is complete. Returns whether the log is what it claims to
/// be: a pack is made either way, and says so.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let Arguments {
        period,
        logs,
        out,
        since_period_end,
        plain_log,
        signing_key,
        trust,
    } = arguments;
    if out.exists() {
        return Err(format!(
            "{} exists already: name a folder that does not",
            out.display()
        ));
    }
    let (mut wanted, logs) = wanted(period, logs)?;
    if logs.folders().any(|(folder, _)| is_inside(out, folder)) {
        return Err(format!(
            "{} is inside of the evidence log: name a folder elsewhere",
            out.display()
        ));
    }
    if *since_period_end {
        wanted = wanted.since_its_end(Timestamp::now())?;
    }
    let signer = signing_key.as_deref().map(signer).transpose()?;
    let trust = trust.read()?;
    let mut aside = Aside::beside(out)?;
    let bundles = if *plain_log {
        Bundles::Plain
    } else {
        Bundles::Gzip
    };
    let sources = Sources::of(logs, &aside.folder, bundles, &trust);
    let (summary, verified) = write(&aside, &wanted, &sources, signer)?;
    aside.settle(out)?;
    let deviations: u64 = summary
        .controls
        .iter()
        .map(|operation| operation.numbers.deviations.times.count)
        .sum();
    let mut lines = vec![format!(
        "{}: {}, {}; begin with {}",
        out.display(),
        many(summary.controls.len(), "control"),
        many(deviations, "deviation"),
        out.join("index.html").display()
    )];
    let warnings = summary.warnings.iter();
    lines.extend(warnings.map(|warning| format!("Note: {warning}.")));
    let problems = verified.problems.iter();
    lines.extend(problems.map(|problem| format!("WRONG: {problem}")));
    if !verified.whole {
        let said =
            "NOT VERIFIED: the log is not what it claims to be. The pack says so on its first page";
        lines.push(said.to_owned());
    }
    let style = Style::of_stdout(When::Never);
    print!("{}", fit(&lines.join("\n"), style.width));
    Ok(verified.whole)
}

/// Whether a folder that is to be made would lie in that of the log.
fn is_inside(out: &Path, log: &Path) -> bool {
    let there = std::path::absolute(out).ok().and_then(|out| {
        out.ancestors()
            .find_map(|folder| fs::canonicalize(folder).ok())
    });
    there
        .zip(fs::canonicalize(log).ok())
        .is_some_and(|(there, log)| there.starts_with(log))
}

/// Where the logs are, and what is known of them.
struct Sources<'a> {
    logs: Logs,
    /// Their copies in the pack.
    copied: Logs,
    /// How they hold bundles.
    bundles: Bundles,
    trust: &'a Trust,
}

impl<'a> Sources<'a> {
    /// Logs that are to be copied into a pack.
    fn of(logs: Logs, pack: &Path, bundles: Bundles, trust: &'a Trust) -> Self {
        Self {
            copied: logs.copied_to(&pack.join(LOG)),
            logs,
            bundles,
            trust,
        }
    }
}

/// What signs with the key in a file.
fn signer(path: &Path) -> Result<Arc<Signer>, Failure> {
    let explain = |error: LogError| format!("--signing-key can't be used: {error}");
    let key = PrivateKey::read(path).map_err(explain)?;
    let key = key.ok_or_else(|| format!("--signing-key: there is no file {}", path.display()))?;
    Ok(Arc::new(key.signer("probity-pack").map_err(explain)?))
}

fn write(
    folder: &dyn Folder,
    wanted: &Wanted,
    sources: &Sources<'_>,
    signer: Option<Arc<Signer>>,
) -> Result<(Summary, Verified), Failure> {
    let explain = |error: ReportError| unwritten(&error);
    let pack = Pack::new(folder);
    for (data, replica) in sources.logs.folders() {
        copy_log(&pack, data, replica, sources.bundles)?;
    }
    let begin = || Taken::new(&pack, &wanted.frame).map_err(explain);
    let (found, taken) = sources.copied.take(sources.trust, begin)?;
    let Taken {
        mut collector,
        account,
    } = taken;
    let mut summary = account.finish(Timestamp::now(), &mut collector);
    summary.warnings.extend(wanted.notes.clone());
    write_keys(&pack, &summary)?;
    let facts = Facts {
        spec: wanted.spec.clone(),
        version: env!("CARGO_PKG_VERSION"),
        binary_digest: super::run::own_digest().ok(),
        verified: Verified::from(&found),
        signer,
    };
    report::finish(&pack, collector, &summary, &facts).map_err(explain)?;
    Ok((summary, facts.verified))
}

/// An account in the making, and what is written meanwhile.
struct Taken<'a> {
    collector: Collector<'a>,
    account: Account,
}

impl<'a> Taken<'a> {
    fn new(pack: &'a Pack<'a>, frame: &Frame) -> Result<Self, ReportError> {
        Ok(Self {
            collector: Collector::new(pack, frame)?,
            account: Account::new(frame.clone()),
        })
    }
}

impl Taker for Taken<'_> {
    fn take(&mut self, replica: usize, entry: &Entry) {
        self.collector.turn_to(replica);
        self.collector.note(entry);
        self.account.take_of(replica, entry, &mut self.collector);
    }

    fn damaged(&mut self, parts: &[String]) {
        self.account.damaged(parts);
    }

    fn abandon(self) -> Result<(), Failure> {
        let abandoned = self.collector.abandon();
        abandoned.map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &ReportError) -> Failure {
    format!("{error}. Nothing was left behind; make room or name another folder, and try again")
}

/// Why the log can't be copied.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Pack(#[from] ReportError),
}

/// Copies the logs of a data folder into the pack; those of each replica into a folder of its name, if there are several.
fn copy_log(
    pack: &Pack<'_>,
    data: &Path,
    replica: Option<&str>,
    bundles: Bundles,
) -> Result<(), Failure> {
    let folder = replica.map_or_else(|| LOG.to_owned(), |name| format!("{LOG}/{name}"));
    copy::each(data, bundles, |path, content| -> Result<(), CopyError> {
        Ok(pack.write(&format!("{folder}/{}", path.display()), content)?)
    })
    .map_err(|error| match error {
        CopyError::Pack(error) => unwritten(&error),
        CopyError::Log(error) => {
            format!("the log can't be copied into the pack: {error}. Nothing was left behind")
        }
    })
}

/// Writes the keys that the logs name. The private key lies beside them and stays there.
fn write_keys(pack: &Pack<'_>, summary: &Summary) -> Result<(), Failure> {
    for begun in &summary.logs {
        let key = format!("{}\n", begun.key);
        let name = format!("keys/{}.vkey", begun.origin.replace('/', "_"));
        pack.write(&name, key.as_bytes())
            .map_err(|error| unwritten(&error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
