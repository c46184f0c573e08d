//! The writer's promises: order, durability before the answer, no hole after failures.

use proptest::prelude::*;

use super::super::body::{Body, Kept};
use super::super::storage::faulty::Faulty;
use super::super::{Frames, Reader, open_intents, samples};
use super::*;

fn record(id: u64) -> Record {
    Record::new(samples::time(0), samples::outcome(id))
}

fn records(range: Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

fn ids(dir: &Path) -> Vec<u64> {
    let id = |entry: Result<super::super::Entry, LogError>| match entry.unwrap().body {
        Body::Outcome(outcome) => outcome.intent,
        other => panic!("{other:?}"),
    };
    Reader::open(dir).unwrap().map(id).collect()
}

fn faulty(dir: &Path, limit: u64) -> (Log, Faulty) {
    let storage = Faulty::default();
    let (store, scan) = Store::open_on(dir, Box::new(storage.clone()), limit).unwrap();
    (Log::start(store, scan, None, None).unwrap().0, storage)
}

fn reopen(log: &Log) -> Result<(), Arc<LogError>> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(log.reopen())
}

#[test]
fn a_ticket_tells_the_positions_once_they_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (log, recovered) = Log::open(dir.path()).unwrap();
    assert_eq!(
        (
            recovered.next,
            recovered.previous_end,
            log.position(),
            log.healthy()
        ),
        (0, None, 0, true)
    );
    assert_eq!(log.append(records(0..2)).wait().unwrap(), 0..2);
    assert_eq!(log.append(vec![]).wait().unwrap(), 2..2);
    assert_eq!(log.append(records(2..3)).wait().unwrap(), 2..3);
    assert_eq!(log.position(), 3);
    assert_eq!(ids(dir.path()), [0, 1, 2], "a reader needs no lock");
    log.close().unwrap();

    let (_log, recovered) = Log::open(dir.path()).unwrap();
    assert_eq!(recovered.next, 3);
    let last = Frames::open(dir.path(), 2)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(
        recovered.previous_end,
        Some(super::super::Position::of(&last))
    );
    assert_eq!(recovered.entries_from(1).unwrap().count(), 2);
    assert!(matches!(
        Log::open(dir.path()),
        Err(LogError::Locked { .. })
    ));
}

#[tokio::test]
async fn a_ticket_is_a_future() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path()).unwrap();
    assert_eq!(log.append(records(0..1)).await.unwrap(), 0..1);
    log.reopen().await.unwrap();
    assert_eq!(log.append(records(1..2)).await.unwrap(), 1..2);
}

#[test]
fn what_waits_shares_a_sync_and_closing_writes_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, storage) = faulty(dir.path(), 1 << 26);
    let tickets: Vec<Ticket> = (0..500).map(|id| log.append(records(id..id + 1))).collect();
    log.close().unwrap();
    assert!(storage.0.lock().unwrap().syncs < 400);
    for (ticket, id) in tickets.into_iter().zip(0..) {
        assert_eq!(ticket.wait().unwrap(), id..id + 1);
    }
    assert_eq!(ids(dir.path()), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_batch_larger_than_a_group_is_logged_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = faulty(dir.path(), 1 << 26);
    let first = log.append(records(0..20_000));
    let second = log.append(records(20_000..20_001));
    assert_eq!(first.wait().unwrap(), 0..20_000);
    assert_eq!(second.wait().unwrap(), 20_000..20_001);
    assert_eq!(ids(dir.path()), (0..20_001).collect::<Vec<_>>());
}

#[test]
fn a_failure_in_a_large_batch_tells_what_is_logged_already() {
    let dir = tempfile::tempdir().unwrap();
    let (log, storage) = faulty(dir.path(), 1 << 26);
    storage.0.lock().unwrap().sync_error = Some(2);
    let failed = log.append(records(0..20_000)).wait().unwrap_err();
    assert_eq!(failed.logged, 0..log.position());
    assert_eq!(failed.records, records(log.position()..20_000));
    reopen(&log).unwrap();
    log.append(failed.records).wait().unwrap();
    assert_eq!(ids(dir.path()), (0..20_000).collect::<Vec<_>>());
}

