//! Calico's selectors: `app == 'web' && has(tier) && !(zone in {'a', 'b'})`.
//!
//! The grammar is that of projectcalico/calico, `libcalico-go/lib/selector`.

use crate::inventory::{Sym, intern::Interner};

/// A selector.
#[derive(Debug, PartialEq, Eq)]
pub enum Expression {
    /// `all()`, and the empty one.
    All,
    /// `global()`: what lies in no namespace.
    Global,
    /// `has(KEY)`.
    Has(Sym),
    /// `KEY == 'VALUE'`, and `KEY in {'VALUE', …}`.
    In(Sym, Box<[Sym]>),
    /// `KEY contains 'TEXT'`, `KEY starts with 'TEXT'`, `KEY ends with 'TEXT'`.
    Like(Sym, How, Sym),
    /// `!…`; also `!=` and `not in`, which a missing label satisfies.
    Not(Box<Self>),
    /// `… && …`.
    And(Box<[Self]>),
    /// `… || …`.
    Or(Box<[Self]>),
}

/// How a value is like a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It holds it.
    Contains,
    /// It begins with it.
    Starts,
    /// It ends with it.
    Ends,
}

/// What is known of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label<'a> {
    /// It has this value.
    Is(&'a str),
    /// There is none.
    Absent,
    /// Nobody knows.
    Unseen,
}

/// Selectors in brackets that are followed: one that is nested deeper is not understood.
const DEEPEST: usize = 32;

impl Expression {
    /// Reads a selector; `None` where it can't be understood.
    pub fn parse(text: &str, interner: &mut Interner) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::All);
        }
        let mut reader = Reader {
            rest: text,
            depth: 0,
            interner,
        };
        let expression = reader.any()?;
        reader.rest.trim().is_empty().then_some(expression)
    }

    /// Whether it selects something in a namespace whose labels `get` tells; `None` where that
    /// depends on one that nobody knows.
    pub fn selects<'a>(&self, get: &dyn Fn(&str) -> Label<'a>) -> Option<bool> {
        let about = |key: &str, test: &dyn Fn(&str) -> bool| match get(key) {
            Label::Is(value) => Some(test(value)),
            Label::Absent => Some(false),
            Label::Unseen => None,
        };
        match self {
            Self::All => Some(true),
            Self::Global => Some(false),
            Self::Has(key) => about(key, &|_| true),
            Self::In(key, values) => about(key, &|value| values.iter().any(|v| **v == *value)),
            Self::Like(key, how, text) => about(key, &|value| match how {
                How::Contains => value.contains(&**text),
                How::Starts => value.starts_with(&**text),
                How::Ends => value.ends_with(&**text),
            }),
            Self::Not(inner) => inner.selects(get).map(|selects| !selects),
            Self::And(parts) => decide(parts.iter().map(|part| part.selects(get)), false),
            Self::Or(parts) => decide(parts.iter().map(|part| part.selects(get)), true),
        }
    }
}

/// Whether one part is `sure`, which decides; all of them not, where each is known.
fn decide(parts: impl Iterator<Item = Option<bool>>, sure: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(part) if part == sure => return Some(sure),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!sure)
}

struct Reader<'t, 'i> {
    rest: &'t str,
    depth: usize,
    interner: &'i mut Interner,
}

