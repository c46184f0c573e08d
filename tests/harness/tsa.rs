//! A timestamp authority: openssl behind HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use super::Result;

const CONFIG: &str = "
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[stamps]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[servers]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
[tsa]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
certs = root.pem
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
";

/// How an authority signs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// What openssl makes a key from: `rsa:2048`, or a curve.
    pub(crate) key: &'static str,
    /// The digest with which it signs.
    pub(crate) digest: &'static str,
    /// What its certificate is for: `stamps` or `servers`.
    pub(crate) purpose: &'static str,
}

impl Kind {
    /// The usual one.
    pub(crate) const USUAL: Self = Self {
        key: "rsa:2048",
        digest: "sha256",
        purpose: "stamps",
    };
}

/// An authority.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: Arc<tempfile::TempDir>,
    digest: &'static str,
}

impl Authority {
    /// Makes its keys and certificates.
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let authority = Self {
            folder: Arc::new(folder),
            digest: kind.digest,
        };
        authority.write("tsa.cnf", CONFIG)?;
        authority.write("serial", "01")?;
        let key = |name: &str| {
            let file = format!("{name}.key");
            match kind.key {
                "rsa:2048" => authority.openssl(&["genrsa", "-out", &file, "2048"]),
                curve => authority.openssl(&[
                    "ecparam", "-name", curve, "-genkey", "-noout", "-out", &file,
                ]),
            }
        };
        key("root")?;
        key("tsa")?;
        authority.openssl(&[
            "req",
            "-x509",
            "-config",
            "tsa.cnf",
            "-extensions",
            "root",
            "-key",
            "root.key",
            "-subj",
            "/CN=Test root",
            "-days",
            "2",
            "-out",
            "root.pem",
        ])?;
        authority.openssl(&[
            "req",
            "-new",
            "-config",
            "tsa.cnf",
            "-key",
            "tsa.key",
            "-subj",
            "/CN=Test authority",
            "-out",
            "tsa.csr",
        ])?;
        authority.openssl(&[
            "x509",
            "-req",
            "-in",
            "tsa.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-extfile",
            "tsa.cnf",
            "-extensions",
            kind.purpose,
            "-days",
            "2",
            "-out",
            "tsa.pem",
        ])?;
        Ok(authority)
    }

    /// The certificate that an auditor trusts.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path(name), text).map_err(|error| error.to_string())
    }

    fn openssl(&self, args: &[&str]) -> Result<()> {
        openssl(self.folder.path(), args).map(drop)
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &[u8]) -> Result<Vec<u8>> {
        fs::write(self.path("request.tsq"), request).map_err(|error| error.to_string())?;
        self.openssl(&[
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-section",
            "tsa",
            "-queryfile",
            "request.tsq",
            &format!("-{}", self.digest),
            "-out",
            "response.tsr",
        ])?;
        fs::read(self.path("response.tsr")).map_err(|error| error.to_string())
    }

    /// Whether openssl finds that a response is over a file and from this authority.
    pub(crate) fn accepts(&self, response: &Path, file: &Path) -> Result<()> {
        let [response, file] = [response, file].map(|path| path.display().to_string());
        self.openssl(&[
            "ts", "-verify", "-data", &file, "-in", &response, "-CAfile", "root.pem",
        ])
    }

    /// Serves until this process ends. Returns its URL.
    pub(crate) fn serve(&self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let authority = Self {
            folder: Arc::clone(&self.folder),
            digest: self.digest,
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever asked badly hears nothing.
                let _ = authority.exchange(stream);
            }
        });
        Ok(format!("http://{address}/tsr"))
    }

    fn exchange(&self, mut stream: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone().map_err(|error| error.to_string())?);
        let (mut length, mut is_query) = (0, false);
        loop {
            let mut line = String::new();
            reader
                .read_line(&mut line)
                .map_err(|error| error.to_string())?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| "no length".to_owned())?;
            }
            is_query |= line == "content-type: application/timestamp-query";
        }
        let mut request = vec![0; length];
        reader
            .read_exact(&mut request)
            .map_err(|error| error.to_string())?;
        if !is_query {
            return Err("no timestamp query".to_owned());
        }
        let answer = self.answer(&request)?;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            answer.len()
        );
        stream
            .write_all(&[head.as_bytes(), &answer].concat())
            .map_err(|error| error.to_string())
    }
}

fn openssl(folder: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("openssl {}: {said}", args.join(" ")))
    }
}
