//! A folder on another file system, which may hang: it is asked on a thread that nobody waits for.

use std::path::PathBuf;
use std::time::Duration;

use super::lane::Lane;
use super::{Head, contradiction};
use crate::evidence::body::Anchored;
use crate::evidence::folder_anchor;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    asked: Lane<Vec<Anchored>>,
    kept: Lane<()>,
}

impl Folder {
    /// The folder of this path.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            asked: Lane::default(),
            kept: Lane::default(),
        }
    }

    /// What it is called.
    pub(super) fn target(&self) -> String {
        format!("folder {}", self.path.display())
    }

    /// The latest head there of each log.
    pub(super) async fn known(&self, within: Duration) -> Result<Vec<Anchored>, String> {
        let path = self.path.clone();
        let ask = move || folder_anchor::known(&path).map_err(|error| error.to_string());
        self.asked.thread(within, ask).await
    }

    /// Keeps a head of the log in `dir`, which must be what is known of it there.
    pub(super) async fn keep(
        &self,
        within: Duration,
        dir: PathBuf,
        head: &Head,
    ) -> Result<(), String> {
        let path = self.path.clone();
        let (published, timestamp) = (head.published.clone(), head.timestamp.clone());
        let keep = move || {
            let known = folder_anchor::known(&path).map_err(|error| error.to_string())?;
            for head in known {
                contradiction(&dir, &head, &published.checkpoint)?;
            }
            folder_anchor::keep(&path, &published, timestamp.as_deref())
                .map_err(|error| error.to_string())
        };
        self.kept.thread(within, keep).await
    }
}