#[test]
fn a_record_without_canonical_form_fails_its_batch_only() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = faulty(dir.path(), 1 << 26);
    let tickets = [
        log.append(records(0..1)),
        log.append(vec![record(1), record(u64::MAX)]),
        log.append(records(1..2)),
    ];
    let [first, bad, last] = tickets.map(Ticket::wait);
    assert_eq!((first.unwrap(), last.unwrap()), (0..1, 1..2));
    let bad = bad.unwrap_err();
    assert!(bad.cause.is_about_the_entry());
    assert_eq!(bad.records.len(), 2);
    assert!(log.healthy());
    assert_eq!(ids(dir.path()), [0, 1]);
}

#[test]
fn large_values_and_large_entries_come_back_through_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (log, recovered) = Log::open(dir.path()).unwrap();
    let value = serde_json::json!("x".repeat(100_000));
    let kept = Kept {
        control: "c".into(),
        subject: samples::subject("web"),
        field: "f".to_owned(),
        value: value.clone().into(),
    };
    let mut heartbeat = samples::heartbeat();
    heartbeat.controls = vec![heartbeat.controls[0].clone(); 3000];
    log.append(vec![
        Record::new(samples::time(0), kept),
        Record::new(samples::time(1), heartbeat.clone()),
    ])
    .wait()
    .unwrap();
    log.append(vec![Record::new(samples::time(2), samples::intent(4))])
        .wait()
        .unwrap();

    let entries: Vec<_> = recovered.entries().unwrap().map(Result::unwrap).collect();
    let Body::Kept(kept) = &entries[0].body else {
        panic!()
    };
    assert_eq!(kept.value.load(dir.path()).unwrap(), value);
    assert_eq!(entries[1].body, heartbeat.into());
    assert_eq!(open_intents(entries).len(), 1);
}

#[test]
fn after_a_failure_nothing_is_taken_until_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (log, storage) = faulty(dir.path(), 1 << 26);
    log.append(records(0..2)).wait().unwrap();
    storage.0.lock().unwrap().sync_error = Some(1);
    let failed = log.append(records(2..4)).wait().unwrap_err();
    assert_eq!(
        (failed.cause.category(), failed.logged, &failed.records),
        ("Io", 0..0, &records(2..4))
    );
    assert!(!log.healthy());
    assert_eq!(
        log.append(records(4..5))
            .wait()
            .unwrap_err()
            .cause
            .category(),
        "Io"
    );
    assert_eq!(log.position(), 2);

    storage.0.lock().unwrap().dir_error = Some(1);
    assert!(reopen(&log).is_err());
    assert!(!log.healthy());
    reopen(&log).unwrap();
    assert!(log.healthy());
    assert_eq!(log.append(failed.records).wait().unwrap(), 2..4);
    log.close().unwrap();
    assert_eq!(ids(dir.path()), [0, 1, 2, 3]);
}

#[test]
fn a_log_that_ended_in_failure_says_so_when_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (log, storage) = faulty(dir.path(), 1 << 26);
    storage.0.lock().unwrap().no_space = Some((1, 10));
    drop(log.append(records(0..1)));
    assert_eq!(log.close().unwrap_err().category(), "Io");
    assert_eq!(Log::open(dir.path()).unwrap().1.next, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The loop that users of the log run: keep what failed, in order, reopen, append again.
    #[test]
    fn order_survives_any_failures(
        sizes in prop::collection::vec(0u64..4, 1..30), faults in prop::collection::vec((0usize..3, 1usize..6, 0usize..200), 0..6), inflight in 1usize..5,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (log, storage) = faulty(dir.path(), 700);
        let mut next = 0;
        let mut todo: VecDeque<Vec<Record>> = sizes.into_iter().map(|size| { next += size; records(next - size..next) }).collect();
        let mut faults = faults.into_iter();
        while !todo.is_empty() {
            if let Some((kind, nth, partial)) = faults.next() {
                let mut plan = storage.0.lock().unwrap();
                match kind {
                    0 => plan.no_space = Some((nth, partial)),
                    1 => plan.sync_error = Some(nth),
                    _ => plan.dir_error = Some(nth),
                }
            }
            let count = inflight.min(todo.len());
            let tickets: Vec<Ticket> = todo.drain(..count).map(|batch| log.append(batch)).collect();
            let failed: Vec<Vec<Record>> = tickets.into_iter().filter_map(|ticket| ticket.wait().err()).map(|failed| failed.records).collect();
            for batch in failed.into_iter().rev() {
                todo.push_front(batch);
            }
            while !log.healthy() {
                let _ = reopen(&log);
            }
        }
        prop_assert_eq!(log.position(), next);
        log.close().unwrap();
        prop_assert_eq!(ids(dir.path()), (0..next).collect::<Vec<_>>());
    }
}
