//! What the engine says now, for those who ask at a terminal.

use super::{Engine, instance::Instance, rule::Sight};
use crate::{
    api::{Mode, Reports},
    controls::{Control, Info, Subject, Verdict},
    inventory::Sym,
    verdict::{Counts, Outcome, Severity},
};

/// What one control says in one policy.
#[derive(Debug)]
pub struct Findings<'a> {
    /// The policy.
    pub policy: &'a Sym,
    /// The control.
    pub info: &'static Info,
    /// With its parameters.
    pub control: &'a dyn Control,
    /// How bad a failure is, as the policy says.
    pub severity: Severity,
    /// Whether the policy has failures put right.
    pub mode: Mode,
    /// Outcome of the control as a whole.
    pub outcome: Outcome,
    /// Its subjects by outcome.
    pub counts: Counts,
    /// Why nothing can be judged, if so.
    pub blind: Option<String>,
    /// Every subject, in order, with what is said of it.
    pub subjects: Vec<(&'a Subject, &'a Verdict)>,
}

impl Engine {
    /// What all controls of all policies say, by policy and in the order of the registry.
    pub fn findings(&self) -> Vec<Findings<'_>> {
        let mut all = Vec::new();
        for (name, policy) in &self.policies {
            for control in &policy.controls {
                let Some(instance) = self.instances.get(&control.instance) else {
                    continue;
                };
                let Some(rule) = self.rules.get(&instance.rule) else {
                    continue;
                };
                all.push(Findings {
                    policy: name,
                    info: instance.info,
                    control: &*rule.control,
                    severity: control.severity,
                    mode: control.mode,
                    outcome: instance.outcome(),
                    counts: instance.visible_counts(),
                    blind: blind(&instance.sight),
                    subjects: self.said_by(instance),
                });
            }
        }
        all
    }

    fn said_by(&self, instance: &Instance) -> Vec<(&Subject, &Verdict)> {
        let rule = self.rules.get(&instance.rule);
        let table = rule.into_iter().flat_map(|rule| &rule.table);
        table
            .filter(|(subject, _)| instance.holds(subject))
            .map(|(subject, said)| (subject, &*said.verdict))
            .collect()
    }

    /// Into which reports a policy has its status copied, and its uid; `None` where there is no such policy.
    pub fn reports(&self, policy: &str) -> Option<(Reports, &Sym)> {
        let policy = self.policies.get(policy)?;
        Some((policy.spec.reports, &policy.uid))
    }

    /// What is wrong with the parameters of policies, with the policy.
    pub fn problems(&self) -> Vec<(&str, &str)> {
        let policies = self.policies.iter();
        let problems = policies.flat_map(|(name, policy)| {
            let problems = policy.problems.iter();
            problems.map(|problem| (&**name, problem.as_str()))
        });
        problems.collect()
    }
}

/// Why nothing can be judged.
fn blind(sight: &Sight) -> Option<String> {
    match sight {
        Sight::Clear => None,
        Sight::Unsettled => Some("it was not judged yet".to_owned()),
        Sight::Panicked => Some("the control failed; please report it".to_owned()),
        Sight::Blind(why, _) => Some(why.clone()),
    }
}
