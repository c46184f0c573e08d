//! Logs of two replicas that took turns.

use super::*;
use crate::evidence::verify::{Replica, verify_replicas};

/// What another replica wrote, which took over from the first one in this term.
fn taken_over(from: &Made, epoch: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::create(&folder.path().join("key")).unwrap();
    let identity = Identity {
        replica: "probity-1",
        ..IDENTITY
    };
    let opened = epochs::open(folder.path(), identity, &key, &[], at(0)).unwrap();
    let term = Term {
        holder: "probity-1".into(),
        epoch,
        predecessor: Some("probity-0_x7".to_owned()),
        before: Some(from.anchor()),
    };
    let records = vec![
        Record::new(at(600), Body::Term(term)),
        Record::new(at(600), samples::heartbeat()),
    ];
    opened.log.append(records).wait().unwrap();
    opened.log.close().unwrap();
    folder
}

fn found(first: &Made, second: &tempfile::TempDir) -> String {
    let replicas = [first.data(), second.path()];
    let replicas = replicas.map(|folder| Replica::of(folder).unwrap().unwrap());
    assert_eq!(
        replicas.each_ref().map(|replica| &*replica.name),
        ["probity-0", "probity-1"]
    );
    let report = verify_replicas(&replicas, &Trust::default(), &|_, _| {}).unwrap();
    let problems = problems(&report);
    assert_eq!(report.verified, problems.is_empty());
    assert_eq!(report.logs.len(), 2);
    problems
}

#[test]
fn logs_that_fit_together_do() {
    let made = made(4);
    assert_eq!(found(&made, &taken_over(&made, 2)), "");
}

#[test]
fn an_end_that_was_cut_off_before_another_took_over_is_found() {
    let made = made(4);
    let second = taken_over(&made, 2);
    let mut entries = made.entries();
    let whole = entries.len();
    entries.truncate(whole - 4);
    made.rebuild(&entries);
    assert_eq!(
        found(&made, &second),
        format!(
            "probity-0: when probity-1 began to lead in term 2, EvidenceLog/probity-0 had {whole} entries of {}: here it has {}",
            made.anchor().origin,
            whole - 4
        )
    );
}

#[test]
fn a_log_that_was_rewritten_before_another_took_over_is_found() {
    let made = made(4);
    let second = taken_over(&made, 2);
    let mut entries = made.entries();
    let last = entries.pop().unwrap();
    let seq = u64::try_from(entries.len()).unwrap();
    let other = encode(&Record::new(at(180), samples::heartbeat()), seq).unwrap();
    assert_ne!(last, other.bytes);
    entries.push(other.bytes);
    made.rebuild(&entries);
    let said = found(&made, &second);
    assert!(said.ends_with("here they are others"), "{said}");
}

#[test]
fn a_term_that_two_say_they_led_is_found() {
    let made = made(4);
    let said = found(&made, &taken_over(&made, 1));
    assert!(
        said.ends_with("probity-0, probity-1: more than one of them says that it led in term 1"),
        "{said}"
    );
}

#[test]
fn who_goes_on_leading_when_another_does_is_found() {
    let made = made(4);
    // It took over ten minutes after the first one began, and that one says something a day later.
    let second = taken_over(&made, 2);
    let log = open(made.data(), 0);
    let late = Record::new(at(24 * 3600), samples::transition());
    let gap = Gap {
        scope: "all".to_owned(),
        from: at(180),
        to: Some(at(24 * 3600)),
        cause: "the process did not run".to_owned(),
    };
    let gap = Record::new(at(24 * 3600), Body::Gap(gap));
    log.append(vec![gap, late]).wait().unwrap();
    log.close().unwrap();
    let said = found(&made, &second);
    assert!(
        said.contains("probity-0: it went on leading until"),
        "{said}"
    );
}

#[test]
fn a_folder_of_two_replicas_and_names_that_lead_elsewhere_are_nobodys() {
    let made = made(1);
    let second = taken_over(&made, 2);
    let other = epochs::list(second.path()).unwrap().remove(0);
    let beside = made.log().with_file_name("20300101T000000Z");
    fs::rename(other, beside).unwrap();
    assert_eq!(Replica::of(made.data()).unwrap(), None);
    for name in ["..", ".", "", "a\\..\\b/.."] {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::create(&folder.path().join("key")).unwrap();
        let origin = format!("probity.dev/c-1/{name}/20260101T000000Z");
        let dir = folder.path().join("epochs/20260101T000000Z");
        fs::create_dir_all(&dir).unwrap();
        let (mut store, _) = Store::open(&dir).unwrap();
        store.append(&made.entries()[..1]).unwrap();
        store.sync().unwrap();
        let signer = key.signer(&origin).unwrap();
        let mut publisher = Publisher::open(&dir, Box::new(Disk), signer).unwrap();
        publisher.publish(store.next_seq()).unwrap();
        assert_eq!(Replica::of(folder.path()).unwrap(), None, "{name}");
    }
}

#[test]
fn what_is_damaged_of_one_replica_is_reported_and_ends_nothing() {
    let made = made(4);
    let second = taken_over(&made, 2);
    let mut looked_at = 0;
    for path in files(&made.log()) {
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len().min(20) - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            let first = Replica::of(made.data());
            let name = path.display();
            // Whose log it is may be what is damaged; never an error that keeps the other one from being looked at.
            let Some(first) = first.unwrap_or_else(|error| panic!("{name}: {error}")) else {
                continue;
            };
            let replicas = [first, Replica::of(second.path()).unwrap().unwrap()];
            let report = verify_replicas(&replicas, &Trust::default(), &|_, _| {});
            let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!report.verified, "{name}");
            assert_eq!(report.logs.len(), 2, "{name}");
            looked_at += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(looked_at >= 6, "{looked_at}");
}
