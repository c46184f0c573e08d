//! What the log says of audit periods, read beside the loop: a period whose spec is new is computed from the begin of the
//! log, and afterwards from where it was read to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{sync::mpsc::Sender, task::JoinHandle};

use super::Input;
use crate::{
    engine::{Engine, Now, ObjectKey, PeriodAsked, PeriodTold},
    evidence::{LogError, Reader, checkpoint::Checkpoint, history, note::Note},
    period::{Account, Frame, Standing, Standings},
};

/// How often the log is read on.
const EVERY: Duration = Duration::from_mins(10);
/// What has changed is computed after so long, with what else changes meanwhile.
const SOON: Duration = Duration::from_secs(10);

/// When the log is read, and what is known of it.
#[derive(Debug)]
pub(super) struct Periods {
    /// The data folder.
    data: PathBuf,
    /// What has been read; not here while the log is being read.
    followed: Option<Followed>,
    asked: Vec<PeriodAsked>,
    due: Duration,
}

/// Periods that are followed, and where they stand.
pub(crate) type Followed = BTreeMap<ObjectKey, Following>;

/// What a look at the log comes back with.
type Read = (Followed, BTreeMap<ObjectKey, PeriodTold>);

/// One period, as far as the log has been read.
#[derive(Debug)]
pub(crate) struct Following {
    asked: PeriodAsked,
    account: Account,
    standings: Standings,
    /// The folder of each log, by its number in the account.
    folders: BTreeMap<u32, PathBuf>,
    /// What could not be read.
    damaged: Vec<String>,
    /// Where to read on: the folder of a log, and a number.
    next: Option<(PathBuf, u64)>,
}

impl Periods {
    pub(super) fn new(data: PathBuf) -> Self {
        Self {
            data,
            followed: Some(Followed::new()),
            asked: Vec::new(),
            due: Duration::ZERO,
        }
    }

    /// Starts to read, if that is due.
    pub(super) fn turn(&mut self, engine: &Engine, sender: &Sender<Input>, leads: bool, now: Now) {
        if !leads || self.followed.is_none() {
            return;
        }
        let asked = engine.periods();
        if asked != self.asked {
            self.asked = asked;
            self.due = self.due.min(now.mono + SOON);
        }
        if self.asked.is_empty() || now.mono < self.due {
            return;
        }
        let Some(followed) = self.followed.take() else {
            return;
        };
        self.due = now.mono + EVERY;
        let (data, asked, sender) = (self.data.clone(), self.asked.clone(), sender.clone());
        let periods = asked.clone();
        let reading = tokio::task::spawn_blocking(move || read(&data, followed, periods, now));
        tokio::spawn(async move {
            let (followed, told) = finished(reading, asked).await;
            // The operator may be stopping.
            let _ = sender.send(Input::Periods(followed, told)).await;
        });
    }

    /// Takes back what has been read.
    pub(super) fn read(&mut self, followed: Followed) {
        self.followed = Some(followed);
    }
}

/// What has been read. Where that broke off, it is told so, and the next look begins anew.
async fn finished(reading: JoinHandle<Read>, asked: Vec<PeriodAsked>) -> Read {
    let broken = match reading.await {
        Ok(read) => return read,
        Err(error) => error.to_string(),
    };
    tracing::error!(why = broken, "The log could not be read for audit periods");
    let told = asked.into_iter().map(|asked| {
        let told = PeriodTold {
            uid: asked.uid,
            generation: asked.generation,
            standing: Err(format!("reading the log broke off: {broken}")),
        };
        (asked.key, told)
    });
    (Followed::new(), told.collect())
}

/// Reads the log on for each period.
fn read(data: &Path, mut followed: Followed, asked: Vec<PeriodAsked>, now: Now) -> Read {
    let mut kept = Followed::new();
    let mut told = BTreeMap::new();
    for asked in asked {
        let known = followed.remove(&asked.key);
        let mut following = known
            .filter(|known| known.asked == asked)
            .unwrap_or_else(|| Following::new(asked.clone()));
        let standing = following.read(data, now);
        let failed = standing.is_err();
        told.insert(
            asked.key.clone(),
            PeriodTold {
                uid: asked.uid,
                generation: asked.generation,
                standing: standing.map(Box::new).map_err(|error| error.to_string()),
            },
        );
        // What broke off has taken in a part: the next look begins anew.
        if !failed {
            kept.insert(asked.key, following);
        }
    }
    (kept, told)
}

