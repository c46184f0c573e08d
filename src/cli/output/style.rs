//! Colours, where people see them.

use std::io::IsTerminal as _;

use crate::verdict::{Outcome, Severity};

/// Whether and how output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Style {
    colours: bool,
    /// Columns of the terminal; `None` where output goes elsewhere and lines are as long as they are.
    pub(in crate::cli) width: Option<usize>,
    /// The same for tables, which may be wider than sentences.
    pub(in crate::cli) columns: Option<usize>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Columns below which lines are not made narrower.
const NARROWEST: usize = 40;
/// Columns beyond which sentences are hard to read.
const WIDEST: usize = 120;

impl Style {
    /// As standard output and the environment want it.
    pub(in crate::cli) fn of_stdout(when: When) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let asked = std::env::var("COLUMNS").ok();
        Self {
            colours: match when {
                When::Always => true,
                When::Never => false,
                When::Auto => terminal && !refused() && !dumb(),
            },
            width: columns(terminal, asked.as_deref()).map(|columns| columns.min(WIDEST)),
            columns: columns(terminal, asked.as_deref()),
        }
    }

    /// Without colours, and as wide as it is.
    #[cfg(test)]
    pub(in crate::cli) const fn plain(width: Option<usize>) -> Self {
        Self {
            colours: false,
            width,
            columns: width,
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A heading.
    pub(in crate::cli) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What matters less.
    pub(in crate::cli) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A line of a diff that is gone.
    pub(in crate::cli) fn removed(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// A line of a diff that is new.
    pub(in crate::cli) fn added(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// A text in the colour of an outcome.
    pub(in crate::cli) fn outcome(self, outcome: Outcome, text: &str) -> String {
        let code = match outcome {
            Outcome::Pass => "32",
            Outcome::Fail => "1;31",
            Outcome::Excepted => "36",
            Outcome::Unknown => "33",
            Outcome::NotApplicable => "2",
        };
        self.paint(code, text)
    }

    /// A text in the colour of a severity.
    pub(in crate::cli) fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Critical => "1;31",
            Severity::High => "31",
            Severity::Medium => "33",
            Severity::Low => "2",
        };
        self.paint(code, text)
    }
}

/// `COLUMNS` where it is set, else those of the terminal.
fn columns(terminal: bool, asked: Option<&str>) -> Option<usize> {
    let asked = asked.and_then(|columns| columns.parse::<usize>().ok());
    let seen = || terminal.then(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()));
    let columns = asked.or_else(|| seen().flatten())?;
    Some(columns.max(NARROWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_no_width_unless_it_is_asked_for() {
        assert_eq!(columns(false, None), None);
        assert_eq!(columns(false, Some("60")), Some(60));
        assert_eq!(columns(false, Some("5")), Some(NARROWEST));
        assert_eq!(columns(false, Some("nonsense")), None);
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Style::plain(None).bold("a"), "a");
        let coloured = Style {
            colours: true,
            ..Style::plain(None)
        };
        assert_eq!(coloured.bold("a"), "\x1b[1ma\x1b[0m");
    }
}
