//! CSV that spreadsheets can open without running what somebody named an object.

use std::fmt::{Display, Write as _};

use super::pack::{Pack, PackFile, ReportError, Spool};

/// A table in the making.
pub(super) struct Table {
    file: PackFile,
    /// The row in the making.
    line: String,
    /// The cell in the making.
    shown: String,
}

/// A row in the making.
pub(super) struct Row<'a> {
    line: &'a mut String,
    shown: &'a mut String,
}

impl Row<'_> {
    /// A cell.
    pub(super) fn text(&mut self, text: &str) {
        put(self.line, text);
    }

    /// A cell with what a value looks like.
    pub(super) fn shown(&mut self, value: impl Display) {
        self.shown.clear();
        let _ = write!(self.shown, "{value}"); // writing to a String can't fail
        put(self.line, self.shown);
    }

    /// The same of one that may not be there.
    pub(super) fn shown_if(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.shown(value),
            None => self.text(""),
        }
    }
}

fn put(line: &mut String, text: &str) {
    if is_plain(text) {
        line.push_str(text);
    } else {
        line.push_str(&cell(text));
    }
    line.push(',');
}

impl Table {
    /// A new file, with its header.
    pub(super) fn new(pack: &Pack<'_>, name: &str, header: &[&str]) -> Result<Self, ReportError> {
        let mut table = Self {
            file: pack.file(name)?,
            line: String::new(),
            shown: String::new(),
        };
        table.row(header)?;
        Ok(table)
    }

    /// One row.
    pub(super) fn row(&mut self, cells: &[impl AsRef<str>]) -> Result<(), ReportError> {
        self.cells(|row| cells.iter().for_each(|text| row.text(text.as_ref())))
    }

    /// One row, whose cells are written one after the other.
    pub(super) fn cells(&mut self, write: impl FnOnce(&mut Row<'_>)) -> Result<(), ReportError> {
        self.line.clear();
        write(&mut Row {
            line: &mut self.line,
            shown: &mut self.shown,
        });
        // Each cell has put its comma.
        self.line.pop();
        self.line.push_str("\r\n");
        self.file.put(self.line.as_bytes())
    }

    /// The file as one that is not to stay.
    pub(super) fn into_spool(self) -> Spool {
        self.file.into_spool()
    }

    /// Ends the file.
    pub(super) fn close(self, pack: &Pack<'_>) -> Result<(), ReportError> {
        pack.keep(self.file)
    }
}

/// Whether a text is its own cell: nearly all are.
fn is_plain(text: &str) -> bool {
    let harmless = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/' | b':' | b'_' | b' ')
    };
    let mut bytes = text.as_bytes().iter();
    bytes.next().is_none_or(u8::is_ascii_alphanumeric) && bytes.all(harmless)
}

/// A text as a cell: quoted where it must be, and with an apostrophe before what a spreadsheet would take for a formula.
pub(super) fn cell(text: &str) -> String {
    let first = text.trim_start().chars().next();
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
    ) || text.starts_with(['\t', '\r', '\n']);
    // Other control characters, and those that turn the direction of what follows, are for nobody to read.
    let clean: String = text
        .chars()
        .map(|c| if hidden(c) { '\u{fffd}' } else { c })
        .collect();
    let safe = if formula { format!("'{clean}") } else { clean };
    if safe.contains([',', '"', '\r', '\n', '\'']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

fn hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("  @SUM(A1)"), "\"'  @SUM(A1)\"");
        assert_eq!(cell("\t=x"), "\"'\t=x\"");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(cell("enc-ingress-tls"), "enc-ingress-tls");
        assert_eq!(cell("\u{202e}gpj.exe"), "\u{fffd}gpj.exe");
    }

    proptest! {
        #[test]
        fn what_is_plain_is_its_own_cell(text in "[a-z0-9=+@, .:/'-]{0,6}") {
            prop_assert!(!is_plain(&text) || cell(&text) == text, "{:?}", text);
        }

        #[test]
        fn a_reader_gets_back_what_was_written_and_never_a_formula(text in ".{0,20}") {
            let written = cell(&text);
            let read = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let read = read.map_or_else(|| written.clone(), |inner| inner.replace("\"\"", "\""));
            prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']), "{:?}", read);
            if !text.chars().any(hidden) {
                prop_assert_eq!(read.strip_prefix('\'').filter(|rest| *rest == text).unwrap_or(&read), &text);
            }
        }
    }
}
