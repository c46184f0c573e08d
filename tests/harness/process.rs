//! Child processes that never outlive us.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::Result;

/// How many lines of a log go into an error message.
const TAIL_LINES: usize = 25;

/// A signal that a fault needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stops the process until [`Signal::Continue`]; its connections stay open.
    Stop,
    /// Lets a stopped process go on.
    Continue,
    /// Asks the process to end.
    Terminate,
    /// Ends the process at once.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// A running program that writes to a log file. It is killed on drop, and the kernel kills it
/// when this process ends.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; its output goes to the end of `log`.
    pub(crate) fn spawn(name: &str, program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{name}: {e}"))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C in a terminal reaches us alone; we end the others in order.
            .process_group(0);
        let child = spawn_from_lasting_thread(command)
            .map_err(|e| format!("{name}: setpriv (of util-linux): {e}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// What the process is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. The process is still ours to wait for, so its id can't be another's.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "sh", signal.name()])
            .arg(self.pid().to_string())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("kill {}: {e}", self.name))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} is not running", self.name))
        }
    }

    /// Kills the process and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How the process ended, if it did.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// An error with the end of the log when the process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(format!("{} ended ({status})\n{}", self.name, self.tail())),
        }
    }

    /// The last lines of the log, under a heading.
    pub(crate) fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("--- end of the log of {}\n{}", self.name, tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// Spawns from a thread that lives as long as this process: the kernel sends the parent-death
/// signal when the spawning thread ends, and test threads end early.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in jobs {
                // Nobody waits for the reply only when the asking thread is gone.
                if let Err(unwanted) = reply.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        sender
    });
    let (reply, answer) = channel();
    spawner
        .send((command, reply))
        .map_err(|_| "the spawning thread is gone".to_owned())?;
    answer
        .recv()
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
}

/// Runs a short-lived program to its end, with `stdin` as its input.
pub(super) fn output_of(command: &mut Command, stdin: Option<&str>) -> std::io::Result<Output> {
    command
        .stdin(stdin.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pipe = child.stdin.take();
    thread::scope(|scope| {
        // Written beside the reading, so that neither side waits for the other.
        if let (Some(mut pipe), Some(input)) = (pipe, stdin) {
            // A program may end without reading its input.
            scope.spawn(move || drop(pipe.write_all(input.as_bytes())));
        }
        child.wait_with_output()
    })
}
