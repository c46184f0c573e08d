//! Whether a write would help, asked before it is made.

use serde_json::Value;

use super::{
    Engine, Now,
    rule::{Rule, View},
};
use crate::{
    analysis::Analyses,
    controls::{Remedy, Subject, Target, Verdict},
    inventory::{Inventory, Kind},
    verdict::Outcome,
};

/// How the cluster would differ.
enum World<'a> {
    /// These objects would be there, each in place of what is there now.
    With(&'a [(Kind, Value)]),
    /// This object would be gone.
    Without(&'a Target),
}

impl Engine {
    /// Whether the object that the server would store turns the verdict into `Pass`; where it only
    /// starts work, whether that would when it is done. A deletion helps also if another object is
    /// to blame next.
    pub(super) fn would_help(
        &mut self,
        id: u32,
        subject: &Subject,
        remedy: &Remedy,
        object: &Value,
        now: Now,
    ) -> Result<(), String> {
        // What changed before must not get lost in what is only tried.
        self.settle();
        let target = remedy.target();
        let stored = [(target.kind, object.clone())];
        let verdict = match remedy {
            Remedy::Delete { .. } => self.verdict_in(id, subject, &World::Without(target), now)?,
            Remedy::Start { .. } => {
                let done = self.in_world(id, &World::With(&stored), now, |rule, view| {
                    rule.foresee(view, subject, object)
                })??;
                self.verdict_in(id, subject, &World::With(&done), now)?
            }
            _ => self.verdict_in(id, subject, &World::With(&stored), now)?,
        };
        let Some(verdict) = verdict else {
            return Ok(()); // there is nothing left to judge
        };
        let another = verdict
            .remedy
            .as_ref()
            .is_some_and(|next| matches!(**next, Remedy::Delete { .. }) && next.target() != target);
        match verdict.outcome {
            Outcome::Pass | Outcome::NotApplicable => Ok(()),
            Outcome::Fail if another => Ok(()),
            _ => Err(format!(
                "the write would not make it pass: {}",
                verdict.message
            )),
        }
    }

    fn verdict_in(
        &mut self,
        id: u32,
        subject: &Subject,
        world: &World<'_>,
        now: Now,
    ) -> Result<Option<Verdict>, String> {
        self.in_world(id, world, now, |rule, view| {
            rule.verdict(view, subject, rule.table.get(subject))
        })
    }

    /// What an instance's rule says where the cluster differs so. Nothing is changed for good.
    fn in_world<T>(
        &mut self,
        id: u32,
        world: &World<'_>,
        now: Now,
        ask: impl FnOnce(&Rule, View<'_>) -> T,
    ) -> Result<T, String> {
        let rule = self.instances.get(&id).map(|instance| instance.rule);
        let Some(rule) = rule.and_then(|rule| self.rules.get(&rule)) else {
            return Err("the policy has changed".to_owned());
        };
        let targets: Vec<Target> = match world {
            World::With(objects) => objects.iter().map(target).collect(),
            World::Without(target) => vec![(*target).clone()],
        };
        let (observed, exceptions) = (&self.observed, &self.people.exceptions);
        let analyses = &mut self.analyses;
        let look = |inventory: &Inventory| {
            renew(analyses, inventory, &targets);
            let view = View {
                inventory,
                analyses: &*analyses,
                observed,
                exceptions,
                now: now.wall,
            };
            ask(rule, view)
        };
        let said = match world {
            World::With(objects) => self.inventory.overlaid(objects, look),
            World::Without(Target {
                kind,
                namespace,
                name,
            }) => Ok(self.inventory.without(*kind, namespace, name, look)),
        };
        renew(&mut self.analyses, &self.inventory, &targets); // back to what is so
        said
    }
}

/// Has analyses take note of what is at these places.
fn renew(analyses: &mut Analyses, inventory: &Inventory, targets: &[Target]) {
    for target in targets {
        analyses.note(inventory, &target.change());
    }
    analyses.settle(inventory, &mut |_, _| {});
}

fn target((kind, object): &(Kind, Value)) -> Target {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    Target {
        kind: *kind,
        namespace: text("namespace").into(),
        name: text("name").into(),
    }
}
