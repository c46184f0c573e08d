//! OpenSSL: makes certificates, and says what it thinks of them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder in which OpenSSL works.
pub(super) struct Openssl {
    folder: TempDir,
}

/// Who signs a certificate.
#[derive(Clone, Copy)]
pub(super) enum Signer<'a> {
    Itself,
    Authority(&'a str),
}

/// What a certificate is to be like.
pub(super) struct Wish<'a> {
    pub(super) name: &'a str,
    /// Arguments of `openssl genpkey`.
    pub(super) key: &'a [&'a str],
    pub(super) digest: &'a str,
    pub(super) signer: Signer<'a>,
    pub(super) extensions: &'a str,
    pub(super) days: u32,
}

pub(super) const RSA_2048: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(super) const AUTHORITY: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";

impl Openssl {
    pub(super) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// The path of a file in the folder.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The content of a file in the folder.
    pub(super) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    pub(super) fn try_run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.output().unwrap()
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command.args(args).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(super) fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {args:?}: {error}");
        output.stdout
    }

    /// Makes `NAME.key` and `NAME.pem`.
    #[track_caller]
    pub(super) fn make(&self, wish: &Wish<'_>) {
        let name = wish.name;
        let file = |kind: &str| format!("{name}.{kind}");
        let mut genpkey = vec!["genpkey"];
        genpkey.extend(wish.key);
        let key = file("key");
        genpkey.extend(["-out", &key]);
        self.run(&genpkey);
        let (request, subject) = (file("csr"), format!("/CN={name}"));
        self.run(&[
            "req", "-new", "-key", &key, "-subj", &subject, "-out", &request,
        ]);
        let (conf, pem, days) = (file("conf"), file("pem"), wish.days.to_string());
        std::fs::write(self.path(&conf), wish.extensions).unwrap();
        let digest = format!("-{}", wish.digest);
        let mut sign = vec![
            "x509", "-req", "-in", &request, "-days", &days, "-extfile", &conf, "-out", &pem,
        ];
        if !wish.digest.is_empty() {
            sign.push(&digest);
        }
        let (ca, ca_key);
        match wish.signer {
            Signer::Itself => sign.extend(["-signkey", &key]),
            Signer::Authority(by) => {
                (ca, ca_key) = (format!("{by}.pem"), format!("{by}.key"));
                sign.extend(["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"]);
            }
        }
        self.run(&sign);
    }

    /// A certificate as DER.
    pub(super) fn der(&self, name: &str) -> Vec<u8> {
        self.run(&["x509", "-in", &format!("{name}.pem"), "-outform", "DER"])
    }

    /// Files one after the other in another.
    pub(super) fn join(&self, names: &[&str], into: &str) -> PathBuf {
        let all = names
            .iter()
            .flat_map(|name| self.read(&format!("{name}.pem")));
        let path = self.path(into);
        std::fs::write(&path, all.collect::<Vec<u8>>()).unwrap();
        path
    }
}
