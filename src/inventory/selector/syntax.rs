//! What labels may look like, by the rules of the API server.

/// Refuses what can be the key of no label.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let why = if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        "before its / stands a DNS name, in lower case and of at most 253 characters"
    } else if !is_name(name) {
        "its name is 1 to 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit"
    } else {
        return Ok(());
    };
    Err(format!("{key:?} is no key of a label: {why}"))
}

/// Refuses what can be the value of no label.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is no value of a label: it is empty, or at most 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit"
    ))
}

/// Whether it may be a name in a key, or a value.
fn is_name(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    is_bounded(text, u8::is_ascii_alphanumeric, inner) && text.len() <= 63
}

/// Whether it may be the prefix of a key: a DNS subdomain.
fn is_subdomain(text: &str) -> bool {
    let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| outer(byte) || *byte == b'-';
    text.len() <= 253 && text.split('.').all(|part| is_bounded(part, outer, inner))
}

/// Whether a text begins and ends with what `outer` allows, and has only what `inner` does.
fn is_bounded(text: &str, outer: impl Fn(&u8) -> bool, inner: impl Fn(&u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.into_iter().all(|end| end.is_some_and(&outer)) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_with_or_without_a_prefix() {
        let (name, prefix) = ("n".repeat(63), "p".repeat(253));
        for key in [
            "a",
            "A-b_c.9",
            "x.y-z/a",
            &name,
            &format!("{prefix}/{name}"),
        ] {
            assert_eq!(check_key(key), Ok(()));
        }
        let long = [format!("{name}n"), format!("{prefix}p/a")];
        let wrong = [
            "", "a b", "-a", "a.", "ä", "/a", "a/", "a/b/c", "X/a", "x..y/a", "x_y/a",
        ];
        for key in wrong.into_iter().chain(long.iter().map(String::as_str)) {
            let why = check_key(key).unwrap_err();
            assert!(why.starts_with(&format!("{key:?} is no key")), "{why}");
        }
    }

    #[test]
    fn values_may_be_empty() {
        let name = "v".repeat(63);
        for value in ["", "a", "1.2_3-B", &name] {
            assert_eq!(check_value(value), Ok(()));
        }
        for value in ["c d", "a/b", "-", "a_", &format!("{name}v")] {
            let why = check_value(value).unwrap_err();
            assert!(why.starts_with(&format!("{value:?} is no value")), "{why}");
        }
    }
}
