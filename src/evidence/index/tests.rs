use super::super::samples;
use super::super::storage::Disk;
use super::super::{
    Body, Identity, Record,
    body::{Stop, Transition},
    epochs,
    key::PrivateKey,
};
use super::*;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use std::sync::Arc;

const IDENTITY: Identity<'_> = Identity {
    cluster: "c-1",
    replica: "ns.probity-0",
};

/// A log with every kind of entry on each of three days.
fn logged(data: &Path) -> (PathBuf, String, u64) {
    let key = PrivateKey::create(&data.join("key")).unwrap();
    let opened = epochs::open(data, IDENTITY, &key, &[], samples::time(0)).unwrap();
    let mut records = Vec::new();
    for n in 0..3 {
        let bodies = samples::bodies()
            .into_iter()
            .filter(|body| !matches!(body, Body::Epoch(_)));
        records.extend(bodies.map(|body| Record::new(samples::time(n * 86_400 + 60), body)));
        let stop = |n: i64| {
            Body::Stop(Stop {
                reason: n.to_string().into(),
            })
        };
        records.extend(
            (0..20_000 * i64::from(n == 1))
                .map(|at| Record::new(samples::time(n * 86_400 + 61), stop(at))),
        );
    }
    for some in records.chunks(500) {
        opened.log.append(some.to_vec()).wait().unwrap();
    }
    let head = opened.log.close().unwrap().unwrap().checkpoint;
    (opened.dir, head.origin, head.size)
}

fn today(days: i64) -> Date {
    day(samples::time(days * 86_400))
}

#[test]
fn each_day_that_is_over_becomes_a_file_and_each_row_is_the_entry_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (dir, origin, size) = logged(&data);
    let index = folder.path().join("parquet");
    assert_eq!(bring_up(&dir, &index, today(0)).unwrap().len(), 0);
    assert_eq!(bring_up(&dir, &index, today(1)).unwrap().len(), 1);
    assert_eq!(bring_up(&dir, &index, today(3)).unwrap().len(), 2);
    assert_eq!(
        bring_up(&dir, &index, today(9)).unwrap().len(),
        0,
        "it is all there"
    );
    let files = files(&index).unwrap();
    let signed = |first, size| Signed {
        dir: dir.clone(),
        first,
        size,
    };
    let find = |name: &str| (name == origin).then(|| signed(0, size));
    let mut end = 0;
    let mut entries = 0;
    for file in &files {
        let checked = check(&index, file, &find).unwrap().unwrap();
        assert_eq!(checked.span.first, end);
        end = checked.span.end;
        entries += checked.seen.entries;
        assert_eq!(checked.seen.minutes(), 1);
        assert!(
            file.starts_with(
                index
                    .join("cluster=c-1")
                    .join(format!("day={}", checked.day.unwrap()))
            )
        );
    }
    assert_eq!((end, entries, files.len()), (size, size, 3));

    // A file that was lost is made again.
    let lost = fs::read(&files[1]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    assert_eq!(
        bring_up(&dir, &index, today(9)).unwrap(),
        [files[1].clone()]
    );
    assert_eq!(fs::read(&files[1]).unwrap(), lost);

    // Its log is unknown, is shorter, or is another.
    let wrong = |find: &dyn Fn(&str) -> Option<Signed>| {
        check(&index, &files[2], find).unwrap().unwrap_err()
    };
    assert!(wrong(&|_| None).contains("not here"));
    assert!(wrong(&|_| Some(signed(0, size - 3))).contains("no signed entry"));
    // The file is moved to another day.
    let moved = files[2].parent().unwrap().with_file_name("day=2020-01-01");
    fs::create_dir(&moved).unwrap();
    let moved = moved.join(files[2].file_name().unwrap());
    fs::copy(&files[2], &moved).unwrap();
    assert!(
        check(&index, &moved, &find)
            .unwrap()
            .unwrap_err()
            .contains("moved")
    );
    fs::write(&moved, b"PAR1 nothing PAR1").unwrap();
    assert!(
        check(&index, &moved, &find)
            .unwrap()
            .unwrap_err()
            .contains("can't be read")
    );
}

