//! What commands print, and how: pipes that close, widths, colours, progress.

pub(super) mod age;
pub(super) mod fix;
pub(super) mod progress;
pub(super) mod style;
pub(super) mod wrap;

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write},
    sync::OnceLock,
};

use super::Failure;

/// Why standard output could not be written, other than that nobody reads it.
static BROKEN: OnceLock<String> = OnceLock::new();

/// Writes to standard output. Whoever reads a pipe may have seen enough: then the rest is dropped,
/// and the command ends as it would have. Other problems are told by [`finish`].
///
/// The commands' `println!` comes here: the one of the standard library panics when a pipe closes.
pub(super) fn write(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_fmt(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        BROKEN.get_or_init(|| error.to_string());
    }
}

/// Says something beside what a command prints, where a pipe does not take it for a part of it.
#[allow(
    clippy::print_stderr,
    reason = "standard output holds what was asked for alone"
)]
pub(super) fn tell(text: &str) {
    eprintln!("probity: {text}");
}

/// What went wrong with standard output, at the end of a command.
pub(super) fn finish() -> Result<(), Failure> {
    match std::io::stdout().flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            BROKEN.get_or_init(|| error.to_string());
        }
        _ => {}
    }
    match BROKEN.get() {
        Some(problem) => Err(format!("standard output can't be written: {problem}")),
        None => Ok(()),
    }
}
