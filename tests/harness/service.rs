//! A program of the control plane that can be broken and started again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Result;
use super::process::{Process, Signal};

/// A process, and what it takes to start it anew.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    process: Mutex<Process>,
}

impl Service {
    /// Starts `program`; its log is `NAME.log` in `folder`.
    pub(crate) fn start(
        name: &str,
        program: PathBuf,
        args: Vec<String>,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let process = Process::spawn(name, &program, &args, &log)?;
        Ok(Self {
            name: name.to_owned(),
            program,
            args,
            log,
            process: Mutex::new(process),
        })
    }

    /// Kills the process if it still runs, and starts it with the same arguments.
    pub(crate) fn restart(&self) -> Result<()> {
        let mut process = self.process();
        process.kill();
        *process = Process::spawn(&self.name, &self.program, &self.args, &self.log)?;
        Ok(())
    }

    /// Kills the process and waits until it is gone.
    pub(crate) fn kill(&self) {
        self.process().kill();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.process().signal(signal)
    }

    /// An error with the end of the log when the process has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.process().check()
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        self.process().tail()
    }

    /// The id of the process; another one after each restart.
    pub(crate) fn pid(&self) -> u32 {
        self.process().pid()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        // A panic while the lock was held leaves a process that can still be killed.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
