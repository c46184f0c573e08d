//! A local S3-compatible server with a bucket whose objects can't be deleted: Object Lock in mode COMPLIANCE.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::Result;
use super::ports::free;
use super::process::Signal;
use super::service::Service;
use super::tools::versitygw;

const USER: &str = "tester";
const PASSWORD: &str = "planted-bucket-secret";

const LOCK: &str = "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>\
    <Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";

/// The server.
#[derive(Debug)]
pub(crate) struct S3 {
    service: Service,
    port: u16,
    folder: tempfile::TempDir,
}

impl S3 {
    /// The name of its bucket.
    pub(crate) const BUCKET: &str = "evidence";

    /// Starts it, and makes the bucket.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for name in ["root", "versions"] {
            std::fs::create_dir(folder.path().join(name)).map_err(|error| error.to_string())?;
        }
        let port = free()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let args = [
            &format!("--port=127.0.0.1:{port}"),
            &format!("--access={USER}"),
            &format!("--secret={PASSWORD}"),
            "--quiet",
            "posix",
            &format!("--versioning-dir={}", path("versions")),
            &path("root"),
        ];
        let args = args.map(str::to_owned).into();
        let service = Service::start("versitygw", versitygw()?, args, folder.path())?;
        let server = Self {
            service,
            port,
            folder,
        };
        server.make_bucket()?;
        Ok(server)
    }

    fn make_bucket(&self) -> Result<()> {
        let mut tries = 0;
        let lock = ["-H", "x-amz-bucket-object-lock-enabled: true"];
        while let Err(error) = self.request("PUT", "", "", &lock) {
            tries += 1;
            if tries > 100 {
                return Err(format!("{error}\n{}", self.service.tail()));
            }
            sleep(Duration::from_millis(100));
        }
        self.request("PUT", "?object-lock=", LOCK, &[]).map(drop)
    }

    /// A signed request to the bucket.
    fn request(&self, method: &str, path: &str, body: &str, more: &[&str]) -> Result<String> {
        let digest = Sha256::digest(body.as_bytes());
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // a string takes everything
            hex
        });
        let output = Command::new("curl")
            .args(["-sS", "--fail-with-body"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["--user", &format!("{USER}:{PASSWORD}"), "-X", method])
            .args(["-H", &format!("x-amz-content-sha256: {hex}")])
            .args([
                "-H",
                &format!("x-amz-checksum-sha256: {}", STANDARD.encode(digest)),
            ])
            .args(more)
            .args(["--data-binary", body])
            .arg(format!("{}/{}{path}", self.endpoint(), Self::BUCKET))
            .output()
            .map_err(|error| format!("curl: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment that tells tools for S3 of the credentials.
    pub(crate) fn environment() -> Vec<(String, String)> {
        let variables = [
            ("AWS_ACCESS_KEY_ID", USER),
            ("AWS_SECRET_ACCESS_KEY", PASSWORD),
            ("AWS_REGION", "us-east-1"),
        ];
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The bucket as a folder: what a download of it would be.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("root").join(Self::BUCKET)
    }

    /// Tries to delete the version of an object that is there, as an administrator with all rights would.
    pub(crate) fn delete(&self, file: &Path) -> Result<String> {
        let key = file
            .strip_prefix(self.files())
            .map_err(|error| error.to_string())?;
        // What is signed is the address as it is sent.
        let prefix = key.display().to_string().replace('/', "%2F");
        let listed = self.request("GET", &format!("?prefix={prefix}&versions="), "", &[])?;
        let version = listed
            .split_once("<VersionId>")
            .and_then(|(_, rest)| rest.split_once("</VersionId>"))
            .ok_or_else(|| format!("no version in {listed}"))?;
        self.request(
            "DELETE",
            &format!("/{}?versionId={}", key.display(), version.0),
            "",
            &[],
        )
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.service.signal(signal)
    }
}
