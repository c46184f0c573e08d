//! What people are told of a control: the pages in `docs/controls` and `probity explain` say the
//! same.

use super::{Info, Observation};
use crate::{inventory::Kind, verdict::Strength};

/// A heading and what stands below it.
pub type Section = (&'static str, String);

impl Info {
    /// What it checks and why, before its parameters.
    pub fn about(&self) -> Vec<Section> {
        let rests_on = match self.strength {
            Strength::Attested => "*Attested*: a person says so.",
            Strength::Declared => "*Declared*: fields of objects say so.",
            Strength::Effective => "*Effective*: computed from all objects that interact.",
            Strength::Operating => "*Operating*: seen working.",
        };
        vec![
            ("What it checks", self.what.to_owned()),
            ("Why it matters", self.why.to_owned()),
            ("Criteria", self.criteria.join(", ")),
            ("What a verdict rests on", rests_on.to_owned()),
        ]
    }

    /// How it is switched on, mended and prevented, and what it can't see: after its parameters.
    pub fn in_use(&self) -> Vec<Section> {
        vec![
            ("How to mend it by hand", self.by_hand.to_owned()),
            ("What Enforce does", self.fix.to_owned()),
            ("Prevention", self.prevention.to_owned()),
            ("Rights", self.rights()),
            ("Limits", self.limits.to_owned()),
        ]
    }

    /// A policy that switches on just this control.
    pub fn example(&self) -> String {
        let (id, field) = (self.id, self.field);
        format!(
            "apiVersion: probity.dev/v1alpha1\nkind: ControlPolicy\nmetadata:\n  name: {id}\n\
             spec:\n  mode: Observe\n  controls:\n    {field}: {{}}\n"
        )
    }

    /// What it reads and writes on the API server.
    fn rights(&self) -> String {
        let mut text = format!("Reads {}.", resources(self.inputs()));
        for observation in self.observes {
            text.push(' ');
            text.push_str(Observation::explain(*observation));
        }
        if self.writes.is_empty() {
            text.push_str(" Writes nothing, in any mode.");
            return text;
        }
        let writes = self.writes.iter();
        let writes: Vec<String> = writes
            .map(|write| format!("{} {}", write.verb, resources([write.kind])))
            .collect();
        let family = self.family.as_str();
        format!(
            "{text} Writes only in `Enforce`, and only with `enforcement.{family}: true` in the \
             chart: {}.",
            writes.join(", ")
        )
    }
}

/// Names of resources, as RBAC spells them.
pub fn resources(kinds: impl IntoIterator<Item = Kind>) -> String {
    let name = |kind: Kind| {
        let info = kind.info();
        let dot = if info.group.is_empty() { "" } else { "." };
        format!("`{}{dot}{}`", info.plural, info.group)
    };
    let names: Vec<_> = kinds.into_iter().map(name).collect();
    if names.is_empty() {
        "no objects".to_owned()
    } else {
        names.join(", ")
    }
}
