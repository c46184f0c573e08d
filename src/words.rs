//! Words in sentences: counts, and names that come from elsewhere.

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

/// How many of how many, with the verb that follows: `1 of 3 pods runs`, `0 of 1 pod runs`, `2 of 3 pods run`.
pub fn part_of(
    part: impl Display,
    whole: impl Display,
    noun: &str,
    one: &str,
    several: &str,
) -> String {
    let (part, whole) = (part.to_string(), whole.to_string());
    let verb = match whole.as_str() {
        "1" => one,
        _ => either(&part, one, several),
    };
    format!("{part} of {} {verb}", many(whole, noun))
}

/// Whether a character is not to be shown: it moves the cursor, rings, turns the direction of what follows, or isn't seen at
/// all. Names of RBAC objects may hold any of them, and a name must not look like another one, or like a line of ours.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text from elsewhere as it can be shown in one line: what is hidden becomes U+FFFD.
pub fn one_line(text: &str) -> String {
    let shown = |c| if is_hidden(c) { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_a_line_moves_the_cursor_or_hides() {
        let name = "a\n 12 term\r\u{1b}[2K\u{7}\u{9b}\u{202e}b\u{200b}\u{2028}\u{feff}ä 漢";
        let shown = one_line(name);
        assert!(!shown.chars().any(is_hidden), "{shown:?}");
        assert_eq!(shown.chars().count(), name.chars().count());
        assert!(shown.starts_with("a\u{fffd} 12 term") && shown.ends_with("ä 漢"));
    }

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
        for (part, whole, said) in [
            (0, 1, "0 of 1 pod runs"),
            (1, 1, "1 of 1 pod runs"),
            (1, 3, "1 of 3 pods runs"),
            (2, 3, "2 of 3 pods run"),
            (0, 3, "0 of 3 pods run"),
        ] {
            assert_eq!(part_of(part, whole, "pod", "runs", "run"), said);
        }
    }
}
