//! The logs that an account is made from: of one replica, or of several that took turns in leading.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    Failure,
    evidence::{Entries, of_copy, unreadable, warn_of_damage},
    verify::Bar,
};
use crate::{
    evidence::{
        Entry, Joined, LogError,
        verify::{
            Replica, Report, Trust, Unpacked, unpacked, verify, verify_and_hear, verify_replicas,
        },
    },
    period::{Account, Joiner, Sink},
    words::one_line,
};

/// Which logs.
#[derive(Debug, Clone, Args)]
pub(super) struct LogArguments {
    /// Data folder with the evidence log, an auditor pack, or a tar archive (also gzipped) of one. May be given again, for
    /// the logs of other replicas: they are joined by term.
    #[arg(
        long = "log",
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    logs: Vec<PathBuf>,
}

/// Logs that were found in what was named.
pub(super) struct Logs {
    /// What was named and where it lies, by folder that is read.
    found: Vec<(PathBuf, PathBuf)>,
    /// Whose they are, where there are several.
    replicas: Vec<Replica>,
    /// What archives were unpacked to, which goes with this.
    unpacked: Vec<Unpacked>,
}

impl LogArguments {
    #[cfg(test)]
    pub(super) fn of(log: &Path) -> Self {
        Self {
            logs: vec![log.to_owned()],
        }
    }

    /// Opens them.
    pub(super) fn open(&self) -> Result<Logs, Failure> {
        Logs::open(&self.logs)
    }
}

impl Logs {
    /// Opens what was named: folders, or archives, which are unpacked for as long as this lives.
    pub(super) fn open(named: &[PathBuf]) -> Result<Self, Failure> {
        let (mut found, mut kept) = (Vec::new(), Vec::new());
        for named in named {
            if !named.exists() {
                return Err(format!(
                    "{} is neither a folder nor an archive: name the data folder of Probity, an auditor pack, or a tar archive of one",
                    named.display()
                ));
            }
            let unpacked = unpacked(named).map_err(|error| unreadable(named, &error))?;
            let folders = unpacked.paths().iter();
            found.extend(folders.map(|folder| (named.clone(), folder.clone())));
            kept.push(unpacked);
        }
        let replicas = if found.len() > 1 {
            told_apart(&found)?
        } else {
            Vec::new()
        };
        Ok(Self {
            found,
            replicas,
            unpacked: kept,
        })
    }

    /// What should be known of how they were found.
    pub(super) fn remarks(&self) -> impl Iterator<Item = &String> {
        self.unpacked.iter().flat_map(Unpacked::remarks)
    }

    /// What was named, in words.
    pub(super) fn named(&self) -> String {
        let mut named: Vec<String> = self
            .found
            .iter()
            .map(|(named, _)| named.display().to_string())
            .collect();
        named.dedup();
        named.join(", ")
    }

