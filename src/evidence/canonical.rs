//! Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a hash of an entry means something.
//!
//! Stricter than the RFC in one point: numbers are integers of at most 2^53−1. The RFC writes all numbers as IEEE
//! doubles, which silently rounds larger integers; in evidence a rounded count would be a wrong count. That is also why
//! this is our own code: the published crates round.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::Serialize;
use serde_json::{Map, Number, Value};

/// The largest integer that every JSON reader holds exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Deeper values can't be read back: `serde_json` stops at 128, and an entry wraps values a few levels deep.
pub const MAX_DEPTH: usize = 96;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// A number that isn't an integer of at most 2^53−1.
    #[error(
        "the number {number} at {at} is not an integer between -(2^53-1) and 2^53-1: write it as a string"
    )]
    Number {
        /// JSON pointer to the number; the root is `/`.
        at: String,
        /// The number as it was given.
        number: String,
    },
    /// A value that is nested too deeply to be read back.
    #[error("the value at {at} is nested deeper than {MAX_DEPTH} levels")]
    Depth {
        /// JSON pointer to the value.
        at: String,
    },
    /// A value that isn't JSON at all, such as a map with keys that aren't strings.
    #[error("the value can't be written as JSON: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// The canonical bytes of a value.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    value_to_vec(&serde_json::to_value(value)?)
}

/// The canonical bytes of a value that is JSON already.
pub fn value_to_vec(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut writer = Writer {
        out: Vec::with_capacity(256),
        path: Vec::new(),
    };
    writer.value(value)?;
    Ok(writer.out)
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

struct Writer<'a> {
    out: Vec<u8>,
    path: Vec<Step<'a>>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, value: &'a Value) -> Result<(), CanonicalError> {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => {
                let text = integer(number).ok_or_else(|| CanonicalError::Number {
                    at: self.pointer(),
                    number: number.to_string(),
                })?;
                self.out.extend_from_slice(text.as_bytes());
            }
            Value::String(text) => self.string(text)?,
            Value::Array(items) => self.array(items)?,
            Value::Object(fields) => self.object(fields)?,
        }
        Ok(())
    }

    fn array(&mut self, items: &'a [Value]) -> Result<(), CanonicalError> {
        self.check_depth()?;
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(index));
            self.value(item)?;
            self.path.pop();
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, fields: &'a Map<String, Value>) -> Result<(), CanonicalError> {
        self.check_depth()?;
        let mut fields: Vec<(&'a String, &'a Value)> = fields.iter().collect();
        // By UTF-16 code units, as the RFC says: a surrogate pair sorts before U+E000, unlike in UTF-8.
        fields.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        self.out.push(b'{');
        for (index, (key, value)) in fields.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.string(key)?;
            self.out.push(b':');
            self.path.push(Step::Key(key));
            self.value(value)?;
            self.path.pop();
        }
        self.out.push(b'}');
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), CanonicalError> {
        // serde_json escapes exactly as RFC 8785 section 3.2.2.2 demands; a test below holds it to that.
        Ok(serde_json::to_writer(&mut self.out, text)?)
    }

    fn check_depth(&self) -> Result<(), CanonicalError> {
        if self.path.len() < MAX_DEPTH {
            Ok(())
        } else {
            Err(CanonicalError::Depth { at: self.pointer() })
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        if pointer.is_empty() {
            "/".to_owned()
        } else {
            pointer
        }
    }
}

