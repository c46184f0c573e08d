//! Which remedies would not be carried out now, and why.

use std::collections::BTreeMap;

use crate::{
    cli::pass::{self, Told},
    controls::{Subject, Verdict},
    engine::{Engine, Hold, Proposal, Standing},
    words::{either, many, one_line},
};

/// Subjects listed for one reason.
const MOST: usize = 10;

/// Which remedies are held back, by why.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By reason: those that are not shown as differences, and those that are, because only the operator holds them back.
    reasons: BTreeMap<(String, bool), Vec<String>>,
    /// Failures that an exception accepts: without it, there might be a remedy.
    excepted: Vec<String>,
    /// Whether some are because a policy observes, or doesn't touch what failed before.
    observed: bool,
}

impl Held {
    /// Those of these that are held back. `told` is what the operator says, `remembers` whether the log was at hand.
    pub(super) fn of(proposals: &[Proposal], told: &Told, remembers: bool) -> Self {
        let mut all = Self::default();
        for proposal in proposals.iter().filter(|p| p.remedy.is_some()) {
            let Proposal {
                policy,
                control,
                subject,
                standing,
                ..
            } = proposal;
            let told = told.why(policy, control, subject);
            let (why, shown) = match standing {
                Standing::Held(hold) => {
                    all.observed |= matches!(hold, Hold::Observe | Hold::Existing);
                    let why = told.unwrap_or_else(|| pass::why_held(hold, remembers));
                    (why, false)
                }
                Standing::UnderWay => match told {
                    Some(why) => (why, true),
                    None => continue,
                },
                Standing::Quiet => continue,
            };
            all.add((why, shown), subject, control, policy);
        }
        all
    }

    /// Adds the failures that exceptions accept.
    pub(super) fn excepted(&mut self, engine: &Engine) {
        for findings in engine.findings() {
            for (subject, verdict) in &findings.subjects {
                self.accepted(findings.policy, findings.info.id, subject, verdict);
            }
        }
    }

    /// Adds a failure if an exception accepts it. Nothing shows whether it had a remedy: with the exception it has none.
    fn accepted(&mut self, policy: &str, control: &str, subject: &Subject, verdict: &Verdict) {
        if let Some(accepted) = &verdict.accepted {
            let line = line(subject, control, policy);
            self.excepted.push(format!("{line}: {}", accepted.by));
        }
    }

    fn add(&mut self, why: (String, bool), subject: &Subject, control: &str, policy: &str) {
        let line = line(subject, control, policy);
        self.reasons.entry(why).or_default().push(line);
    }

    /// How many there are for each reason, and the first of them.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((why, shown), held) in &self.reasons {
            let (count, are) = (held.len(), either(held.len(), "is", "are"));
            let what = many(count, "remedy");
            lines.push(if *shown {
                format!("{what} of those above {are} held back, says the operator: {why}")
            } else {
                format!("{what} {are} held back: {why}")
            });
            lines.extend(first(held));
        }
        if !self.excepted.is_empty() {
            let count = self.excepted.len();
            let (what, are) = (many(count, "failure"), either(count, "is", "are"));
            lines.push(format!(
                "{what} {are} accepted by an exception, and left as {} {are}",
                either(count, "it", "they")
            ));
            lines.extend(first(&self.excepted));
        }
        if self.observed {
            lines.push("--enforce shows what would be done if every policy enforced".to_owned());
        }
        lines
    }
}

fn line(subject: &Subject, control: &str, policy: &str) -> String {
    format!("{subject} ({control}, policy {policy})")
}

/// The first of these lines, and how many more there are.
fn first(held: &[String]) -> impl Iterator<Item = String> {
    let more = held.len().saturating_sub(MOST);
    let first = held.iter().take(MOST);
    let first = first.map(|line| format!("  {}", one_line(line)));
    first.chain((more > 0).then(|| format!("  and {more} more")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{Acceptance, Remedy, Target},
        inventory::Kind,
        verdict::{Outcome, Strength},
    };

    fn proposal(name: &str, standing: Standing) -> Proposal {
        Proposal {
            policy: "soc2".into(),
            control: "net-namespace-default-deny",
            subject: Subject::object(Kind::Namespace, &"".into(), &name.into()),
            standing,
            remedy: Some(Box::new(Remedy::Delete {
                target: Target {
                    kind: Kind::RoleBinding,
                    namespace: "shop".into(),
                    name: "a".into(),
                },
            })),
        }
    }

    #[test]
    fn what_an_exception_accepts_is_named_with_the_exception() {
        let subject = |name: &str| Subject::object(Kind::Namespace, &"".into(), &name.into());
        let mut accepted = Verdict::fail(Strength::Effective, "R", "m");
        accepted.outcome = Outcome::Excepted;
        accepted.accepted = Some(Box::new(Acceptance {
            by: "ControlException shop/legacy".to_owned(),
            approved: true,
        }));
        let mut held = Held::default();
        held.accepted("soc2", "c", &subject("shop"), &accepted);
        let failed = Verdict::fail(Strength::Effective, "R", "m");
        held.accepted("soc2", "c", &subject("pay"), &failed);
        assert_eq!(
            held.lines(),
            [
                "1 failure is accepted by an exception, and left as it is",
                "  Namespace shop (c, policy soc2): ControlException shop/legacy",
            ]
        );
    }

    #[test]
    fn what_is_held_back_is_named_with_why() {
        let until = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut proposals = vec![
            proposal("shop", Standing::Held(Hold::Brake)),
            proposal("paused", Standing::Held(Hold::Paused(until))),
            proposal("done", Standing::UnderWay),
        ];
        proposals.extend((0..12).map(|n| {
            let hold = Hold::Contended("bot".to_owned(), until);
            proposal(&format!("n{n:02}"), Standing::Held(hold))
        }));
        let lines = Held::of(&proposals, &Told::default(), true).lines();
        let text = lines.join("\n") + "\n";
        for said in [
            "1 remedy is held back: the brake is latched; change limits.release\n  \
             Namespace shop (net-namespace-default-deny, policy soc2)\n",
            "1 remedy is held back: paused until 2026-01-01T00:00:00Z\n  Namespace paused (",
            "12 remedies are held back: field manager bot keeps writing back",
            "  Namespace n09 (net-namespace-default-deny, policy soc2)\n  and 2 more\n",
        ] {
            assert!(text.contains(said), "{said}\n---\n{text}");
        }
        assert!(!text.contains("Namespace done"), "{text}");
        assert!(!text.contains("--enforce"), "{text}");
    }
}