impl Following {
    fn new(asked: PeriodAsked) -> Self {
        let Frame { from, .. } = asked.frame;
        Self {
            account: Account::new(asked.frame.clone()),
            standings: Standings::new(from),
            folders: BTreeMap::new(),
            damaged: Vec::new(),
            next: None,
            asked,
        }
    }

    /// Reads what has been written since.
    fn read(&mut self, data: &Path, now: Now) -> Result<Standing, LogError> {
        let mut reader = match &self.next {
            Some((log, seq)) => Reader::open_at(data, log, *seq)?,
            None => Reader::open(data)?,
        }
        .past_damage();
        while let Some(entry) = reader.next_whole() {
            let entry = entry?;
            self.account.take(&entry, &mut self.standings);
            let folder = reader.folder().to_owned();
            if self.next.as_ref().is_none_or(|(known, _)| *known != folder) {
                let number = u32::try_from(self.folders.len()).unwrap_or(u32::MAX);
                self.folders
                    .insert(number.saturating_add(1), folder.clone());
            }
            self.next = Some((folder, entry.seq + 1));
        }
        // What was told before is read again where the log is not over, and told again.
        for part in reader.damaged() {
            if !self.damaged.contains(part) {
                self.damaged.push(part.clone());
            }
        }
        let mut standings = self.standings.clone();
        self.account.damaged(&self.damaged);
        let summary = self.account.clone().finish(now.wall, &mut standings);
        let mut standing = standings.standing(&summary);
        self.find_roots(&mut standing)?;
        Ok(standing)
    }

