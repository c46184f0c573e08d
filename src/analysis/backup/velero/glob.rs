//! Patterns of names, as Velero reads them.

/// Whether `text` matches a pattern with `*`, `?` and `[abc]`; `None` for what Velero refuses.
pub(super) fn glob(pattern: &str, text: &str) -> Option<bool> {
    if pattern.contains(['|', '(', ')', '{', '}', '!', ',', '\\']) || pattern.contains("**") {
        return None;
    }
    let pattern = parts(pattern)?;
    let text: Vec<char> = text.chars().collect();
    Some(matches(&pattern, &text))
}

/// A part of a pattern.
enum Part {
    Star,
    Any,
    One(char),
    Of(Vec<(char, char)>),
}

fn parts(pattern: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '*' => Part::Star,
            '?' => Part::Any,
            ']' => return None,
            '[' => {
                let (set, after) = rest.as_str().split_once(']')?;
                rest = after.chars();
                Part::Of(set_of(set)?)
            }
            c => Part::One(c),
        });
    }
    Some(parts)
}

/// `abc` or `a-z`; nothing is no set.
fn set_of(set: &str) -> Option<Vec<(char, char)>> {
    let chars: Vec<char> = set.chars().collect();
    match chars[..] {
        [] => None,
        [low, '-', high] => (low <= high).then(|| vec![(low, high)]),
        _ => Some(chars.into_iter().map(|c| (c, c)).collect()),
    }
}

/// Namespaces have at most 63 characters: going back to the last star only is quick enough.
fn matches(pattern: &[Part], text: &[char]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        let fits = match pattern.get(p) {
            Some(Part::Star) => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(Part::Any) => true,
            Some(Part::One(c)) => *c == text[t],
            Some(Part::Of(set)) => set
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&text[t])),
            None => false,
        };
        if fits {
            (p, t) = (p + 1, t + 1);
        } else {
            let Some((after, taken)) = star else {
                return false;
            };
            star = Some((after, taken + 1));
            (p, t) = (after, taken + 1);
        }
    }
    pattern[p..].iter().all(|part| matches!(part, Part::Star))
}
