//! A temporary folder that goes away with this process, however it ends.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Result;

/// A fresh temporary folder.
///
/// A shell waits for the end of this process (or for the drop of this value) and then removes the
/// folder: statics aren't dropped, and a killed process can't clean up.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    remover: Child,
}

impl Scratch {
    /// Creates the folder.
    pub(crate) fn create() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("probity-cluster-")
            .tempdir()
            .map_err(|e| format!("temporary folder: {e}"))?;
        // The last writers may still be dying: try again for a moment.
        let script = r#"trap '' HUP INT TERM
cat
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && break; sleep 0.2; done"#;
        let remover = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("sh: {e}"))?;
        Ok(Self {
            path: folder.keep(),
            remover,
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The id of the shell.
    pub(crate) fn pid(&self) -> u32 {
        self.remover.id()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}