#[test]
fn a_row_that_says_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (dir, origin, size) = logged(&data);
    let find = |name: &str| {
        (name == origin).then(|| Signed {
            dir: dir.clone(),
            first: 0,
            size,
        })
    };
    let entries: Vec<_> = RawEntries::open(&dir, 0)
        .unwrap()
        .map(Result::unwrap)
        .take(12)
        .collect();
    for (at, column) in columns::COLUMNS.iter().enumerate() {
        let index = folder.path().join(column.name);
        let mut file = File::begin(&index, &origin, day(samples::time(0)), 0).unwrap();
        let mut changed = None;
        for entry in &entries {
            let mut row = Row::of(&origin, entry.seq, &entry.bytes).unwrap();
            let cell = &mut row.cells[at];
            let can = entry.seq > 0 && *cell != columns::Cell::Null;
            if changed.is_none() && can {
                changed = Some(entry.seq);
                *cell = match cell {
                    columns::Cell::Number(value) => columns::Cell::Number(*value + 1),
                    columns::Cell::Time(value) => columns::Cell::Time(*value + 1),
                    columns::Cell::Hash(_) => columns::Cell::Hash(Box::new([9; 32])),
                    _ => columns::Cell::Word("else".into()),
                };
            }
            file.push(row).unwrap();
        }
        let Some(changed) = changed else {
            continue; // none of these entries has such a value
        };
        let path = file.finish().unwrap();
        // A number that is changed is that of the next entry, which has a row already.
        let changed = changed + u64::from(column.name == "seq");
        let why = check(&index, &path, &find).unwrap().unwrap_err();
        assert!(
            why.contains(&format!("entry {changed}")) && why.contains(column.name),
            "{why}"
        );
    }
}

