//! When something failed, was not looked at, or was put back, as a picture.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

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
        let (first, last) = (self.column(from), self.column(to));
        self.failing[first] += 1;
        self.failing[last + 1] -= 1;
    }

    /// Nobody looked.
    pub(super) fn gap(&mut self, from: Timestamp, to: Timestamp) {
        let (first, last) = (self.column(from), self.column(to));
        self.gaps[first] += 1;
        self.gaps[last + 1] -= 1;
    }

    /// Something was put back.
    pub(super) fn remedied(&mut self, at: Timestamp) {
        let column = self.column(at);
        self.remedies[column] = true;
    }

    /// Columns in which something is open, of the first `known` ones.
    fn stretches(changes: &[i32], known: usize) -> Vec<Stretch> {
        let mut open = 0;
        let mut found: Vec<Stretch> = Vec::new();
        for (x, change) in changes.iter().take(known).enumerate() {
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
        let known = self.column(until) + 1;
        // A String can always be written.
        let _ = write!(
            svg,
            "<svg class=\"timeline\" viewBox=\"0 0 {COLUMNS} 40\" role=\"img\" preserveAspectRatio=\"none\" \
             aria-label=\"{}\"><rect class=\"observed\" x=\"0\" y=\"8\" width=\"{known}\" height=\"24\"/>",
            escape(title)
        );
        let bars = [
            ("failing", &self.failing, 8, 24),
            ("gap", &self.gaps, 20, 12),
        ];
        for (class, changes, y, height) in bars {
            for Stretch { x, width } in Self::stretches(changes, known) {
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
    fn what_is_still_to_come_is_not_shown_as_observed() {
        let line = Timeline::new(at(0), at(60_000));
        for (until, width) in [(29_999, 300), (60_000, 600)] {
            let observed = format!("class=\"observed\" x=\"0\" y=\"8\" width=\"{width}\"");
            assert!(line.svg("", at(until)).contains(&observed));
        }
    }

    #[test]
    fn what_is_open_is_shown_until_now_and_not_until_the_end() {
        let mut line = Timeline::new(at(0), at(60_000));
        line.failed(at(10_000), at(60_000));
        line.gap(at(20_000), at(60_000));
        let svg = line.svg("", at(29_999));
        assert!(
            svg.contains("class=\"failing\" x=\"100\" y=\"8\" width=\"200\""),
            "{svg}"
        );
        assert!(
            svg.contains("class=\"gap\" x=\"200\" y=\"20\" width=\"100\""),
            "{svg}"
        );
    }
}
