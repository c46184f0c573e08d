//! JSON objects that are nearly all alike: a pack has millions of them. What serde makes of one is kept as text, and what differs
//! is put into it.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// Stands at both ends of the number of a hole. Unicode gives it no meaning, and no mold may hold it.
const MARK: char = '\u{f8ff}';

/// An object with holes.
pub(super) struct Mold {
    /// A text, and the hole that follows it.
    parts: Vec<(String, usize)>,
    end: String,
}

/// What goes into a hole.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    /// A string.
    Text(&'a str),
    /// A string that is what a value looks like.
    Shown(&'a dyn Display),
    /// A number.
    Number(i64),
    /// Anything, as JSON.
    Json(&'a [u8]),
}

/// A hole. The cells that go into an object are counted from zero.
pub(super) fn hole(cell: usize) -> Value {
    json!(format!("{MARK}{cell}{MARK}"))
}

impl Mold {
    /// A mold of an object in which some values are holes.
    pub(super) fn new(object: &Value) -> Self {
        let text = object.to_string();
        let (open, close) = (format!("\"{MARK}"), format!("{MARK}\""));
        let mut parts = Vec::new();
        let mut rest = &*text;
        while let Some((before, hole)) = rest.split_once(&open) {
            let Some((Ok(cell), after)) =
                hole.split_once(&close).map(|(n, rest)| (n.parse(), rest))
            else {
                break;
            };
            parts.push((before.to_owned(), cell));
            rest = after;
        }
        Self {
            parts,
            end: rest.to_owned(),
        }
    }

    /// Appends an object with these cells in its holes.
    ///
    /// # Errors
    /// None that is known: memory takes whatever is written.
    ///
    /// # Panics
    /// If there is no cell for a hole.
    pub(super) fn cast(&self, to: &mut Vec<u8>, cells: &[Cell<'_>]) -> serde_json::Result<()> {
        for (text, cell) in &self.parts {
            to.extend_from_slice(text.as_bytes());
            cells[*cell].put(to)?;
        }
        to.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

impl Cell<'_> {
    fn put(self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Text(text) => serde_json::to_writer(to, text),
            Self::Shown(value) => serde_json::to_writer(to, &Shown(value)),
            Self::Number(number) => serde_json::to_writer(to, &number),
            Self::Json(json) => {
                to.extend_from_slice(json);
                Ok(())
            }
        }
    }
}

/// A string that is made while it is written.
struct Shown<'a>(&'a dyn Display);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cast_is_what_serde_makes_of_it(text: String, shown: String, number: i64, other: Vec<String>) {
            let object = |cells: [Value; 4]| {
                let [text, shown, number, other] = cells;
                json!({ "a \"b\"": text, "list": [number, { "deep": shown }], "z": other, "same": number, "fixed": 7 })
            };
            let mold = Mold::new(&object([hole(0), hole(1), hole(2), hole(3)]));
            let raw = serde_json::to_vec(&other).unwrap();
            let cells = [Cell::Text(&text), Cell::Shown(&shown), Cell::Number(number), Cell::Json(&raw)];
            let mut made = b"before ".to_vec();
            mold.cast(&mut made, &cells).unwrap();
            let expected = object([json!(text), json!(shown), json!(number), json!(other)]);
            prop_assert_eq!(String::from_utf8(made).unwrap(), format!("before {expected}"));
        }
    }
}