/// The digits of a number, if it is an integer that every reader holds exactly.
fn integer(number: &Number) -> Option<String> {
    if let Some(value) = number.as_i64() {
        return (value.unsigned_abs() <= MAX_INTEGER).then(|| value.to_string());
    }
    if number.is_u64() {
        return None; // as_i64 failed, so it is above 2^63
    }
    let value = number.as_f64()?;
    // Display of a whole double below 2^53 is exact; adding zero turns -0 into 0, as the RFC writes it.
    #[allow(clippy::cast_precision_loss, reason = "2^53-1 is exact")]
    let whole = value.fract() == 0.0 && value.abs() <= MAX_INTEGER as f64;
    whole.then(|| format!("{}", value + 0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(value_to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn keys_sort_by_utf16_code_units() {
        // The example of RFC 8785 section 3.2.3.
        let value = json!({"\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis"});
        let written: Value = serde_json::from_str(&text(&value)).unwrap();
        assert_eq!(written, value);
        let positions: Vec<usize> = [
            "\\r",
            "1",
            "\u{80}",
            "\u{f6}",
            "\u{20ac}",
            "\u{1f600}",
            "\u{fb33}",
        ]
        .iter()
        .map(|key| text(&value).find(&format!("\"{key}\":")).unwrap())
        .collect();
        assert!(positions.is_sorted(), "{positions:?}");
    }

    #[test]
    fn strings_are_escaped_as_the_rfc_says() {
        let value =
            json!("\u{20ac}$\u{f}\nA'\u{42}\u{22}\u{5c}\\\"/\u{8}\u{9}\u{c}\r\u{1f}\u{7f}\u{0}");
        assert_eq!(
            text(&value),
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\b\\t\\f\\r\\u001f\u{7f}\\u0000\""
        );
    }

    #[test]
    fn only_integers_that_every_reader_holds_are_numbers() {
        for (given, written) in [
            (json!(0), "0"),
            (json!(-0.0), "0"),
            (json!(2.0), "2"),
            (json!(1e15), "1000000000000000"),
            (json!(MAX_INTEGER), "9007199254740991"),
            (json!(-9_007_199_254_740_991_i64), "-9007199254740991"),
        ] {
            assert_eq!(text(&given), written);
        }
        for given in [
            json!(1.5),
            json!(MAX_INTEGER + 1),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300),
            json!(-1e-7),
        ] {
            assert!(
                matches!(value_to_vec(&given), Err(CanonicalError::Number { .. })),
                "{given}"
            );
        }
    }

    #[test]
    fn an_error_says_where() {
        let error = value_to_vec(&json!({"a": [1, {"b/c": 0.5}]})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number 0.5 at /a/1/b~1c is not an integer between -(2^53-1) and 2^53-1: write it as a string"
        );
    }

    #[test]
    fn what_can_be_written_can_be_read_back() {
        let nest = |depth| (0..depth).fold(json!(1), |value, _| json!([value]));
        let deepest = nest(MAX_DEPTH);
        assert_eq!(
            serde_json::from_slice::<Value>(&value_to_vec(&deepest).unwrap()).unwrap(),
            deepest
        );
        assert!(matches!(
            value_to_vec(&nest(MAX_DEPTH + 1)),
            Err(CanonicalError::Depth { .. })
        ));
    }

    #[allow(clippy::cast_possible_wrap, reason = "2^53-1 fits")]
    fn json_value() -> impl Strategy<Value = Value> {
        let max = MAX_INTEGER as i64;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-max..=max).prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn round_trip_and_idempotence(value in json_value()) {
            let bytes = value_to_vec(&value).unwrap();
            let read: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(value_to_vec(&read).unwrap(), bytes.clone());
            prop_assert!(!bytes.contains(&0), "the frames rely on entries without NUL");
        }

        #[test]
        fn the_order_of_keys_does_not_matter(fields in prop::collection::btree_map(any::<String>(), any::<u32>(), 0..12)) {
            // Written by hand, so that the order of the text really differs.
            let write = |fields: Vec<(&String, &u32)>| {
                let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{}: {v}", serde_json::to_string(k).unwrap())).collect();
                format!("{{ {} }}", fields.join(" , "))
            };
            let forwards: Value = serde_json::from_str(&write(fields.iter().collect())).unwrap();
            let backwards: Value = serde_json::from_str(&write(fields.iter().rev().collect())).unwrap();
            prop_assert_eq!(value_to_vec(&forwards).unwrap(), value_to_vec(&backwards).unwrap());
        }
    }
}
