//! Files that are odd, foreign or in the way: they are named, and the check ends.

use std::os::unix::fs::symlink;

use super::*;
use crate::evidence::sealed;
use crate::evidence::tile::{Of, Tile};

/// The file of the one bundle of a log with fewer than 256 entries.
fn bundle(made: &Made) -> PathBuf {
    let width = u16::try_from(made.entries().len()).unwrap();
    let tile = Tile {
        of: Of::Entries,
        index: 0,
        width,
    };
    sealed::bundle_path(&made.log(), tile)
}

#[test]
fn devices_folders_loops_and_giants_in_place_of_files_are_named_and_the_rest_is_checked() {
    let made = made(4);
    for file in files(&made.log()) {
        let name = file.strip_prefix(made.data()).unwrap().to_owned();
        let name = name.to_str().unwrap();
        let whole = fs::read(&file).unwrap();
        for odd in ["zero", "loop", "folder", "giant"] {
            fs::remove_file(&file).unwrap();
            match odd {
                "zero" => symlink("/dev/zero", &file).unwrap(),
                "loop" => symlink(&file, &file).unwrap(),
                "folder" => fs::create_dir(&file).unwrap(),
                _ => fs::File::create(&file).unwrap().set_len(3 << 30).unwrap(),
            }
            let report = made.report();
            let found = problems(&report);
            assert!(
                !report.verified && found.contains(name),
                "{odd} {name}: {found}"
            );
            if odd == "folder" {
                fs::remove_dir(&file).unwrap();
            } else {
                fs::remove_file(&file).unwrap();
            }
            fs::write(&file, &whole).unwrap();
        }
    }
    assert!(made.report().verified);
}

#[test]
fn one_damaged_byte_is_one_problem() {
    let made = made(4);
    let file = bundle(&made);
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    // Without segments nothing but the bundle holds the entries.
    fs::remove_dir_all(made.log().join("wal")).unwrap();
    for damaged in [flipped, whole[..whole.len() - 9].to_vec()] {
        fs::write(&file, damaged).unwrap();
        let report = made.report();
        let found: Vec<_> = report.problems().collect();
        assert_eq!(found.len(), 1, "{}", problems(&report));
        assert!(found[0].what.contains("can't be unpacked") && found[0].byte.is_none());
    }
}

#[test]
fn what_follows_a_bundle_a_renamed_folder_and_a_misnamed_blob_are_found() {
    let made = made(4);
    let file = bundle(&made);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
    assert_found(&made, &["something follows the compressed entries"]);
    fs::write(&file, &whole).unwrap();

    let blobs = made.log().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let blob = blobs.join("0".repeat(64));
    fs::write(&blob, "another content").unwrap();
    assert_found(&made, &["has other content than was logged"]);
    fs::remove_file(&blob).unwrap();
    assert!(made.report().verified);

    let renamed = made.log().with_file_name("20200101T000000Z");
    fs::rename(made.log(), renamed).unwrap();
    assert_found(
        &made,
        &["20200101T000000Z: the folder is not named as the log in it"],
    );
}

#[test]
fn what_is_no_part_of_the_log_is_said() {
    let made = made(4);
    assert_eq!(made.report().logs[0].remarks, [""; 0]);
    let log = made.log();
    fs::write(log.join("notes.txt"), "x").unwrap();
    fs::write(log.join("wal").join("._000000000000000000.log"), "x").unwrap();
    let plain = bundle(&made).with_extension("");
    fs::write(plain, "x").unwrap();
    fs::remove_file(log.join("checkpoints.jsonl")).unwrap();
    let report = made.report();
    assert!(report.verified, "{}", problems(&report));
    let remarks = report.logs[0].remarks.join("\n");
    for word in [
        "nothing of them is proved: notes.txt, wal/._",
        "lie there plain as well",
        "checkpoints.jsonl is not there",
    ] {
        assert!(remarks.contains(word), "{word}: {remarks}");
    }
}

#[test]
fn what_is_no_log_is_not_accused() {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path();
    fs::create_dir(given.join("photos")).unwrap();
    let said = unpacked(given).unwrap_err().to_string();
    assert!(said.contains("holds no evidence log"), "{said}");
    let empty = given.join("empty.tar");
    fs::write(&empty, [0; 1024]).unwrap();
    let said = unpacked(&empty).unwrap_err().to_string();
    assert!(said.contains("holds no evidence log"), "{said}");
    let text = given.join("text");
    fs::write(&text, "hello").unwrap();
    let said = unpacked(&text).unwrap_err().to_string();
    assert!(
        said.contains("is no tar archive") && !said.contains("volume"),
        "{said}"
    );
    // Somebody has removed the logs: that is said.
    fs::create_dir(given.join("epochs")).unwrap();
    let report = verify(given, &Trust::default(), &|_, _| {}).unwrap();
    assert!(!report.verified && problems(&report).contains("this folder holds no log"));
}

#[test]
fn a_log_is_found_with_other_things_around_it() {
    let made = made(4);
    let pack = tempfile::tempdir().unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // The library refuses to write a name that leads out.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    add("../../evil.txt", b"x");
    add("/pack/index.html", b"x");
    add("._data", b"x");
    for file in files(&made.log()) {
        let inside = file.strip_prefix(made.data()).unwrap();
        let content = fs::read(&file).unwrap();
        add(&format!("pack/log/{}", inside.display()), &content);
        let copied = pack.path().join("log").join(inside);
        fs::create_dir_all(copied.parent().unwrap()).unwrap();
        fs::write(copied, content).unwrap();
    }
    let tar = pack.path().join("a.tar");
    fs::write(&tar, archive.into_inner().unwrap()).unwrap();
    for given in [tar.as_path(), pack.path()] {
        let found = unpacked(given).unwrap();
        let report = verify(&found.paths()[0], &made.trust, &|_, _| {}).unwrap();
        assert_eq!(problems(&report), "");
        assert!(report.verified);
    }
    assert!(unpacked(&tar).unwrap().remarks()[0].contains("../../evil.txt"));
}