    /// The folders, and whose logs are in them: nobody's name where there is only one.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&Path, Option<&str>)> {
        let names = self.replicas.iter().map(|replica| Some(&*replica.name));
        let names = names.chain(std::iter::repeat(None));
        let folders = self.found.iter().map(|(_, folder)| folder.as_path());
        folders.zip(names)
    }

    /// The folder, if it is the only one.
    fn only(&self) -> Option<&Path> {
        match self.found.as_slice() {
            [(_, folder)] => Some(folder),
            _ => None,
        }
    }

    /// The same logs, where they were copied to: in folders named as their replicas, if there are several.
    pub(super) fn copied_to(&self, copy: &Path) -> Self {
        let copies = self.folders().map(|(_, name)| match name {
            Some(name) => copy.join(name),
            None => copy.to_owned(),
        });
        let named = self.found.iter().map(|(named, _)| named.clone());
        let found: Vec<_> = named.zip(copies).collect();
        let replicas = self.replicas.iter().zip(&found);
        let replicas = replicas.map(|(replica, (_, folder))| Replica {
            folder: folder.clone(),
            ..replica.clone()
        });
        Self {
            replicas: replicas.collect(),
            found,
            unpacked: Vec::new(),
        }
    }

    /// Reads all of them, joined.
    pub(super) fn read(&self) -> Result<Reading, Failure> {
        let logs = self.found.iter();
        let logs = logs.map(|(named, folder)| of_copy(folder, named));
        let logs: Vec<Entries> = logs.collect::<Result<_, _>>()?;
        Ok(Reading {
            joiner: (logs.len() > 1).then(Joiner::default),
            entries: Joined::new(logs)?,
        })
    }

    /// Checks them, and hands over all that they say. The only log is read once for both; once more, up to the damage, where
    /// something is wrong with it. Several are read again, joined.
    pub(super) fn take<T: Taker>(
        &self,
        trust: &Trust,
        begin: impl Fn() -> Result<T, Failure>,
    ) -> Result<(Report, T), Failure> {
        let found = match self.only() {
            Some(folder) => {
                let mut heard = begin()?;
                let (found, all) = self.checked(|progress| {
                    let mut listener = |entry: &Entry| heard.take(0, entry);
                    verify_and_hear(folder, trust, progress, &mut listener)
                })?;
                if all {
                    return Ok((found, heard));
                }
                heard.abandon()?;
                found
            }
            None => self.verified(trust)?,
        };
        let mut taken = begin()?;
        let mut reading = self.read()?;
        while let Some(read) = reading.next() {
            let (replica, said) = read?;
            for entry in said {
                taken.take(replica, &entry);
            }
        }
        taken.damaged(&reading.damaged());
        Ok((found, taken))
    }

    /// Checks them, with progress on a terminal.
    pub(super) fn verified(&self, trust: &Trust) -> Result<Report, Failure> {
        self.checked(|progress| match self.only() {
            Some(folder) => verify(folder, trust, progress),
            None => verify_replicas(&self.replicas, trust, progress),
        })
    }

    fn checked<R>(
        &self,
        check: impl FnOnce(&(dyn Fn(u64, u64) + Sync)) -> Result<R, LogError>,
    ) -> Result<R, Failure> {
        let bar = Bar::new();
        let checked = check(&|done, all| bar.show(done, all));
        bar.clear();
        checked.map_err(|error| one_line(&format!("can't verify {}: {error}", self.named())))
    }
}

/// Takes in what logs say.
pub(super) trait Taker {
    /// The next entry, and the number of the replica that wrote it.
    fn take(&mut self, replica: usize, entry: &Entry);

    /// Parts of the logs that could not be read.
    fn damaged(&mut self, parts: &[String]);

    /// Ends before all was taken: it is to begin anew.
    fn abandon(self) -> Result<(), Failure>;
}

/// An account, with what takes the rest.
pub(super) struct Accounted<S> {
    pub(super) account: Account,
    pub(super) sink: S,
}

impl<S: Sink> Taker for Accounted<S> {
    fn take(&mut self, replica: usize, entry: &Entry) {
        self.account.take_of(replica, entry, &mut self.sink);
    }

    fn damaged(&mut self, parts: &[String]) {
        self.account.damaged(parts);
    }

    fn abandon(self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whose logs they are. Two of the same replica would be counted twice, and of two clusters there is no one account.
fn told_apart(found: &[(PathBuf, PathBuf)]) -> Result<Vec<Replica>, Failure> {
    let mut replicas: Vec<Replica> = Vec::new();
    for (named, folder) in found {
        let whose = Replica::of(folder).map_err(|error| unreadable(named, &error))?;
        let whose = whose.ok_or_else(|| {
            unreadable(
                named,
                &"it does not say whose it is, so it can't be joined with others",
            )
        })?;
        for other in &replicas {
            if other.cluster != whose.cluster {
                return Err(format!(
                    "these are logs of two clusters, {} and {}: an account is of one. `probity fleet` reports on several",
                    other.cluster, whose.cluster
                ));
            }
            if other.logs == whose.logs {
                return Err(format!(
                    "{} holds logs of {} once more: give those of each replica once",
                    named.display(),
                    whose.name
                ));
            }
        }
        replicas.push(whose);
    }
    Ok(replicas)
}

/// Logs that are read as one.
pub(super) struct Reading {
    entries: Joined<Entries>,
    joiner: Option<Joiner>,
}

impl Reading {
    /// The next entry: whose it is, and what it says that is new.
    pub(super) fn next(&mut self) -> Option<Result<(usize, Vec<Entry>), Failure>> {
        let item = self.entries.next()?;
        Some(item.map(|(source, entry)| {
            let said = match &mut self.joiner {
                Some(joiner) => joiner.take(source, entry),
                None => vec![entry],
            };
            (source, said)
        }))
    }

    /// What could not be read.
    pub(super) fn damaged(&self) -> Vec<String> {
        let logs = self.entries.logs();
        logs.flat_map(|log| log.damaged().iter().cloned()).collect()
    }

    /// Says what could not be read.
    pub(super) fn warn(&self) {
        warn_of_damage(&self.damaged());
    }
}
