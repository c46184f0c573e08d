//! Sentences in lines that fit.

/// Breaks a text between words into lines of at most `width` characters, all with `indent`. A word
/// that does not fit stands alone; `None` breaks nothing.
pub(in crate::cli) fn wrap(text: &str, width: Option<usize>, indent: &str) -> String {
    let room = width.map_or(usize::MAX, |width| {
        width.saturating_sub(indent.len()).max(1)
    });
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split_whitespace() {
            let letters = word.chars().count();
            if length > 0 && length + 1 + letters > room {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += letters;
        }
        lines.push(line);
    }
    let lines = lines.iter().map(|line| format!("{indent}{line}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_line_is_longer_than_its_room_and_no_word_is_lost(
            words in prop::collection::vec("[a-zäö]{1,12}", 0..30),
            width in 14..60_usize,
        ) {
            let text = words.join(" ");
            let wrapped = wrap(&text, Some(width), "  ");
            prop_assert!(wrapped.lines().all(|line| line.chars().count() <= width));
            let found: Vec<&str> = wrapped.split_whitespace().collect();
            prop_assert_eq!(found, words);
        }
    }

    #[test]
    fn without_a_width_nothing_is_broken() {
        assert_eq!(wrap("one two\nthree", None, "> "), "> one two\n> three\n");
    }
}