impl<'t> Reader<'t, '_> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let after = rest.strip_prefix(token);
        self.rest = after.unwrap_or(rest);
        after.is_some()
    }

    fn any(&mut self) -> Option<Expression> {
        self.list("||", Self::all, Expression::Or)
    }

    fn all(&mut self) -> Option<Expression> {
        self.list("&&", Self::one, Expression::And)
    }

    fn list(
        &mut self,
        between: &str,
        part: fn(&mut Self) -> Option<Expression>,
        join: fn(Box<[Expression]>) -> Expression,
    ) -> Option<Expression> {
        let mut parts = vec![part(self)?];
        while self.take(between) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            parts.pop()
        } else {
            Some(join(parts.into()))
        }
    }

    fn one(&mut self) -> Option<Expression> {
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let one = self.bare();
        self.depth -= 1;
        one
    }

    fn bare(&mut self) -> Option<Expression> {
        if self.take("!") {
            return Some(Expression::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let inner = self.any()?;
            return self.take(")").then_some(inner);
        }
        let key = self.word()?;
        if self.take("(") {
            let expression = match key {
                "all" => Expression::All,
                "global" => Expression::Global,
                "has" => {
                    let key = self.word()?;
                    Expression::Has(self.interner.string(key))
                }
                _ => return None,
            };
            return self.take(")").then_some(expression);
        }
        let key = self.interner.string(key);
        self.comparison(key)
    }

    fn comparison(&mut self, key: Sym) -> Option<Expression> {
        let not = |expression| Some(Expression::Not(Box::new(expression)));
        if self.take("==") {
            let value = self.quoted()?;
            return Some(Expression::In(key, Box::new([value])));
        }
        if self.take("!=") {
            let value = self.quoted()?;
            return not(Expression::In(key, Box::new([value])));
        }
        match self.word()? {
            "in" => Some(Expression::In(key, self.set()?)),
            "not" if self.word() == Some("in") => not(Expression::In(key, self.set()?)),
            "contains" => Some(Expression::Like(key, How::Contains, self.quoted()?)),
            "starts" if self.word() == Some("with") => {
                Some(Expression::Like(key, How::Starts, self.quoted()?))
            }
            "ends" if self.word() == Some("with") => {
                Some(Expression::Like(key, How::Ends, self.quoted()?))
            }
            _ => None,
        }
    }

    /// A key of a label, or a word of the language.
    fn word(&mut self) -> Option<&'t str> {
        let rest = self.rest.trim_start();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn quoted(&mut self) -> Option<Sym> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, rest) = rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(self.interner.string(text))
    }

    fn set(&mut self) -> Option<Box<[Sym]>> {
        let mut values = Vec::new();
        if !self.take("{") {
            return None;
        }
        if self.take("}") {
            return Some(values.into());
        }
        loop {
            values.push(self.quoted()?);
            if self.take("}") {
                return Some(values.into());
            }
            if !self.take(",") {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(text: &str) -> Option<bool> {
        let expression = Expression::parse(text, &mut Interner::default());
        let labels = |key: &str| match key {
            "app" => Label::Is("web"),
            "example.com/zone" => Label::Is("eu-1"),
            "hash" => Label::Unseen,
            _ => Label::Absent,
        };
        expression
            .unwrap_or_else(|| panic!("{text}"))
            .selects(&labels)
    }

    #[test]
    fn selectors_are_read_as_calico_reads_them() {
        for (text, wanted) in [
            ("", Some(true)),
            ("all()", Some(true)),
            ("global()", Some(false)),
            ("!global()", Some(true)),
            ("app == 'web'", Some(true)),
            ("app==\"web\"", Some(true)),
            ("app == 'api'", Some(false)),
            ("app != 'api'", Some(true)),
            // A label that is missing differs from every value.
            ("tier != 'a'", Some(true)),
            ("tier not in {'a', 'b'}", Some(true)),
            ("tier in {'a'}", Some(false)),
            ("app in {'api', 'web'}", Some(true)),
            ("app in {}", Some(false)),
            ("has(app) && !has(tier)", Some(true)),
            ("has(tier) || app starts with 'w'", Some(true)),
            ("app ends with 'eb' && app contains 'e'", Some(true)),
            ("example.com/zone == 'eu-1'", Some(true)),
            ("!(app == 'web' && has(tier))", Some(true)),
            ("app == 'web' && has(tier) || app == 'web'", Some(true)),
            // What nobody knows matters only where it decides.
            ("hash == 'x'", None),
            ("!has(hash)", None),
            ("hash == 'x' && app == 'api'", Some(false)),
            ("hash == 'x' || app == 'web'", Some(true)),
        ] {
            assert_eq!(selects(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_not_understood() {
        let deep = format!("{}all(){}", "(".repeat(64), ")".repeat(64));
        for text in [
            "app",
            "app ==",
            "app == web",
            "app == 'web",
            "all(",
            "has()",
            "app in {'a'",
            "all() all()",
            "app == 'a' &&",
            "(all()",
            "foo(app)",
            &deep,
            "app not 'a'",
            "app in {'a' 'b'}",
        ] {
            let read = Expression::parse(text, &mut Interner::default());
            assert_eq!(read, None, "{text}");
        }
    }
}
