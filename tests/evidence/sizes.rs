//! Tessera's own reader finds our log whole, at every size at which the shape of a tree changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use jiff::{SignedDuration, Timestamp};
use probity::evidence::checkpoint::Checkpoint;
use probity::evidence::key::PrivateKey;
use probity::evidence::{Identity, Record, body, epochs, merkle};
use probity::server;

use crate::harness::{free_port, fsck};

/// Entries that are appended at once.
const GROUP: u64 = 500;

const IDENTITY: Identity<'_> = Identity {
    cluster: "c-1",
    replica: "probity-0",
};

/// A log of so many entries, published. Returns its folder and the file with its key.
fn log_of(data: &Path, size: u64) -> (PathBuf, PathBuf) {
    let key = PrivateKey::of_data(data).unwrap();
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let opened = epochs::open(data, IDENTITY, &key, &[], begin).unwrap();
    let mut next = 1;
    while next < size {
        let end = size.min(next + GROUP);
        let records = (next..end).map(|seq| {
            let stop = body::Stop {
                reason: format!("entry {seq}").into(),
            };
            let after = SignedDuration::from_millis(i64::try_from(seq).unwrap());
            Record::new(begin + after, stop)
        });
        opened.log.append(records.collect()).wait().unwrap();
        next = end;
    }
    let mut head = opened.log.close().unwrap().unwrap().checkpoint;
    let verifier = key.signer(&head.origin).unwrap();
    if size == 0 {
        // No log of ours is ever empty: each begins with an entry. Its tree is the one that the RFC gives.
        head = Checkpoint {
            size: 0,
            root: merkle::empty(),
            ..head
        };
        fs::remove_dir_all(opened.dir.join("tile")).unwrap();
        fs::write(opened.dir.join("checkpoint"), head.sign(&verifier)).unwrap();
    }
    assert_eq!(head.size, size);
    let file = data.join("verifier");
    fs::write(&file, verifier.verifier().to_string()).unwrap();
    (opened.dir, file)
}

/// Serves a log, and has fsck read it.
fn is_whole(size: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, key) = log_of(folder.path(), size);
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    serve(&address, dir.clone());
    let fsck = || {
        let output = Command::new(fsck().unwrap())
            .args([
                &format!("--storage_url=http://{address}/"),
                &format!("--public_key={}", key.display()),
                "--ui=false",
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // It ends in good order whatever it found: what it says counts.
    let said = fsck();
    let success = format!("Successfully fsck'd log with size {size} ");
    assert!(said.contains(&success), "{size} entries: {said}");
    if size > 1 {
        // It does look: with one entry changed it is not content.
        for bundle in walk(&dir.join("tile/entries")) {
            fs::write(&bundle, fs::read(&key).unwrap()).unwrap();
        }
        let said = fsck();
        assert!(said.contains("fsck failed"), "{size} entries: {said}");
    }
}

/// Serves a log for as long as this process lives.
fn serve(address: &str, dir: PathBuf) {
    let address = address.parse().unwrap();
    let (ready, listening) = mpsc::channel();
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let listener = server::log::bind(address).await.unwrap();
            ready.send(()).unwrap();
            server::log::serve(listener, dir).await.unwrap();
        });
    });
    listening.recv().unwrap();
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn fsck_finds_small_logs_whole() {
    for size in [0, 1, 255, 256, 257] {
        is_whole(size);
    }
}

#[test]
fn fsck_finds_logs_of_two_levels_whole() {
    for size in [65_536, 65_537] {
        is_whole(size);
    }
}

#[test]
#[ignore = "takes minutes: make soak"]
fn fsck_finds_a_log_of_a_million_entries_whole() {
    is_whole(1_000_000);
}
