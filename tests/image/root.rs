//! A root file system in which nothing can be written, and how to get into it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::operator::program::{Output, file};

/// User and group of the program.
pub(super) const USER: u32 = 65532;

const PROGRAM: &str = "usr/local/bin/probity";
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// Mounts the root read-only, what a pod has besides, and goes in. Of /proc, a pod has its own; so much of it suffices.
const ENTER: &str = r#"
set -e
root=$1 data=$2
shift 2
mount --bind "$root" "$root"
mount --bind /proc "$root/proc"
mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec chroot --userspec=65532:65532 --groups= "$root" /usr/local/bin/probity "$@"
"#;

/// Says where a person sees it that something was not tested. Where CI says so (`CI=true`), everything must be.
pub(super) fn skipped(what: &str, why: &str) {
    let is_about_the_machine = !why.starts_with("PROBITY_IMAGE");
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !(ci && is_about_the_machine),
        "{what} must be tested here: {why}"
    );
    // The macros are caught by the test runner.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// Why nothing can be mounted here, if so.
pub(super) fn denied() -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let tried = Command::new("unshare")
        .args(["--mount", "mount", "--bind", "/proc"])
        .arg(folder.path())
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "mounting is not permitted: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare (of util-linux): {error}")),
    }
}

/// An image, unpacked.
pub(super) struct Image {
    folder: TempDir,
}

impl Image {
    /// That of `PROBITY_IMAGE`.
    pub(super) fn given() -> Option<Self> {
        let path = std::env::var_os("PROBITY_IMAGE")?;
        let folder = tempfile::tempdir().unwrap();
        let archive = File::open(&path)
            .unwrap_or_else(|error| panic!("PROBITY_IMAGE={}: {error}", path.display()));
        tar::Archive::new(archive).unpack(folder.path()).unwrap();
        Some(Self { folder })
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join(path)).unwrap()).unwrap()
    }

    fn manifest(&self) -> Value {
        self.json(&blob(&self.json("index.json")["manifests"][0]))
    }

    /// What containers are started with.
    pub(super) fn config(&self) -> Value {
        self.json(&blob(&self.manifest()["config"]))
    }

    fn unpack(&self, to: &Path) {
        for layer in self.manifest()["layers"].as_array().unwrap() {
            let bytes = fs::read(self.folder.path().join(blob(layer))).unwrap();
            let mut layer = Vec::new();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                flate2::read::GzDecoder::new(&*bytes)
                    .read_to_end(&mut layer)
                    .unwrap();
            } else {
                layer = bytes;
            }
            tar::Archive::new(&*layer).unpack(to).unwrap();
        }
    }

    /// Every file in it.
    pub(super) fn files(&self) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        self.unpack(folder.path());
        let files = below(folder.path()).into_iter();
        let names = files.map(|path| path.strip_prefix(folder.path()).unwrap().to_owned());
        names.map(|path| path.display().to_string()).collect()
    }
}

/// The path of a blob, by what refers to it.
fn blob(descriptor: &Value) -> String {
    format!(
        "blobs/{}",
        descriptor["digest"].as_str().unwrap().replace(':', "/")
    )
}

/// A root, and a folder for data.
pub(super) struct Root {
    folder: TempDir,
}

impl Root {
    /// That of the image, or one of the program that was built for the tests.
    pub(super) fn new() -> Self {
        let root = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::set_permissions(root.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["root/proc", "root/data", "root/usr/local/bin", "data"] {
            fs::create_dir_all(root.beside(folder)).unwrap();
        }
        fs::create_dir_all(root.beside("root").join(ACCOUNT)).unwrap();
        chown(root.beside("data"), Some(USER), Some(USER)).unwrap();
        match Image::given() {
            Some(image) => image.unpack(&root.beside("root")),
            None => root.assemble(),
        }
        root
    }

    /// Copies the program and what it loads.
    fn assemble(&self) {
        let program = file();
        let loads = Command::new("ldd").arg(&program).output().unwrap();
        let loads = String::from_utf8(loads.stdout).unwrap();
        let libraries = loads
            .split_whitespace()
            .filter(|word| word.starts_with('/'));
        for library in libraries {
            let to = self.beside("root").join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
        fs::copy(&program, self.beside("root").join(PROGRAM)).unwrap();
    }

    /// A path beside the root.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file where a pod finds what it has of its service account.
    pub(super) fn give(&self, name: &str, content: &[u8]) {
        fs::write(self.beside("root").join(ACCOUNT).join(name), content).unwrap();
    }

    /// What runs the program inside.
    pub(super) fn command(&self, args: &[&str]) -> (String, Vec<String>) {
        let path = |name| self.beside(name).display().to_string();
        let enter = ["--mount", "--propagation=private", "sh", "-c", ENTER, "sh"];
        let mut all: Vec<String> = enter.map(str::to_owned).into();
        all.extend([path("root"), path("data")]);
        all.extend(args.iter().map(ToString::to_string));
        ("unshare".to_owned(), all)
    }

    /// Runs a command inside to its end.
    pub(super) fn run(&self, args: &[&str]) -> Output {
        let (program, args) = self.command(args);
        let output = Command::new(program)
            .args(args)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output = Output {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            code: output.status.code(),
        };
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output
    }

    /// Every file in the root but those of the service account.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let account = self.beside("root").join(ACCOUNT);
        let files = below(&self.beside("root")).into_iter();
        files.filter(|path| !path.starts_with(&account)).collect()
    }

    /// All that was written belongs to the user of the program, and its key to nobody else.
    pub(super) fn all_data_is_its_own(&self) {
        let files = below(&self.beside("data"));
        assert!(!files.is_empty());
        for path in files {
            let about = fs::metadata(&path).unwrap();
            assert_eq!(
                (about.uid(), about.gid()),
                (USER, USER),
                "{}",
                path.display()
            );
            let secret = path.ends_with("key");
            assert!(
                !secret || about.mode() & 0o777 == 0o600,
                "{}",
                path.display()
            );
        }
    }
}

/// The files in a folder and below it, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
