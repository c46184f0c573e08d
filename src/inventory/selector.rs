//! Label selectors, as the API machinery evaluates them.

mod syntax;

use std::fmt;

use serde::Deserialize;

use super::{
    intern::{Interner, Sym},
    meta::{Labels, Str, StrMap},
};

/// A label selector. No term at all selects everything.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Box<[Term]>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Term {
    key: Sym,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    In(Box<[Sym]>),
    NotIn(Box<[Sym]>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `labels` satisfy every term.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|term| {
            let value = labels.get(&term.key);
            match &term.test {
                Test::In(values) => value.is_some_and(|v| values.iter().any(|x| &**x == v)),
                // A missing key satisfies NotIn.
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|x| &**x != v)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }

    /// Whether `labels` satisfy every term, where labels with a key that is `unseen` are left out
    /// of `labels`: `None` where it depends on one of those.
    pub fn judge(&self, labels: &Labels, unseen: fn(&str) -> bool) -> Option<bool> {
        if self.0.iter().all(|term| !unseen(&term.key)) {
            return Some(self.matches(labels));
        }
        let seen = self.0.iter().filter(|term| !unseen(&term.key));
        let seen = Self(seen.cloned().collect());
        if seen.matches(labels) {
            None
        } else {
            Some(false)
        }
    }

    /// Whether a term speaks of the label `key` by value, rather than by absence or difference.
    pub fn names(&self, key: &str) -> Option<&[Sym]> {
        self.0.iter().find_map(|term| match &term.test {
            Test::In(values) if &*term.key == key => Some(&**values),
            _ => None,
        })
    }

    /// Whether it selects all but what it excludes: each term asks that a label is absent or
    /// something else.
    pub fn is_by_difference(&self) -> bool {
        let mut tests = self.0.iter().map(|term| &term.test);
        !self.is_empty() && tests.all(|test| matches!(test, Test::NotIn(_) | Test::DoesNotExist))
    }

    /// Whether some term asks for a value: the selector names what it selects.
    pub fn is_explicit(&self) -> bool {
        let mut tests = self.0.iter().map(|term| &term.test);
        tests.any(|test| matches!(test, Test::In(_)))
    }
}

impl fmt::Display for Selector {
    /// As `kubectl get --selector` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everything");
        }
        for (i, Term { key, test }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::In(values) => match &**values {
                    [value] => write!(f, "{key}={value}")?,
                    values => write!(f, "{key} in ({})", values.join(","))?,
                },
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::Exists => f.write_str(key)?,
                Test::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// Whose label a term of a selector speaks of, where pods are selected by both, and its key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'k> {
    /// The pod's.
    Pod(&'k str),
    /// Its namespace's.
    Namespace(&'k str),
}

/// A label selector on the wire.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireSelector<'a> {
    #[serde(borrow)]
    match_labels: Option<StrMap<'a>>,
    #[serde(borrow)]
    match_expressions: Option<Vec<WireExpression<'a>>>,
}

#[derive(Debug, Deserialize)]
struct WireExpression<'a> {
    #[serde(borrow)]
    key: Str<'a>,
    #[serde(borrow)]
    operator: Str<'a>,
    #[serde(borrow)]
    values: Option<Vec<Str<'a>>>,
}

impl WireSelector<'_> {
    /// The projection, or what is wrong with the selector.
    pub fn project(self, interner: &mut Interner) -> Result<Selector, &'static str> {
        Ok(Selector(self.terms(interner)?.into()))
    }

    /// The selectors of namespaces and of pods that one over both stands for: `whose` sorts its
    /// keys. `Ok(None)` where it can't sort one.
    pub fn split(
        self,
        interner: &mut Interner,
        whose: impl for<'k> Fn(&'k str) -> Option<Whose<'k>>,
    ) -> Result<Option<(Selector, Selector)>, &'static str> {
        let (mut namespaces, mut pods) = (Vec::new(), Vec::new());
        for Term { key, test } in self.terms(interner)? {
            let (side, key) = match whose(&key) {
                Some(Whose::Pod(key)) => (&mut pods, key),
                Some(Whose::Namespace(key)) => (&mut namespaces, key),
                None => return Ok(None),
            };
            let key = interner.string(key);
            side.push(Term { key, test });
        }
        Ok(Some((Selector(namespaces.into()), Selector(pods.into()))))
    }

    fn terms(self, interner: &mut Interner) -> Result<Vec<Term>, &'static str> {
        let labels = self.match_labels.unwrap_or_default().0.into_iter();
        let mut terms: Vec<Term> = labels
            .map(|(key, value)| Term {
                key: interner.string(&key),
                test: Test::In(Box::new([interner.string(&value)])),
            })
            .collect();
        for expression in self.match_expressions.into_iter().flatten() {
            let values = expression.values.unwrap_or_default();
            let values: Box<[Sym]> = values.iter().map(|v| interner.string(v)).collect();
            terms.push(Term {
                key: interner.string(&expression.key),
                test: match &*expression.operator {
                    "In" => Test::In(values),
                    "NotIn" => Test::NotIn(values),
                    "Exists" => Test::Exists,
                    "DoesNotExist" => Test::DoesNotExist,
                    _ => return Err("a label selector has an unknown operator"),
                },
            });
        }
        Ok(terms)
    }

    /// Reads a selector from its JSON.
    pub fn parse(json: &str, interner: &mut Interner) -> Result<Selector, String> {
        serde_json::from_str::<WireSelector<'_>>(json)
            .map_err(|error| error.to_string())?
            .project(interner)
            .map_err(str::to_owned)
    }

    /// Reads a selector that a person wrote: one that the API server would refuse in an object of its own is an error, as
    /// hardly anything it says can be meant.
    pub fn parse_valid(json: &str, interner: &mut Interner) -> Result<Selector, String> {
        serde_json::from_str::<WireSelector<'_>>(json)
            .map_err(|error| error.to_string())?
            .check()?;
        Self::parse(json, interner)
    }

    /// Refuses keys and values that no label has, and operators with too many values or too few.
    fn check(&self) -> Result<(), String> {
        let labels = self.match_labels.iter().flat_map(|labels| &labels.0);
        check_labels(labels.map(|(key, value)| (&**key, &**value)))?;
        let mut expressions = self.match_expressions.iter().flatten();
        expressions.try_for_each(WireExpression::check)
    }
}