#[test]
fn rows_of_a_control_lie_together_and_a_file_in_the_order_of_the_log_is_proved_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let key = PrivateKey::create(&data.join("key")).unwrap();
    let opened = epochs::open(&data, IDENTITY, &key, &[], samples::time(0)).unwrap();
    let said = (0..20_000).map(|n: i64| {
        let said = Transition {
            control: format!("control-{:02}", n % 40).into(),
            ..samples::transition()
        };
        Record::new(samples::time(n), said)
    });
    opened.log.append(said.collect()).wait().unwrap();
    let head = opened.log.close().unwrap().unwrap().checkpoint;
    let (dir, origin, size) = (opened.dir, head.origin, head.size);
    let find = |name: &str| {
        (name == origin).then(|| Signed {
            dir: dir.clone(),
            first: 0,
            size,
        })
    };
    let index = folder.path().join("parquet");
    let [file] = &bring_up(&dir, &index, today(9)).unwrap()[..] else {
        panic!("a day is a file")
    };
    let checked = check(&index, file, &find).unwrap().unwrap();
    assert_eq!(checked.seen.entries, size);
    let at = columns::COLUMNS
        .iter()
        .position(|column| column.name == "control");
    let read = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let groups = read.metadata().row_groups().iter();
    let spans: Vec<(String, String)> = groups
        .map(|group| match group.column(at.unwrap()).statistics() {
            Some(Statistics::ByteArray(of)) => {
                let word = |bytes: Option<&ByteArray>| bytes.unwrap().as_utf8().unwrap().to_owned();
                (word(of.min_opt()), word(of.max_opt()))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(spans.len() > 1 && spans.is_sorted(), "{spans:?}");
    let alike = |pair: &[(String, String)]| pair[0].1 <= pair[1].0;
    assert!(spans.windows(2).all(alike), "{spans:?}");

    // As it was written once.
    let rows: Vec<Row> = RawEntries::open(&dir, 0)
        .unwrap()
        .map(|entry| entry.map(|entry| Row::of(&origin, entry.seq, &entry.bytes).unwrap()))
        .collect::<Result<_, _>>()
        .unwrap();
    let write = |rows: &[Row]| {
        let to = fs::File::create(file).unwrap();
        let schema = columns::schema().unwrap();
        let mut writer = SerializedFileWriter::new(to, schema, Arc::default()).unwrap();
        for group in rows.chunks(16_384) {
            write::write_group(&mut writer, group).unwrap();
        }
        writer.close().unwrap();
        check(&index, file, &find)
            .unwrap()
            .map(|checked| checked.seen)
    };
    assert_eq!(write(&rows), Ok(checked.seen));
    let missing = [&rows[..7], &rows[8..]].map(|some| some.iter().cloned());
    let missing: Vec<Row> = missing.into_iter().flatten().collect();
    assert_eq!(
        write(&missing).unwrap_err(),
        "no row has the seq of entry 7"
    );
    let twice: Vec<Row> = rows[..9].iter().chain(&rows[8..9]).cloned().collect();
    assert!(
        write(&twice)
            .unwrap_err()
            .contains("entry 8, which has another row")
    );
}

#[test]
fn retention_takes_entries_from_under_files_and_none_is_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let (dir, origin, size) = logged(&data);
    let index = folder.path().join("parquet");
    assert_eq!(bring_up(&dir, &index, today(9)).unwrap().len(), 3);
    let before = files(&index).unwrap();
    // In the middle of the second day.
    let carried = crate::evidence::blob::Blob::new(Vec::new());
    carried.store(&dir, &Disk).unwrap();
    let first = 2 * 256;
    let removed = raw::PrunedFile {
        before: first,
        carried: carried.reference(),
    };
    raw::say_pruned(&dir, &Disk, &removed).unwrap();
    assert_eq!(
        bring_up(&dir, &index, today(9)).unwrap(),
        [] as [PathBuf; 0]
    );
    assert_eq!(files(&index).unwrap(), before);
    let find = |name: &str| {
        (name == origin).then(|| Signed {
            dir: dir.clone(),
            first,
            size,
        })
    };
    let checked: Vec<Checked> = before
        .iter()
        .map(|file| check(&index, file, &find).unwrap().unwrap())
        .collect();
    let end = checked[0].span.end;
    assert!((1..first).contains(&end), "{end}");
    let proved: Vec<_> = checked
        .iter()
        .map(|of| (of.unproved, of.seen.entries, of.day.is_some()))
        .collect();
    let second = checked[1].span.end;
    assert_eq!(
        proved,
        [
            (end, 0, false),
            (first - end, second - first, true),
            (0, size - second, true)
        ]
    );
    // A name says what is in a file also where nothing proves it.
    let renamed = before[0].with_file_name("ns.probity-0.x.000000000000-000000000009.parquet");
    fs::copy(&before[0], &renamed).unwrap();
    let why = check(&index, &renamed, &find).unwrap().unwrap_err();
    assert!(why.contains("its name is not"), "{why}");
    fs::remove_file(&renamed).unwrap();
    let there = time_of(&dir, &origin, first).unwrap();
    assert_eq!(there.map(day), Some(today(1)));
    assert_eq!(time_of(&dir, &origin, size).unwrap(), None);
}

#[test]
fn minutes_with_heartbeats_are_counted_once_for_all_replicas() {
    let (mut one, mut other) = (Seen::default(), Seen::default());
    for second in [0, 59, 60, 86_399] {
        one.heartbeat(samples::time(second));
    }
    other.heartbeat(samples::time(61));
    other.heartbeat(samples::time(600));
    assert_eq!((one.minutes(), other.minutes()), (3, 2));
    one.add(&other);
    assert_eq!(one.minutes(), 4);
}
