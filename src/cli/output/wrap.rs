//! Sentences in lines that fit.

/// Breaks a text between words into lines of at most `width` characters, all with `indent`. A word
/// that does not fit stands alone; `None` breaks nothing.
pub(in crate::cli) fn wrap(text: &str, width: Option<usize>, indent: &str) -> String {
    let paragraphs = text.lines();
    paragraphs
        .map(|paragraph| broken(paragraph, width, indent, indent))
        .collect()
}

/// The same for one line that begins with `first`, where what does not fit goes on below with `rest`. A line that fits
/// stays as it is, with all of its spaces.
pub(in crate::cli) fn hanging(text: &str, width: Option<usize>, first: &str, rest: &str) -> String {
    let length = first.chars().count() + text.chars().count();
    if width.is_none_or(|width| length <= width) {
        format!("{first}{text}\n")
    } else {
        broken(text, width, first, rest)
    }
}

/// The same for lines that begin with spaces, and with the dash of a list, as they are: what does not fit goes on two spaces
/// further in.
pub(in crate::cli) fn fit(text: &str, width: Option<usize>) -> String {
    let lines = text.lines();
    let fitted = lines.map(|line| {
        let bare = line.trim_start();
        let rest = format!("{}  ", &line[..line.len() - bare.len()]);
        let said = bare.strip_prefix("- ").unwrap_or(bare);
        hanging(said, width, &line[..line.len() - said.len()], &rest)
    });
    fitted.collect()
}

/// One paragraph in lines, of which the first begins otherwise than the rest.
fn broken(paragraph: &str, width: Option<usize>, first: &str, rest: &str) -> String {
    let width = width.unwrap_or(usize::MAX);
    let (mut text, mut length) = (first.to_owned(), first.chars().count());
    let mut begun = false;
    for word in paragraph.split_whitespace() {
        let letters = word.chars().count();
        if begun && length + 1 + letters > width {
            text.push('\n');
            text.push_str(rest);
            length = rest.chars().count();
            begun = false;
        }
        if begun {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += letters;
        begun = true;
    }
    text.push('\n');
    text
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
    fn what_does_not_fit_goes_on_further_in() {
        let text = "  - one two three\nfour  five\n";
        assert_eq!(fit(text, Some(12)), "  - one two\n    three\nfour  five\n");
        assert_eq!(fit(text, None), text);
        assert_eq!(fit("- long-word one", Some(8)), "- long-word\n  one\n");
        assert_eq!(
            hanging("one two three", Some(9), "# ", "# - "),
            "# one two\n# - three\n"
        );
        assert_eq!(
            hanging("a  b", Some(9), "# ", "# "),
            "# a  b\n",
            "columns stay"
        );
    }

    #[test]
    fn without_a_width_nothing_is_broken() {
        assert_eq!(wrap("one two\nthree", None, "> "), "> one two\n> three\n");
    }
}
