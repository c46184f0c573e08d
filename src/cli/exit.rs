//! Exit codes: one table for all commands.

use std::process::ExitCode;

/// It was done, and of what it judges something is wrong.
const WRONG: u8 = 1;

/// It could not be done, or not all of it: an argument, a file, the cluster or a right was missing.
pub const NOT_DONE: u8 = 2;

/// The table, for people.
pub(super) const HELP: &str = "\
Exit codes:
  0  It was done, and what it judges is as it should be
  1  It was done, and something is not: a scan fails, diff shows a difference, a log is not what it claims to be
  2  It was not done, or not all of it: an argument, a file, the cluster or a right is missing; standard error says which";

/// How a command ended that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// What it judges is as it should be; so it is where it judges nothing.
    Well,
    /// Something is not.
    Wrong,
    /// Not all could be looked at. What could be was printed, and standard error says what is missing.
    Incomplete,
    /// What the program said that `KUBECTL_EXTERNAL_DIFF` names.
    Theirs(u8),
}

impl Ending {
    /// Whether what was judged is as it should be.
    pub(super) const fn of(well: bool) -> Self {
        if well { Self::Well } else { Self::Wrong }
    }

    /// What the caller is told.
    pub(super) fn code(self) -> ExitCode {
        match self {
            Self::Well => ExitCode::SUCCESS,
            Self::Wrong => ExitCode::from(WRONG),
            Self::Incomplete => ExitCode::from(NOT_DONE),
            Self::Theirs(code) => ExitCode::from(code),
        }
    }
}
