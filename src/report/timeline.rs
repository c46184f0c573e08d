//! When something failed, was not looked at, or was put back, as a picture.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::period::SpanKind;

/// How many columns a picture has.
const COLUMNS: usize = 600;

/// The period in columns: what happened in each.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    from: i64,
    to: i64,
    /// How many more deviations are open from a column on.
    failing: Vec<i32>,
    /// Columns of which some part was not observed.
    gaps: Vec<i32>,
    /// The same of failures that were accepted, and of subjects of which nobody could tell.
    excepted: Vec<i32>,
    unknown: Vec<i32>,
    remedies: Vec<bool>,
}

/// Columns that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Stretch {
    pub(super) x: usize,
    pub(super) width: usize,
}

impl Timeline {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from: from.as_second(),
            to: to.as_second(),
            failing: vec![0; COLUMNS + 1],
            gaps: vec![0; COLUMNS + 1],
            excepted: vec![0; COLUMNS + 1],
            unknown: vec![0; COLUMNS + 1],
            remedies: vec![false; COLUMNS],
        }
    }

    fn column(&self, at: Timestamp) -> usize {
        let length = (self.to - self.from).max(1);
        let into = (at.as_second() - self.from).clamp(0, length - 1);
        usize::try_from(into * 600 / length)
            .unwrap_or_default()
            .min(COLUMNS - 1)
    }

    /// Something failed.
    pub(super) fn failed(&mut self, from: Timestamp, to: Timestamp) {
        let columns = self.columns(from, to);
        mark(&mut self.failing, columns);
    }

    /// Nobody looked.
    pub(super) fn gap(&mut self, from: Timestamp, to: Timestamp) {
        let columns = self.columns(from, to);
        mark(&mut self.gaps, columns);
    }

    /// A failure was accepted, or nobody could tell.
    pub(super) fn span(&mut self, kind: SpanKind, from: Timestamp, to: Timestamp) {
        let columns = self.columns(from, to);
        mark(
            match kind {
                SpanKind::Excepted => &mut self.excepted,
                SpanKind::Unknown => &mut self.unknown,
            },
            columns,
        );
    }

    fn columns(&self, from: Timestamp, to: Timestamp) -> (usize, usize) {
        (self.column(from), self.column(to))
    }

    /// Something was put back.
    pub(super) fn remedied(&mut self, at: Timestamp) {
        let column = self.column(at);
        self.remedies[column] = true;
    }

    /// Columns before `end` in which something lasts.
    fn stretches(changes: &[i32], end: usize) -> Vec<Stretch> {
        let mut open = 0;
        let mut found: Vec<Stretch> = Vec::new();
        for (x, change) in changes.iter().take(end).enumerate() {
            open += change;
            if open == 0 {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.x + last.width == x => last.width += 1,
                _ => found.push(Stretch { x, width: 1 }),
            }
        }
        found
    }

    /// The picture: an SVG without scripts, styled by the page. After `until` nothing is known yet.
    pub(super) fn svg(&self, title: &str, until: Timestamp) -> String {
        let mut svg = String::new();
        let end = self.column(until) + 1;
        // A String can always be written.
        let _ = write!(
            svg,
            "<svg class=\"timeline\" viewBox=\"0 0 {COLUMNS} 40\" role=\"img\" preserveAspectRatio=\"none\" \
             aria-label=\"{}\"><rect class=\"observed\" x=\"0\" y=\"8\" width=\"{}\" height=\"24\"/>",
            escape(title),
            end
        );
        let bars = [
            // What was not observed is not known to have held: nothing of it may look as if it had.
            ("gap", &self.gaps, 8, 24),
            ("excepted", &self.excepted, 8, 12),
            ("unknown", &self.unknown, 8, 24),
            ("failing", &self.failing, 8, 24),
            // Of what fails meanwhile, the lower half says that nobody looked.
            ("gap", &self.gaps, 20, 12),
        ];
        for (class, changes, y, height) in bars {
            for Stretch { x, width } in Self::stretches(changes, end) {
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
                );
            }
        }
        for (x, _) in self
            .remedies
            .iter()
            .enumerate()
            .filter(|(_, remedied)| **remedied)
        {
            let _ = write!(
                svg,
                "<rect class=\"remedy\" x=\"{x}\" y=\"0\" width=\"2\" height=\"6\"/>"
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

/// Something lasts from the first column to the last one, both included.
fn mark(changes: &mut [i32], (first, last): (usize, usize)) {
    changes[first] += 1;
    changes[last + 1] -= 1;
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_touches_is_one_bar_and_what_is_short_is_still_seen() {
        let mut line = Timeline::new(at(0), at(60_000));
        line.failed(at(0), at(99));
        line.failed(at(100), at(250));
        line.failed(at(30_000), at(30_001));
        line.failed(at(59_000), at(90_000));
        let bars = Timeline::stretches(&line.failing, COLUMNS);
        let told: Vec<_> = bars.iter().map(|bar| (bar.x, bar.width)).collect();
        assert_eq!(told, [(0, 3), (300, 1), (590, 10)]);
        let svg = line.svg("a <b>", at(60_000));
        assert!(svg.contains("aria-label=\"a &lt;b&gt;\"") && !svg.contains("script"));
    }

    #[test]
    fn what_lasts_is_shown_until_now_and_no_further() {
        let mut line = Timeline::new(at(0), at(60_000));
        line.failed(at(10_000), at(60_000));
        line.span(SpanKind::Excepted, at(0), at(9_999));
        line.span(SpanKind::Unknown, at(5_000), at(60_000));
        line.gap(at(20_000), at(60_000));
        let svg = line.svg("", at(29_999));
        for (class, x, y, width) in [
            ("failing", 100, 8, 200),
            ("excepted", 0, 8, 100),
            ("unknown", 50, 8, 250),
            ("gap", 200, 20, 100),
        ] {
            let bar = format!("class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\"");
            assert!(svg.contains(&bar), "{bar}: {svg}");
        }
        let whole = "class=\"gap\" x=\"200\" y=\"8\" width=\"100\" height=\"24\"";
        assert!(
            svg.contains(whole),
            "nothing of what nobody looked at is green: {svg}"
        );
    }

    #[test]
    fn what_is_still_to_come_is_not_shown_as_observed() {
        let line = Timeline::new(at(0), at(60_000));
        for (until, width) in [(29_999, 300), (60_000, 600)] {
            let observed = format!("class=\"observed\" x=\"0\" y=\"8\" width=\"{width}\"");
            assert!(line.svg("", at(until)).contains(&observed));
        }
    }
}
