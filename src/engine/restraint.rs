//! What is told when the engine restrains itself: truces, brakes, budgets.

use std::time::Duration;

use super::{Engine, Measure, NoticeKind, Now, fights::Truce};
use crate::{
    controls::{Remedy, Subject},
    evidence::{
        body::{Body, Brake, Contended},
        words::BrakeState,
    },
    inventory::Sym,
    words::many,
};

impl Engine {
    /// Leaves a field alone for a while, because someone else keeps writing it.
    pub(super) fn begin_truce(
        &mut self,
        id: u32,
        subject: &Subject,
        remedy: &Remedy,
        truce: &Truce,
        now: Now,
    ) {
        let target = remedy.target();
        let Truce { until, manager, .. } = truce.clone();
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let (control, policies) = (instance.key.control, instance.policies.clone());
        let field = field_name(remedy);
        let said = Contended {
            control: control.into(),
            subject: self.target_ref(target),
            field,
            manager: manager.clone(),
            until,
        };
        self.say(Body::Contended(said));
        let note = format!("field manager {manager} keeps writing back; left alone until {until}");
        for name in &policies {
            if let Some(policy) = self.policies.get_mut(name) {
                policy.contended = Some(format!("{subject} ({control}): {note}"));
            }
            self.status_soon(name, now);
            let policy = name.clone();
            self.out
                .measures
                .push(Measure::Contended { policy, control });
        }
        let (kind, remedy) = (NoticeKind::Warning, remedy.clone());
        self.notice_action(
            subject,
            &policies,
            &remedy,
            control,
            kind,
            "Contended",
            &note,
        );
    }

    /// Says that a brake latched.
    pub(super) fn note_brake(&mut self, policy: &Sym, control: &'static str, now: Now) {
        let reason = "too large a share of the population would be changed within ten minutes";
        self.say(Body::Brake(Brake {
            control: control.into(),
            policy: policy.clone(),
            state: BrakeState::Latched,
            reason: reason.to_owned(),
        }));
        let note = format!("{control}: {reason}; nothing is written until limits.release changes");
        self.notice_policy(policy, NoticeKind::Warning, "BrakeLatched", note);
        self.out.measures.push(Measure::Brake {
            policy: policy.clone(),
            control,
            latched: true,
        });
        self.status_soon(policy, now);
    }

    /// Says that the budget is used up.
    pub(super) fn note_budget(&mut self, policy: &Sym, now: Now) {
        let Some(known) = self.policies.get_mut(policy) else {
            return;
        };
        if known
            .budget_said
            .is_some_and(|at| at + Duration::from_mins(1) > now.mono)
        {
            return;
        }
        known.budget_said = Some(now.mono);
        let limit = known.spec.limits.writes_per_minute;
        let policy_name = policy.clone();
        self.out.measures.push(Measure::Budget {
            policy: policy_name,
        });
        self.say(Body::Brake(Brake {
            control: "budget".into(),
            policy: policy.clone(),
            state: BrakeState::Latched,
            reason: format!(
                "{} within a minute; it goes on by itself",
                many(limit, "write")
            ),
        }));
        let note = format!(
            "the budget of {} a minute is used up; it goes on by itself",
            many(limit, "write")
        );
        self.notice_policy(policy, NoticeKind::Warning, "BudgetReached", note);
        self.status_soon(policy, now);
    }
}

fn field_name(remedy: &Remedy) -> String {
    match remedy {
        Remedy::PutBack { patch, .. } | Remedy::Set { patch, .. } => patch.to_string(),
        Remedy::Create { .. } | Remedy::Start { .. } | Remedy::Delete { .. } => "*".to_owned(),
    }
}