/// Refuses keys and values that no label has.
pub fn check_labels<'l>(
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
) -> Result<(), String> {
    labels.into_iter().try_for_each(|(key, value)| {
        syntax::check_key(key)?;
        syntax::check_value(value)
    })
}

impl WireExpression<'_> {
    fn check(&self) -> Result<(), String> {
        let (key, operator) = (&*self.key, &*self.operator);
        syntax::check_key(key)?;
        let values = self.values.as_deref().unwrap_or_default();
        match operator {
            "In" | "NotIn" if values.is_empty() => Err(format!(
                "{operator} of the label {key} needs values: name at least one, or use Exists or DoesNotExist"
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => Err(format!(
                "{operator} of the label {key} takes no values: remove them, or use In or NotIn"
            )),
            _ => values
                .iter()
                .try_for_each(|value| syntax::check_value(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        WireSelector::parse(selector, &mut Interner::default())
            .unwrap()
            .matches(&labels.iter().copied().collect())
    }

    #[test]
    fn the_empty_selector_selects_everything() {
        assert!(matches("{}", &[]));
        assert!(matches(r#"{"matchLabels":null}"#, &[("a", "b")]));
    }

    #[test]
    fn a_missing_key_satisfies_not_in() {
        let selector =
            r#"{"matchExpressions":[{"key":"env","operator":"NotIn","values":["prod"]}]}"#;
        assert!(matches(selector, &[]));
        assert!(!matches(selector, &[("env", "prod")]));
    }

    #[test]
    fn all_terms_must_hold() {
        let selector =
            r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"Exists"}]}"#;
        assert!(!matches(selector, &[("a", "1")]));
        assert!(matches(selector, &[("a", "1"), ("b", "")]));
    }

    #[test]
    fn what_depends_on_an_unseen_label_is_not_decided() {
        let judge = |selector: &str, labels: &[(&str, &str)]| {
            let selector = WireSelector::parse(selector, &mut Interner::default()).unwrap();
            selector.judge(&labels.iter().copied().collect(), |key| key == "hash")
        };
        let hash = r#"{"matchLabels":{"a":"1","hash":"x"}}"#;
        assert_eq!(judge(hash, &[("a", "1")]), None);
        assert_eq!(judge(hash, &[("a", "2")]), Some(false));
        assert_eq!(
            judge(r#"{"matchLabels":{"a":"1"}}"#, &[("a", "1")]),
            Some(true)
        );
        let absent = r#"{"matchExpressions":[{"key":"hash","operator":"DoesNotExist"}]}"#;
        assert_eq!(judge(absent, &[]), None);
    }

    #[test]
    fn an_unknown_operator_is_an_error() {
        let selector = r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1"]}]}"#;
        assert!(WireSelector::parse(selector, &mut Interner::default()).is_err());
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused_of_people() {
        let refused = |selector: &str| {
            let read = WireSelector::parse_valid(selector, &mut Interner::default());
            read.err().unwrap_or_default()
        };
        let expression = |operator: &str, values: &str| {
            refused(&format!(
                r#"{{"matchExpressions":[{{"key":"x.y/a","operator":"{operator}","values":{values}}}]}}"#
            ))
        };
        assert_eq!(refused(r#"{"matchLabels":{"x.y/a":"1","b":null}}"#), "");
        assert!(refused(r#"{"matchLabels":{"a b":"c"}}"#).starts_with(r#""a b" is no key"#));
        assert!(refused(r#"{"matchLabels":{"a":"c d"}}"#).starts_with(r#""c d" is no value"#));
        for (with, without) in [("In", "Exists"), ("NotIn", "DoesNotExist")] {
            assert_eq!(expression(with, r#"["1",""]"#), "");
            assert_eq!(expression(without, "[]") + &expression(without, "null"), "");
            assert!(expression(with, "[]").contains("needs values"));
            assert!(expression(with, "null").contains("needs values"));
            assert!(expression(with, r#"["c d"]"#).starts_with(r#""c d" is no value"#));
            assert!(expression(without, r#"["1"]"#).contains("takes no values"));
        }
        assert!(expression("Gt", r#"["1"]"#).contains("unknown operator"));
    }
}