    /// Names a head of the log that covers all of a part that does not grow any more.
    fn find_roots(&self, standing: &mut Standing) -> Result<(), LogError> {
        let parts = standing.observed.evidence.iter_mut().zip(&standing.logs);
        for (part, number) in parts {
            let (Some(last), Some(folder)) = (part.last, self.folders.get(number)) else {
                continue;
            };
            let heads = history::read(folder)?;
            let mut heads = heads.iter().filter_map(|kept| {
                let note = Note::parse(&kept.note).ok()?;
                Checkpoint::parse(note.text).ok()
            });
            let covers = |head: &Checkpoint| {
                head.origin == part.log && i64::try_from(head.size).is_ok_and(|size| size > last)
            };
            if let Some(head) = heads.find(covers) {
                part.size = i64::try_from(head.size).ok();
                part.root = Some(head.root_text());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        api::PeopleKind,
        evidence::{
            Body, Log, Record,
            body::{ControlCounts, Counts, Heartbeat, Term},
        },
        verdict::Outcome,
    };

    fn asked() -> PeriodAsked {
        PeriodAsked {
            key: ObjectKey {
                kind: PeopleKind::Period,
                namespace: "".into(),
                name: "h1".into(),
            },
            uid: "u".to_owned(),
            generation: 1,
            frame: Frame::new("h1", "2026-01-01", "2026-12-31", "UTC").unwrap(),
        }
    }

    fn now() -> Now {
        Now {
            wall: "2026-06-01T12:00:00Z".parse().unwrap(),
            mono: Duration::ZERO,
            received: Duration::ZERO,
        }
    }

    /// Adds heartbeats of a control to a log, from one minute to another.
    fn beats(log: &Path, from: i64, to: i64) {
        let (writer, _) = Log::open(log).unwrap();
        let begin: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let at = |minute| begin + jiff::SignedDuration::from_mins(minute);
        let term = Term {
            holder: "h".into(),
            epoch: 1,
            predecessor: None,
            before: None,
        };
        let mut said: Vec<(i64, Body)> = vec![(from, term.into())];
        said.extend((from..to).map(|minute| {
            let row = ControlCounts {
                policy: "soc2".into(),
                control: "net-host-network".into(),
                by_outcome: [(Outcome::Pass, 1)].into(),
            };
            let beat = Heartbeat {
                subjects: 1,
                by_outcome: Counts::default(),
                controls: vec![row],
                table_digest: String::new(),
                kinds: Vec::new(),
            };
            (minute, beat.into())
        }));
        let records = said.into_iter();
        let records = records.map(|(minute, body)| Record::new(at(minute), body));
        writer.append(records.collect()).wait().unwrap();
    }

    #[test]
    fn reading_on_comes_to_what_reading_anew_does_also_in_a_later_log() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let (first, second) = (data.join("epochs/1"), data.join("epochs/2"));
        let mut following = Following::new(asked());
        let mut gaps = Vec::new();
        for (log, from, to) in [(&first, 0, 60), (&first, 60, 90), (&second, 120, 150)] {
            std::fs::create_dir_all(log).unwrap();
            beats(log, from, to);
            let on = following.read(data, now()).unwrap();
            let anew = Following::new(asked()).read(data, now()).unwrap();
            assert_eq!(on, anew);
            gaps.push(on.observed.controls[0].gaps);
        }
        assert_eq!(
            gaps,
            [1, 2, 3],
            "before the log, a change of leaders, between the logs"
        );
        assert_eq!(following.next, Some((second, 31)));
    }

    /// Changes a byte of a log, which a later part of it follows.
    fn spoil(log: &Path, at: usize) {
        let path = log.join("wal").join("000000000000000000.log");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn what_is_damaged_later_is_told_beside_what_was_before_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let logs: Vec<PathBuf> = (1..=3).map(|n| data.join(format!("epochs/{n}"))).collect();
        for (log, from) in logs.iter().take(2).zip([0, 60]) {
            std::fs::create_dir_all(log).unwrap();
            beats(log, from, from + 30);
        }
        spoil(&logs[0], 40);
        let mut following = Following::new(asked());
        following.read(data, now()).unwrap();
        assert_eq!(following.damaged.len(), 1, "{:?}", following.damaged);
        let wal = logs[1].join("wal").join("000000000000000000.log");
        // A log is laid out with zeros ahead of what is written.
        let written = std::fs::read(wal).unwrap();
        let read = written.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        beats(&logs[1], 90, 120);
        spoil(&logs[1], read + 40);
        std::fs::create_dir_all(&logs[2]).unwrap();
        beats(&logs[2], 120, 150);
        for _ in 0..2 {
            following.read(data, now()).unwrap();
            let said = &following.damaged;
            assert_eq!(said.len(), 2, "{said:?}");
            assert!(
                said[0].starts_with("1/") && said[1].starts_with("2/"),
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_reading_that_panics_is_told_and_the_next_one_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        beats(&data, 0, 9);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async move {
            let panics = tokio::task::spawn_blocking(|| panic!("entry 7"));
            let (followed, told) = finished(panics, vec![asked()]).await;
            assert!(followed.is_empty());
            let told = told.into_values().next().unwrap();
            let why = told.standing.unwrap_err();
            assert!(why.contains("broke off"), "{why}");
            assert_eq!((&*told.uid, told.generation), ("u", 1));
            let works = move || read(&data, followed, vec![asked()], now());
            let works = tokio::task::spawn_blocking(works);
            let (followed, told) = finished(works, vec![asked()]).await;
            assert_eq!(followed.len(), 1);
            assert!(told.values().all(|told| told.standing.is_ok()));
        });
    }

    #[test]
    fn what_can_not_be_read_is_told_and_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        beats(data, 0, 9);
        let (followed, told) = read(data, Followed::new(), vec![asked()], now());
        assert!(told.values().all(|told| told.standing.is_ok()));
        assert_eq!(followed.len(), 1);
        let path = data.join("wal").join("000000000000000000.log");
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[40] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let (followed, told) = read(data, Followed::new(), vec![asked()], now());
        let why = told.into_values().next().unwrap().standing.unwrap_err();
        assert!(why.contains("000000000000000000.log"), "{why}");
        assert!(followed.is_empty());
        std::fs::write(&path, whole).unwrap();
        let (_, told) = read(data, followed, vec![asked()], now());
        assert!(told.values().all(|told| told.standing.is_ok()));
    }
}
