//! Writes the entries of days that are over as Parquet: on a thread, once an hour, so that nothing waits for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::{
    cluster::anchors::bucket::Bucket,
    evidence::{LogError, epochs, index},
};

const HOURLY: Duration = Duration::from_hours(1);
/// For the first time after a start.
const FIRST: Duration = Duration::from_secs(5);

/// Where rows come from and go to.
#[derive(Debug, Clone, Default)]
pub struct Indexing {
    /// The data folder; none if no rows are wanted.
    pub data: Option<PathBuf>,
    /// The bucket to which files go too.
    pub bucket: Option<Arc<Bucket>>,
}

/// When rows are written.
#[derive(Debug, Default)]
pub(super) struct Index {
    what: Indexing,
    under_way: bool,
    last: Option<Duration>,
}

impl Index {
    pub(super) fn new(what: Indexing) -> Self {
        Self {
            what,
            ..Self::default()
        }
    }

    /// Writes what is missing, if that is due.
    pub(super) fn turn(&mut self, sender: &Sender<Input>, now: Duration) {
        let due = self.last.map_or(FIRST, |last| last + HOURLY);
        let Some(data) = self
            .what
            .data
            .clone()
            .filter(|_| now >= due && !self.under_way)
        else {
            return;
        };
        (self.last, self.under_way) = (Some(now), true);
        let (bucket, sender) = (self.what.bucket.clone(), sender.clone());
        tokio::spawn(async move {
            let done = bring_up(data, bucket.as_deref()).await;
            // The operator may be stopping.
            let _ = sender.send(Input::Indexed(done)).await;
        });
    }

    /// What became of it.
    pub(super) fn done(&mut self, result: Result<usize, String>) {
        self.under_way = false;
        match result {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "Rows of days that are over were written"),
            Err(problem) => tracing::warn!(
                problem,
                "Rows could not be written; the log has all that they say"
            ),
        }
    }
}

async fn bring_up(data: PathBuf, bucket: Option<&Bucket>) -> Result<usize, String> {
    let folder = data.join(index::FOLDER);
    let write = {
        let folder = folder.clone();
        move || write(&data, &folder)
    };
    let written = tokio::task::spawn_blocking(write).await;
    let (written, failed) = written
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    if let Some(bucket) = bucket {
        bucket.keep_index(&folder).await?;
    }
    failed.map_or(Ok(written), |error| Err(error.to_string()))
}

/// Tells how many files were written, and the first failure: an earlier log that is damaged stays so,
/// and must not keep the later ones from being indexed.
fn write(data: &Path, folder: &Path) -> Result<(usize, Option<LogError>), LogError> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (mut written, mut failed) = (0, None);
    for log in epochs::list(data)? {
        match index::bring_up(&log, folder, today) {
            Ok(files) => written += files.len(),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Ok((written, failed))
}
