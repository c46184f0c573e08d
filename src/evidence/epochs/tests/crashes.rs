//! A process that is killed at any step between append, sync, write, seal and checkpoint.

use super::super::super::storage::faulty::Faulty;
use super::super::super::verify::{Trust, verify};
use super::super::super::{samples, segment};
use super::*;

/// Small, so that segments are sealed and removed on the way.
const SEGMENT: u64 = 30_000;

/// What a process was told before it was killed.
#[derive(Default)]
struct Told {
    /// Entries that are durable.
    durable: Vec<Vec<u8>>,
    /// The last checkpoint.
    head: Option<Anchored>,
    /// Whether it came to its end.
    finished: bool,
}

fn entries(from: u64, count: u64) -> Vec<Vec<u8>> {
    let entry = |seq| {
        let record = Record::new(at(0), samples::transition());
        entry::encode(&record, seq).unwrap().bytes
    };
    (from..from + count).map(entry).collect()
}

/// Writes and publishes until it is done or killed.
fn work(dir: &Path, signer: impl Fn() -> super::super::super::note::Signer, disk: &Faulty) -> Told {
    let mut told = Told::default();
    let mut run = || -> Result<(), LogError> {
        let (mut store, _) = Store::open_on(dir, Box::new(disk.clone()), SEGMENT)?;
        let mut publisher = Publisher::open(dir, Box::new(disk.clone()), signer())?;
        told.durable = RawEntries::open(dir, 0)?
            .map(|entry| entry.map(|entry| entry.bytes))
            .collect::<Result<_, _>>()?;
        for count in [1, 40, 200, 13, 2, 70, 190] {
            let group = entries(store.next_seq(), count);
            store.append(&group)?;
            store.sync()?;
            told.durable.extend(group);
            publisher.publish(store.next_seq())?;
            publisher.keep(at(0))?;
            told.head = publisher.latest().map(|head| Anchored {
                origin: head.checkpoint.origin.clone(),
                size: head.checkpoint.size,
                root: head.checkpoint.root_text(),
                source: "whoever was told".to_owned(),
            });
        }
        Ok(())
    };
    let finished = run().is_ok();
    Told { finished, ..told }
}

#[test]
fn a_kill_at_every_step_loses_nothing_that_was_told_and_leaves_a_log_that_verifies() {
    let made = tempfile::tempdir().unwrap();
    opened(made.path(), &[], 0).log.close().unwrap();
    let name = name(&list(made.path()).unwrap().pop().unwrap());
    let origin = IDENTITY.origin(&name);
    let signer = || key(made.path()).signer(&origin).unwrap();
    let mut trust = Trust {
        keys: vec![signer().verifier().clone()],
        ..Trust::default()
    };
    let (mut steps, mut sealed) = (0, 0);
    loop {
        let folder = tempfile::tempdir().unwrap();
        copy_all(made.path(), folder.path());
        let dir = list(folder.path()).unwrap().pop().unwrap();
        let disk = Faulty::default();
        disk.0.lock().unwrap().steps = Some(steps);
        let told = work(&dir, signer, &disk);

        // What lies there verifies as it is, and against what anybody was told.
        trust.anchors = told.head.iter().cloned().collect();
        let at_rest = |when: &str| {
            let report = verify(folder.path(), &trust, &|_, _| {}).unwrap();
            let found: Vec<_> = report.problems().map(ToString::to_string).collect();
            assert!(report.verified, "step {steps}, {when}: {found:#?}");
        };
        at_rest("after the kill");
        // The next process goes on with the same log, and loses nothing.
        let Opened { log, begun, .. } = opened(folder.path(), &trust.anchors, 100);
        assert_eq!(begun, None, "step {steps}");
        append(&log, 3);
        log.close().unwrap();
        let left: Vec<_> = RawEntries::open(&dir, 0)
            .unwrap()
            .map(|entry| entry.unwrap().bytes)
            .collect();
        assert!(left.len() >= told.durable.len() + 3, "step {steps}");
        assert_eq!(left[..told.durable.len()], told.durable, "step {steps}");
        at_rest("after going on");
        sealed += usize::from(segment::list(&dir).unwrap()[0].0 > 0);
        if told.finished {
            break;
        }
        steps += 1;
    }
    assert!(steps > 100 && sealed > 10, "{steps} steps, {sealed} sealed");
}
