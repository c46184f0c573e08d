//! The text in which Prometheus metrics are shown.

use std::collections::BTreeMap;

/// One sample of a Prometheus text.
#[derive(Debug)]
pub struct Sample<'a> {
    /// Name of the series.
    pub name: &'a str,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value, as it was written.
    pub value: &'a str,
}

impl<'a> Sample<'a> {
    /// Reads a line whose series `wanted` wants; labels are worth reading only there.
    pub fn parse(line: &'a str, wanted: impl Fn(&str) -> bool) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        if !wanted(name) {
            return None;
        }
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, tail) = rest.split_once("=\"")?;
                let (value, tail) = quoted(tail)?;
                labels.insert(label.trim().to_owned(), value);
                rest = tail.strip_prefix(',').unwrap_or(tail);
            }
            rest = &rest[1..];
        }
        let value = rest.split_whitespace().next()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The value, where it is a number that means something.
    pub fn number(&self) -> Option<f64> {
        let number = self.value.parse::<f64>().ok()?;
        number.is_finite().then_some(number)
    }
}

/// The text up to the closing quote, without escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_lines_do_no_harm() {
        for line in ["", "a", "a{", r#"a{b="c"#, r#"a{b="\"#, "a{}"] {
            assert!(Sample::parse(line, |_| true).is_none(), "{line}");
        }
    }

    #[test]
    fn a_sample_is_read_with_its_escapes() {
        let line = r#"a{b="x\"}\\",c="y",} 3 1700000000"#;
        let sample = Sample::parse(line, |name| name == "a").unwrap();
        assert_eq!(sample.label("b"), Some(r#"x"}\"#));
        assert_eq!((sample.label("c"), sample.number()), (Some("y"), Some(3.0)));
        assert!(Sample::parse(line, |name| name == "b").is_none());
        assert_eq!(Sample::parse("a NaN", |_| true).unwrap().number(), None);
    }
}
