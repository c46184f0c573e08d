//! The folder in which a pack is made, beside the place where it is to be.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use crate::{cli::Failure, report::Folder};

/// Bytes that are written to a file at a time, or read.
const BUFFER: usize = 64 * 1024;

/// So many bytes of a file are made durable while the next ones are written: the disk would have nothing to do until the end,
/// and then all of it.
const PART: usize = 32 << 20;

/// Files that wait for that.
const WAITING: usize = 16;

/// A folder beside the place where the pack is to be. Gone with this value, unless it was moved.
pub(super) struct Aside {
    pub(super) folder: PathBuf,
    settled: bool,
    syncing: Syncing,
}

impl Aside {
    pub(super) fn beside(out: &Path) -> Result<Self, Failure> {
        let problem = |folder: &Path, error: &io::Error| {
            format!("the folder {} can't be made: {error}", folder.display())
        };
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = out
            .file_name()
            .ok_or_else(|| format!("{} is no name for a folder", out.display()))?;
        fs::create_dir_all(parent).map_err(|error| problem(parent, &error))?;
        let folder = parent.join(format!(
            ".{}.unfinished-{}",
            name.display(),
            std::process::id()
        ));
        let syncing = Syncing::start().map_err(|error| problem(&folder, &error))?;
        fs::create_dir(&folder).map_err(|error| problem(&folder, &error))?;
        Ok(Self {
            folder,
            settled: false,
            syncing,
        })
    }

    /// Makes all of it durable, and moves it into place.
    pub(super) fn settle(&mut self, out: &Path) -> Result<(), Failure> {
        let problem = |error: io::Error| {
            format!(
                "the pack can't be moved to {}: {error}. Nothing was left behind",
                out.display()
            )
        };
        self.syncing.end().map_err(problem)?;
        sync(&self.folder).map_err(problem)?;
        fs::rename(&self.folder, out).map_err(problem)?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.settled
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(folder = %self.folder.display(), %error, "An unfinished pack was left behind");
        }
    }
}

/// Makes all files in a folder durable. A pack has tens of thousands, and a sync of each takes as long as all the rest: so
/// it is one of their file system.
#[cfg(target_os = "linux")]
fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// Makes all files in a folder durable.
#[cfg(not(target_os = "linux"))]
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

impl Aside {
    fn begin(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create_new(path)
    }
}

impl Folder for Aside {
    fn create(&self, name: &str) -> io::Result<Box<dyn Write>> {
        let file = Parts {
            file: self.begin(name)?,
            since: 0,
            queue: self.syncing.queue.clone(),
        };
        Ok(Box::new(BufWriter::with_capacity(BUFFER, file)))
    }

    fn spool(&self, name: &str) -> io::Result<Box<dyn Write>> {
        let file = self.begin(name)?;
        Ok(Box::new(BufWriter::with_capacity(BUFFER, file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead>> {
        let file = File::open(self.folder.join(name))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }
}

/// A thread that makes files durable while they are written.
struct Syncing {
    queue: Option<SyncSender<File>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Syncing {
    fn start() -> io::Result<Self> {
        let (queue, files) = sync_channel::<File>(WAITING);
        let thread = thread::Builder::new()
            .name("syncing".to_owned())
            .spawn(move || files.iter().try_for_each(|file| file.sync_data()))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Waits for what is asked for. A failure is told only once, to whoever syncs first: it must not be lost.
    fn end(&mut self) -> io::Result<()> {
        self.queue = None;
        let ended = self.thread.take().map(JoinHandle::join);
        let gone = || Err(io::Error::other("the thread that syncs has panicked"));
        ended.map_or(Ok(()), |ended| ended.unwrap_or_else(|_| gone()))
    }
}

/// A file that is made durable part by part.
struct Parts {
    file: File,
    /// Bytes that nobody has asked for since.
    since: usize,
    queue: Option<SyncSender<File>>,
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written;
        if let Some(queue) = &self.queue
            && self.since >= PART
            && queue.try_send(self.file.try_clone()?).is_ok()
        {
            // Where the disk can't keep up, or has failed, all is left to the end, which also says so.
            self.since = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
