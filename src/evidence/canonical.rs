//! Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a hash of an entry means something.
//!
//! Stricter than the RFC in one point: numbers are integers of at most 2^53−1. The RFC writes all numbers as IEEE
//! doubles, which silently rounds larger integers; in evidence a rounded count would be a wrong count. That is also why
//! this is our own code: the published crates round.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod formatter;

use serde::Serialize;
use serde_json::{Number, Value};

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
    match formatter::write(value) {
        Some(bytes) => Ok(bytes),
        // As a value it can be looked at for what is wrong; and of two fields with one name, the last one counts.
        None => value_to_vec(&serde_json::to_value(value)?),
    }
}

/// The canonical bytes of a value that is JSON already.
pub fn value_to_vec(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    formatter::write(value).ok_or_else(|| {
        let unwritable = || serde::ser::Error::custom("it can't be written");
        problem(value, &mut Vec::new()).unwrap_or_else(|| CanonicalError::Serialize(unwritable()))
    })
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Why a value has no canonical form.
fn problem<'a>(value: &'a Value, path: &mut Vec<Step<'a>>) -> Option<CanonicalError> {
    let too_deep = path.len() >= MAX_DEPTH;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => None,
        Value::Number(number) => integer(number).is_none().then(|| CanonicalError::Number {
            at: pointer(path),
            number: number.to_string(),
        }),
        Value::Array(_) | Value::Object(_) if too_deep => {
            Some(CanonicalError::Depth { at: pointer(path) })
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| inside(Step::Index(index), item, path))
        }
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.find_map(|(key, field)| inside(Step::Key(key), field, path))
        }
    }
}

fn inside<'a>(
    step: Step<'a>,
    value: &'a Value,
    path: &mut Vec<Step<'a>>,
) -> Option<CanonicalError> {
    path.push(step);
    let found = problem(value, path);
    path.pop();
    found
}

fn pointer(path: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in path {
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

/// A number, if it is an integer that every reader holds exactly.
fn integer(number: &Number) -> Option<i64> {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => exact(whole),
        // Above 2^63.
        _ if number.is_u64() => None,
        (None, float) => whole(float?),
    }
}

fn exact(whole: i64) -> Option<i64> {
    (whole.unsigned_abs() <= MAX_INTEGER).then_some(whole)
}

/// The integer that a float is, if it is one: -0 is 0, as the RFC writes it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "2^53-1 is exact, and no whole float up to it is cut"
)]
fn whole(float: f64) -> Option<i64> {
    let whole = float.fract() == 0.0 && float.abs() <= MAX_INTEGER as f64;
    whole.then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    /// The same, written plainly.
    fn plainly(value: &Value) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plainly).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(fields) => {
                let units = |(key, field): (&String, &Value)| {
                    let written = format!("{}:{}", Value::from(&**key), plainly(field));
                    (key.encode_utf16().collect::<Vec<u16>>(), written)
                };
                let fields: BTreeMap<Vec<u16>, String> = fields.iter().map(units).collect();
                let fields: Vec<String> = fields.into_values().collect();
                format!("{{{}}}", fields.join(","))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn entries_are_written_without_a_tree_as_with_one() {
        for body in crate::evidence::samples::bodies() {
            let value = serde_json::to_value(&body).unwrap();
            let written = String::from_utf8(to_vec(&body).unwrap()).unwrap();
            assert_eq!(written, plainly(&value));
            assert!(formatter::write(&body).is_some(), "{written}");
        }
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_one_counts() {
        #[derive(Serialize)]
        struct Twice {
            b: u8,
            a: u8,
            #[serde(flatten)]
            more: BTreeMap<&'static str, u8>,
        }
        let twice = Twice {
            b: 1,
            a: 2,
            more: [("a", 3)].into(),
        };
        assert_eq!(to_vec(&twice).unwrap(), br#"{"a":3,"b":1}"#);
    }

    #[test]
    fn keys_that_begin_alike_are_in_order_also_with_escapes() {
        let value = json!({"a": {"a!": 1, "a": 2, "a\"": 3, "a\n": 4, "": 5}});
        assert_eq!(text(&value), r#"{"a":{"":5,"a":2,"a\n":4,"a!":1,"a\"":3}}"#);
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
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), plainly(&value));
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
