//! Durations as people write them in policies: `90s`, `15m`, `6h`, `14d`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the API server checks.
const PATTERN: &str = "^[0-9]+[smhd]$";
/// Seven digits and a unit: no sum of two of them leaves the range of a timestamp's difference.
const MAX_LENGTH: usize = 8;

/// A duration, kept as it was written. Equal times may be written differently, and are then
/// different values: what is hashed is what the author wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(String);

impl Period {
    /// The duration.
    pub fn duration(&self) -> Duration {
        // Every way to make one has checked it.
        parse_duration(&self.0).unwrap_or_default()
    }

    /// A whole number of seconds.
    pub fn seconds(n: u32) -> Self {
        Self(format!("{}s", n.min(9_999_999)))
    }

    /// A whole number of minutes.
    pub fn minutes(n: u16) -> Self {
        Self(format!("{n}m"))
    }

    /// A whole number of hours.
    pub fn hours(n: u16) -> Self {
        Self(format!("{n}h"))
    }

    /// A whole number of days.
    pub fn days(n: u16) -> Self {
        Self(format!("{n}d"))
    }
}

/// Reads a duration, such as `6h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write a whole number and s, m, h or d");
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 60 * 60,
        Some(b'd') => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    if text.len() > MAX_LENGTH || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number * unit))
}

impl TryFrom<String> for Period {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(|_| Self(text))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// By hand: the derived schema of a type with `try_from` is that of a plain string.
impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_seconds_minutes_hours_and_days() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("6h", 21_600),
            ("014d", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "6",
            "h",
            "6 h",
            "-6h",
            "+6h",
            "6w",
            "6hé",
            "1h30m",
            "99999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
            assert!(serde_json::from_value::<Period>(text.into()).is_err());
        }
    }
}
