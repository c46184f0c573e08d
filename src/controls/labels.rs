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
}

impl LabelSelector {
    /// Reads one from its JSON.
    pub fn parse(json: Value) -> Result<Self, String> {
        let selector = WireSelector::parse(&json.to_string(), &mut Interner::default())?;
        Ok(Self { json, selector })
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
