//! Ratios as people write them in policies: `0.01`, `1.5`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the API server checks.
const PATTERN: &str = r"^[0-9]{1,2}(\.[0-9]{1,4})?$";
/// Two digits, a point and four more.
const MAX_LENGTH: usize = 7;

/// A ratio from 0 to 99.9999, kept as it was written. It is a string, as the conventions of the
/// Kubernetes API ask of whatever is no whole number: clients don't agree on the last digit of a
/// float, and what is hashed must be the same for all. In files a number is taken as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Ratio(String);

/// One, in the unit that [`Ratio::parts`] counts in.
pub const ONE: u32 = 10_000;

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(f64),
}

impl Ratio {
    /// The ratio in ten-thousandths.
    pub fn parts(&self) -> u32 {
        // Every way to make one has checked it.
        parse(&self.0).unwrap_or_default()
    }

    /// A number of hundredths; at most 99.99.
    pub fn hundredths(n: u16) -> Self {
        let n = n.min(9_999);
        let text = format!("{}.{:02}", n / 100, n % 100);
        Self(text.trim_end_matches('0').trim_end_matches('.').to_owned())
    }
}

/// Reads a ratio, in ten-thousandths.
fn parse(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no ratio: write it as \"0.01\" or \"1.5\"");
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole, 2) || !digits(rest, 4) {
        return Err(wrong());
    }
    format!("{whole}{rest:0<4}").parse().map_err(|_| wrong())
}

impl TryFrom<Written> for Ratio {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        };
        parse(&text).map(|_| Self(text))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// By hand: the derived schema of a type with `try_from` is that of a plain string.
impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parts(value: Value) -> Option<u32> {
        let ratio: Ratio = serde_json::from_value(value).ok()?;
        Some(ratio.parts())
    }

    #[test]
    fn text_and_numbers_are_taken() {
        for (value, expected) in [
            (json!("0.01"), 100),
            (json!("1.5"), 15_000),
            (json!("1"), ONE),
            (json!("0.0001"), 1),
            (json!(0.01), 100),
            (json!(1.5), 15_000),
            (json!(0), 0),
            (json!("99.9999"), 999_999),
        ] {
            assert_eq!(parts(value.clone()), Some(expected), "{value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e1", "100", "0.00001", "1 ", "1,5", "１",
        ] {
            assert_eq!(parts(json!(text)), None, "{text}");
        }
        for number in [-0.5, 100.0, 0.000_01, f64::MAX] {
            assert_eq!(parts(json!(number)), None, "{number}");
        }
    }

    #[test]
    fn it_is_written_back_as_it_was_and_made_without_needless_noughts() {
        let ratio: Ratio = serde_json::from_value(json!("0.10")).unwrap();
        assert_eq!(serde_json::to_value(&ratio).unwrap(), json!("0.10"));
        let made = [1, 10, 100, 150].map(|n| Ratio::hundredths(n).to_string());
        assert_eq!(made, ["0.01", "0.1", "1", "1.5"]);
    }
}
