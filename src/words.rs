//! Counts in sentences.

use std::fmt::Display;

/// A count with its noun: `1 subject`, `2 subjects`, `0 entries`.
pub fn many(count: impl Display, one: &str) -> String {
    let count = count.to_string();
    if count == "1" {
        return format!("1 {one}");
    }
    match one.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{count} {stem}ies"),
        _ if one.ends_with(['s', 'x']) || one.ends_with("ch") => format!("{count} {one}es"),
        _ => format!("{count} {one}s"),
    }
}

/// The word that goes with a count: that of one, or that of none and of several.
pub fn either<'a>(count: impl Display, one: &'a str, several: &'a str) -> &'a str {
    if count.to_string() == "1" {
        one
    } else {
        several
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_and_verbs_agree_with_their_count() {
        let said = [0, 1, 2].map(|count| {
            let verb = either(count, "fails", "fail");
            format!("{} {verb}", many(count, "subject"))
        });
        assert_eq!(
            said,
            ["0 subjects fail", "1 subject fails", "2 subjects fail"]
        );
        assert_eq!(many(1_u64, "entry"), "1 entry");
        assert_eq!(many(-1_i64, "entry"), "-1 entries");
        assert_eq!(many(11, "day"), "11 days");
        assert_eq!(many(6, "fix"), "6 fixes");
    }
}
