//! Values of the wire that many kinds hold.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    intern::{Interner, Sym},
    meta::Str,
};

/// A time; `None` where it is absent or can't be read.
pub fn time(text: Option<&Str<'_>>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// A list of shared strings.
pub fn syms(list: Option<Vec<Str<'_>>>, interner: &mut Interner) -> Box<[Sym]> {
    let list = list.unwrap_or_default();
    list.iter().map(|text| interner.string(text)).collect()
}

/// A shared string; an empty one counts as absent.
pub fn sym(text: Option<&Str<'_>>, interner: &mut Interner) -> Option<Sym> {
    text.filter(|text| !text.is_empty())
        .map(|text| interner.string(text))
}

/// A reference by name, or by namespace and name.
#[derive(Debug, Default, Deserialize)]
pub struct WireRef<'a> {
    /// Kind.
    #[serde(borrow)]
    pub kind: Option<Str<'a>>,
    /// Namespace.
    #[serde(borrow)]
    pub namespace: Option<Str<'a>>,
    /// Name.
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
}

/// A condition of a status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireCondition<'a> {
    /// What it is about.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    /// `True`, `False` or `Unknown`.
    #[serde(borrow)]
    pub status: Option<Str<'a>>,
    /// Why.
    #[serde(borrow)]
    pub reason: Option<Str<'a>>,
    /// Since when.
    #[serde(borrow)]
    pub last_transition_time: Option<Str<'a>>,
}

/// Whether a condition holds; `None` where it is absent or unknown.
pub fn condition(conditions: Option<&[WireCondition<'_>]>, kind: &str) -> Option<bool> {
    let mut conditions = conditions.unwrap_or_default().iter();
    let condition = conditions.find(|condition| condition.kind.as_deref() == Some(kind))?;
    match condition.status.as_deref()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// A truth value as Go's `strconv.ParseBool` reads it; `None` where it refuses it.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it, such as `720h0m0s`.
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while rest != "0" && !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    // Go's durations end at 292 years.
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|period| i64::try_from(period.as_nanos()).is_ok())
}

/// A quantity of bytes as Kubernetes writes it, such as `10Gi`; whole bytes, rounded up.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: f64 = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        _ => 10_f64.powi(unit.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let bytes = (number.parse::<f64>().ok()? * factor).ceil();
    // Beyond 2^64 the cast saturates, which no volume reaches.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits only: not negative; saturates"
    )]
    Some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, seconds) in [
            ("720h0m0s", Some(2_592_000.0)),
            ("1h30m", Some(5400.0)),
            ("1.5h", Some(5400.0)),
            ("0", Some(0.0)),
            ("0s", Some(0.0)),
            ("100ms", Some(0.1)),
            ("", None),
            ("30d", None),
            ("h", None),
            ("30", None),
            ("-1h", None),
            ("99999999999h", None),
        ] {
            let wanted = seconds.map(Duration::from_secs_f64);
            assert_eq!(go_duration(text), wanted, "{text}");
        }
    }

    #[test]
    fn quantities_are_bytes() {
        for (text, wanted) in [
            ("10Gi", Some(10 << 30)),
            ("1.5Ki", Some(1536)),
            ("5G", Some(5_000_000_000)),
            ("1e3", Some(1000)),
            ("1500m", Some(2)),
            ("7", Some(7)),
            ("x", None),
            ("5X", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }
}
