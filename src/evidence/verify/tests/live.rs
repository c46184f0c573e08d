//! A log that is written while it is verified.

use std::thread;

use super::*;

#[test]
fn a_log_that_grows_and_is_sealed_meanwhile_verifies_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 0);
    log.close().unwrap();
    let dir = epochs::list(folder.path()).unwrap().remove(0);
    let key = PrivateKey::read(&folder.path().join("key"))
        .unwrap()
        .unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let signer = key
        .signer(&format!("probity.dev/c-1/probity-0/{name}"))
        .unwrap();
    let trust = Trust {
        keys: vec![signer.verifier().clone()],
        ..Trust::default()
    };
    // Small segments, so that many are sealed.
    let (mut store, _) = Store::open_on(&dir, Box::new(Disk), 50_000).unwrap();
    let writer = thread::spawn(move || {
        let mut publisher = Publisher::open(&dir, Box::new(Disk), signer).unwrap();
        for _ in 0..250 {
            let next = store.next_seq();
            let entries: Vec<_> = (next..next + 13)
                .map(|seq| {
                    encode(&Record::new(at(0), samples::transition()), seq)
                        .unwrap()
                        .bytes
                })
                .collect();
            store.append(&entries).unwrap();
            store.sync().unwrap();
            publisher.publish(store.next_seq()).unwrap();
            publisher.keep(at(0)).unwrap();
        }
    });
    let mut rounds = 0;
    while !writer.is_finished() || rounds == 0 {
        let report = verify(folder.path(), &trust, &|_, _| {}).unwrap();
        assert_eq!(problems(&report), "", "in round {rounds}");
        rounds += 1;
    }
    writer.join().unwrap();
    let report = verify(folder.path(), &trust, &|_, _| {}).unwrap();
    assert_eq!((report.verified, report.logs[0].size), (true, 3251));
}
