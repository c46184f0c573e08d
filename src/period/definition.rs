//! What a control is by definition, at a time: version of the rule, parameters, scope. A control whose definition changed
//! is reported in segments.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    controls::REGISTRY,
    evidence::{
        body::{Content, PolicyChange, Scope, Transition},
        words::Change,
    },
};

/// What a control is by definition. What the log has not said yet is absent.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Version of the rule.
    pub rule_version: Option<u32>,
    /// Hash of the parameters.
    pub params_hash: Option<String>,
    /// Hash of the scope.
    pub scope_hash: Option<String>,
    /// The parameters.
    pub parameters: Option<Value>,
    /// The scope.
    pub scope: Option<Value>,
}

impl Definition {
    /// Whether another says otherwise.
    pub(super) fn contradicts(&self, other: &Said<'_>) -> bool {
        differ(self.rule_version.as_ref(), other.rule_version.as_ref())
            || differ(self.params_hash.as_deref(), other.params_hash)
            || differ(self.scope_hash.as_deref(), other.scope_hash)
    }

    /// Takes what another says. What belongs to a hash that it contradicts is not known any more.
    pub(super) fn take(&mut self, other: &Said<'_>) {
        if differ(self.params_hash.as_deref(), other.params_hash) {
            self.parameters = None;
        }
        if differ(self.scope_hash.as_deref(), other.scope_hash) {
            self.scope = None;
        }
        let own = |value: Option<&str>| value.map(str::to_owned);
        if other.rule_version.is_some() {
            self.rule_version = other.rule_version;
        }
        if other.params_hash.is_some() && self.params_hash.as_deref() != other.params_hash {
            self.params_hash = own(other.params_hash);
        }
        if other.scope_hash.is_some() && self.scope_hash.as_deref() != other.scope_hash {
            self.scope_hash = own(other.scope_hash);
        }
    }
}

fn differ<T: PartialEq>(known: Option<T>, said: Option<T>) -> bool {
    matches!((known, said), (Some(known), Some(said)) if known != said)
}

/// What an entry says of a definition.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) rule_version: Option<u32>,
    pub(super) params_hash: Option<&'a str>,
    pub(super) scope_hash: Option<&'a str>,
}

impl<'a> From<&'a Transition> for Said<'a> {
    fn from(said: &'a Transition) -> Self {
        Self {
            rule_version: said.rule_version,
            params_hash: said.params_hash.as_deref(),
            scope_hash: said.scope_hash.as_deref(),
        }
    }
}

/// What an entry about a scope says of each control that has it.
pub(super) fn definitions(said: &Scope) -> impl Iterator<Item = (&str, Said<'_>)> {
    let first = (
        &*said.control,
        said.rule_version,
        said.params_hash.as_deref(),
    );
    let also = said.also.iter();
    let also = also.map(|one| (&*one.control, one.rule_version, one.params_hash.as_deref()));
    std::iter::once(first)
        .chain(also)
        .map(|(control, rule_version, params_hash)| {
            let defined = Said {
                rule_version,
                params_hash,
                scope_hash: Some(&said.scope_hash),
            };
            (control, defined)
        })
}

/// A policy as an entry says it is from now on.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) suspended: bool,
    pub(super) scope: Value,
    pub(super) scope_hash: String,
    /// Id of each control that it switches on, with parameters and their hash.
    pub(super) controls: Vec<(String, Value, String)>,
}

impl Policy {
    /// Reads it from the spec. `None` where the entry has none, or keeps it elsewhere.
    pub(super) fn read(said: &PolicyChange) -> Option<Self> {
        let Some(Content::Inline(spec)) = &said.spec else {
            return None;
        };
        let scope = spec
            .get("scope")
            .cloned()
            .unwrap_or_else(|| Map::new().into());
        let controls = spec.get("controls").and_then(Value::as_object)?;
        let controls = controls.iter().filter_map(|(field, setting)| {
            let mut parameters = setting.as_object()?.clone();
            // What differs from the policy's defaults is no part of the rule.
            for other in ["mode", "severity", "prevention"] {
                parameters.remove(other);
            }
            let parameters = Value::Object(parameters);
            let hash = crate::engine::digest(&parameters);
            Some((control_of(field), parameters, hash))
        });
        Some(Self {
            suspended: spec.get("suspend") == Some(&Value::Bool(true)),
            scope_hash: crate::engine::digest(&scope),
            scope,
            controls: controls.collect(),
        })
    }
}

/// Whether a policy is suspended from an entry on. `policy` is what [`Policy::read`] read of it.
pub(super) fn is_suspended(said: &PolicyChange, policy: Option<&Policy>) -> bool {
    said.change == Change::Suspended || policy.is_some_and(|policy| policy.suspended)
}

/// The id of the control that a field of a policy switches on; the field itself, where this program doesn't know it.
fn control_of(field: &str) -> String {
    let known = REGISTRY
        .iter()
        .map(|registered| registered.info)
        .find(|info| info.field == field);
    known.map_or(field, |info| info.id).to_owned()
}
