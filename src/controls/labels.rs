//! A label selector as a parameter.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{
    api::policy::LabelSelectorSchema,
    inventory::{
        Interner,
        meta::Labels,
        selector::{Selector, WireSelector},
    },
};

/// A label selector, read once. The default selects everything.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSelector {
    json: Value,
    selector: Selector,
    /// What the API server would refuse of it: kept, so that the policy is read all the same and can say so.
    fault: Option<String>,
}

impl LabelSelector {
    /// Reads one from its JSON.
    pub fn parse(json: Value) -> Result<Self, String> {
        let (text, mut interner) = (json.to_string(), Interner::default());
        let selector = WireSelector::parse(&text, &mut interner)?;
        let fault = WireSelector::parse_valid(&text, &mut interner).err();
        Ok(Self {
            json,
            selector,
            fault,
        })
    }

    /// Refuses a selector that no object of the API server's own could hold, as what it selects can't be meant. `field` is the
    /// parameter that it is.
    pub fn check(&self, field: &str) -> Result<(), String> {
        let fault = self.fault.as_ref();
        fault.map_or(Ok(()), |fault| {
            Err(format!("{field} can't be used: {fault}"))
        })
    }

    /// Whether it selects what has these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.selector.matches(labels)
    }
}

impl Default for LabelSelector {
    fn default() -> Self {
        Self {
            json: serde_json::json!({}),
            selector: Selector::default(),
            fault: None,
        }
    }
}

impl Serialize for LabelSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for LabelSelector {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LabelSelector".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        LabelSelectorSchema::json_schema(generator)
    }
}
