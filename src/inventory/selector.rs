//! Label selectors, as the API machinery evaluates them.

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
        Ok(Selector(terms.into()))
    }

    /// Reads a selector from its JSON.
    pub fn parse(json: &str, interner: &mut Interner) -> Result<Selector, String> {
        serde_json::from_str::<WireSelector<'_>>(json)
            .map_err(|error| error.to_string())?
            .project(interner)
            .map_err(str::to_owned)
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
    fn an_unknown_operator_is_an_error() {
        let selector = r#"{"matchExpressions":[{"key":"a","operator":"Gt","values":["1"]}]}"#;
        assert!(WireSelector::parse(selector, &mut Interner::default()).is_err());
    }
}
