//! What long work tells people who wait for it: one line on a terminal, nothing in a pipe.

use std::io::{IsTerminal as _, Write as _, stderr};

/// A line on standard error that is replaced, and gone at the end.
#[derive(Debug)]
pub(in crate::cli) struct Progress {
    shown: bool,
}

impl Progress {
    /// Shows something only where standard error is a terminal.
    pub(in crate::cli) fn new() -> Self {
        Self {
            shown: stderr().is_terminal(),
        }
    }

    /// Says what is being done.
    pub(in crate::cli) fn say(&self, what: &str) {
        if self.shown {
            // Nobody is hurt by progress that is not seen.
            let _ = write!(stderr(), "\r\x1b[2K{what}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}
