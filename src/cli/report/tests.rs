//! Packs on a disk: whole or not at all, and the same by both ways of reading.

use std::{
    io::{self, BufRead, Write},
    sync::Mutex,
};

use super::*;
use crate::evidence::Body;

/// A disk with room for so many bytes.
struct Full<'a>(&'a Aside, Arc<Mutex<usize>>);

struct Limited(Box<dyn Write>, Arc<Mutex<usize>>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.1.lock().unwrap();
        let left = room.checked_sub(bytes.len());
        *room = left.ok_or(io::ErrorKind::StorageFull)?;
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Folder for Full<'_> {
    fn create(&self, name: &str) -> io::Result<Box<dyn Write>> {
        Ok(Box::new(Limited(self.0.create(name)?, self.1.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead>> {
        self.0.open(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

fn period(folder: &Path) -> PathBuf {
    let file = folder.join("period.yaml");
    let text = "apiVersion: probity.dev/v1alpha1\nkind: AuditPeriod\nmetadata: {name: h1}\n\
                spec: {start: '2026-01-01', end: '2026-06-30', timeZone: Europe/Vienna}\n";
    fs::write(&file, text).unwrap();
    file
}

fn wanted(folder: &Path) -> Wanted {
    let file = period(folder);
    let logs = LogArguments::of(&folder.join("log"));
    super::wanted(&file.display().to_string(), &logs).unwrap().0
}

fn logs(folder: &Path) -> Logs {
    LogArguments::of(folder).open().unwrap()
}

fn log(folder: &Path) -> PathBuf {
    let log = folder.join("log");
    let (writer, _) = crate::evidence::Log::open(&log).unwrap();
    drop(writer);
    log
}

#[test]
fn a_pack_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (log, wanted) = (log(folder.path()), wanted(folder.path()));
    let out = folder.path().join("pack");
    for room in [0, 100, 2000, 8000] {
        let aside = Aside::beside(&out).unwrap();
        let full = Full(&aside, Arc::new(Mutex::new(room)));
        let trust = Trust::default();
        let sources = Sources::of(logs(&log), &aside.folder, Bundles::Gzip, &trust);
        let problem = write(&full, &wanted, &sources, None).unwrap_err();
        assert!(
            problem.contains("can't be written") && problem.contains("make room"),
            "{problem}"
        );
        drop(aside);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["log", "period.yaml"]);
    }
    let asked = Arguments {
        period: folder.path().join("period.yaml").display().to_string(),
        logs: LogArguments::of(&log),
        out: out.clone(),
        since_period_end: false,
        plain_log: false,
        signing_key: None,
        trust: TrustArguments::default(),
    };
    run(&asked).unwrap();
    assert!(out.join("SHA256SUMS").is_file() && out.join("index.html").is_file());
    assert!(run(&asked).unwrap_err().contains("exists already"));
}

/// All files of a pack but those that say what was found of the log.
fn files(folder: &Path, below: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let told = ["index.html", "ipe.json", "README.txt", "SHA256SUMS"];
    let told = told.iter().chain(&["attestation.intoto.json"]);
    let told: Vec<&Path> = told.map(Path::new).collect();
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let name = below.join(entry.unwrap().file_name());
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(files(folder, &name));
        } else if !told.contains(&&*name) {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn a_pack_is_the_same_whether_its_log_was_heard_or_had_to_be_read() {
    use crate::evidence::body::Anchored;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("log");
    fs::create_dir(&data).unwrap();
    evidence_of(&data);
    let wanted = wanted(folder.path());
    let pack = |name: &str, trust: &Trust, bundles| {
        let aside = Aside::beside(&folder.path().join(name)).unwrap();
        let sources = Sources::of(logs(&data), &aside.folder, bundles, trust);
        let (summary, found) = write(&aside, &wanted, &sources, None).unwrap();
        assert_eq!(summary.controls.len(), 1);
        (files(&aside.folder, Path::new("")), found.whole)
    };
    let heard = pack("heard", &Trust::default(), Bundles::Gzip);
    let elsewhere = Trust {
        anchors: vec![Anchored {
            source: "a note".to_owned(),
            origin: "somebody else's".to_owned(),
            size: 1,
            root: String::new(),
        }],
        ..Trust::default()
    };
    let read = pack("read", &elsewhere, Bundles::Gzip);
    assert_eq!((heard.1, read.1), (true, false));
    assert!(heard.0.len() > 20 && heard.0 == read.0);

    // With its bundles as tlog-tiles has them it is the same log.
    let (plain, whole) = pack("plain", &Trust::default(), Bundles::Plain);
    assert!(whole);
    let gzip = |path: &Path| path.extension() == Some("gz".as_ref());
    assert_eq!(plain.keys().find(|path| gzip(path)), None);
    let (zipped, same): (Vec<_>, Vec<_>) = heard.0.iter().partition(|(path, _)| gzip(path));
    assert!(same.iter().all(|(path, content)| plain[*path] == **content));
    let first = zipped
        .iter()
        .find(|(path, _)| path.ends_with("tile/entries/000.gz"));
    let mut unpacked = Vec::new();
    io::copy(
        &mut flate2::read::GzDecoder::new(&**first.unwrap().1),
        &mut unpacked,
    )
    .unwrap();
    assert_eq!(plain[&first.unwrap().0.with_extension("")], unpacked);
    assert_eq!(plain.len(), heard.0.len());

    // A bundle that is there both ways is one.
    let log = crate::evidence::epochs::list(&data).unwrap().remove(0);
    fs::write(log.join("tile/entries/000"), unpacked).unwrap();
    assert_eq!(
        pack("doubled", &Trust::default(), Bundles::Plain),
        (plain, true)
    );
}

/// A log of some hours with a control that fails for a minute.
fn evidence_of(data: &Path) {
    let line = |minute: i64, body: serde_json::Value| {
        let at = Timestamp::from_second(1_770_000_000 + minute * 60).unwrap();
        crate::evidence::Record::new(at, serde_json::from_value::<Body>(body).unwrap())
    };
    let control = "net-namespace-default-deny";
    let subject =
        serde_json::json!({ "group": "", "kind": "Namespace", "name": "shop", "uid": "u" });
    let beat = serde_json::json!({
        "type": "heartbeat", "subjects": 1, "byOutcome": {}, "tableDigest": "d", "kinds": [],
        "controls": [{ "policy": "soc2", "control": control, "byOutcome": { "Pass": 1 } }],
    });
    let turn = |from: &str, to: &str| {
        serde_json::json!({
            "type": "transition", "policies": ["soc2"], "control": control, "ruleVersion": 1, "paramsHash": "p",
            "scopeHash": "s", "subject": subject, "from": from, "to": to, "strength": "Declared", "reason": "R",
            "message": "=m, \"quoted\"", "severity": "High", "cause": "Object", "deviation": "d-1",
        })
    };
    let joined = serde_json::json!({
        "type": "population", "policies": ["soc2"], "control": control, "joined": [subject], "left": [],
    });
    let mut records = vec![line(0, joined)];
    for minute in 0..400 {
        records.push(line(minute, beat.clone()));
        match minute {
            10 => records.push(line(minute, turn("Pass", "Fail"))),
            11 => records.push(line(minute, turn("Fail", "Pass"))),
            _ => {}
        }
    }
    let key = PrivateKey::create(&data.join("key")).unwrap();
    let identity = crate::evidence::Identity {
        cluster: "c-1",
        replica: "probity-0",
    };
    let begin = Timestamp::from_second(1_770_000_000).unwrap();
    let opened = crate::evidence::epochs::open(data, identity, &key, &[], begin).unwrap();
    opened.log.append(records).wait().unwrap();
    opened.log.close().unwrap();
}

/// What is said of a log from which no pack can be made, and that nothing is left behind.
fn refused(folder: &Path, log: &Path, key: Option<PathBuf>) -> String {
    let period = period(folder);
    let out = folder.join("packs").join("pack");
    fs::create_dir_all(folder.join("packs")).unwrap();
    let problem = run(&Arguments {
        period: period.display().to_string(),
        logs: LogArguments::of(log),
        out,
        since_period_end: false,
        plain_log: false,
        signing_key: key,
        trust: TrustArguments::default(),
    });
    let left = fs::read_dir(folder.join("packs")).unwrap().count();
    assert_eq!(left, 0, "no half-written pack");
    let problem = problem.unwrap_err();
    assert_eq!(problem.lines().count(), 1, "{problem}");
    problem
}

#[test]
fn of_what_is_no_log_or_is_damaged_no_pack_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let foreign = folder.join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("photo.jpg"), b"x").unwrap();
    let said = refused(folder, &foreign, None);
    assert!(said.contains("holds no evidence log"), "{said}");
    let said = refused(folder, &folder.join("nowhere"), None);
    assert!(
        said.contains("is neither a folder nor an archive"),
        "{said}"
    );

    let damaged = log(folder);
    let (writer, _) = crate::evidence::Log::open(&damaged).unwrap();
    let now = Timestamp::now();
    for reason in ["one", "two", "three"] {
        let stop = crate::evidence::body::Stop {
            reason: reason.into(),
        };
        let record = crate::evidence::Record::new(now, stop);
        writer.append(vec![record]).wait().unwrap();
    }
    drop(writer);
    let segment = damaged.join("wal").join("000000000000000000.log");
    let mut bytes = fs::read(&segment).unwrap();
    // The first entry: what follows shows that no crash has torn it.
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let said = refused(folder, &damaged, None);
    assert!(
        said.contains("can't be read") && said.contains("000000000000000000.log"),
        "{said}"
    );
}

#[test]
fn a_key_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let key = folder.path().join("key.pem");
    let said = refused(folder.path(), &log, Some(key.clone()));
    assert!(said.contains("there is no file"), "{said}");
    fs::write(&key, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let said = refused(folder.path(), &log, Some(key));
    assert!(
        said.contains("openssl genpkey -algorithm ed25519"),
        "{said}"
    );
}

#[test]
fn a_large_file_is_made_durable_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pack");
    let mut aside = Aside::beside(&out).unwrap();
    let part = vec![7; 20 << 20];
    let mut file = aside.create("of/large").unwrap();
    for _ in 0..4 {
        file.write_all(&part).unwrap();
    }
    file.flush().unwrap();
    drop(file);
    aside.settle(&out).unwrap();
    assert_eq!(fs::read(out.join("of/large")).unwrap(), part.repeat(4));
}
