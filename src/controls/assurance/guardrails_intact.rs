//! `assurance-guardrails-intact`

use crate::{
    api::Period,
    controls::prelude::*,
    guardrails::{Guard, Guardrails, Seen, Source},
};

/// The reason for which nobody can tell yet: the operator has not looked.
pub(crate) const NOT_LOOKED: &str = "NotLooked";

/// What keeps Probity in its place is as its release makes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardrailsIntact {
    /// How often it is looked.
    #[serde(default = "a_minute")]
    pub every: Period,
}

fn a_minute() -> Period {
    Period::minutes(1)
}

impl Default for GuardrailsIntact {
    fn default() -> Self {
        Self { every: a_minute() }
    }
}

/// A look that is older than so many times its interval says nothing.
const STALE: i32 = 10;

impl GuardrailsIntact {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "assurance-guardrails-intact",
        field: "assuranceGuardrailsIntact",
        title: "Probity's own API, policies, rights and image are those of its release",
        family: Family::Assurance,
        criteria: &["CC7.2", "CC8.1"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::Guardrails],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Probity's CRDs are those of this build. Its ValidatingAdmissionPolicies and their \
               bindings, the chart's roles and their bindings, and the image that its StatefulSet \
               runs, are what the chart has rendered (the release manifest, which lies in an \
               immutable ConfigMap named by its digest). The image is named by its digest.",
        why: "Who may approve, what Probity may write and what an exception may be are held by \
              these objects alone. Whoever weakens one of them, if only for an hour, can have a \
              decision in somebody else's name in the evidence.",
        fix: "Nothing is written: Probity must not be able to change its own rights and bounds.",
        by_hand: "Install the release again with the same values (`helm upgrade`), find out in the \
                  audit log of the API server who wrote, and look at everything that was decided \
                  meanwhile. Name the image by its digest (`image.digest`).",
        prevention: "Restrict who may write admission configuration \
                     (rbac-admission-config-write-restricted) and roles \
                     (rbac-no-escalate-bind-impersonate).",
        limits: "It looks `every` minute, by default: what is weakened and put back between two looks only the \
                 audit log of the API server shows. The writer that it names is the field manager, \
                 which is what a client calls itself, and no authenticated identity. A policy that \
                 the release was told not to install is NotApplicable. While another release is being \
                 installed, what differs is Unknown. Whoever installs another chart, or alters the \
                 StatefulSet together with its manifest, decides what is compared: compare the \
                 image's digest and the chart with those that were published. What is added to our \
                 rights by bindings of other names is judged by the controls of the family rbac.",
    };
}

fn subject(guard: &Guard) -> Subject {
    Subject {
        namespace: guard.namespace.as_str().into(),
        kind: SubjectKind::Guard(guard.kind),
        name: guard.name.as_str().into(),
    }
}

fn of_manifest(source: &Source) -> Verdict {
    let operating = Strength::Operating;
    match source {
        Source::Ours => Verdict::pass(
            operating,
            "ReleaseKnown",
            "the manifest of the release is of this version, and unchanged",
        ),
        Source::NotThere(why) => Verdict::unknown("NoManifest", why.clone()),
        Source::Altered(why) => Verdict::fail(
            operating,
            "ManifestAltered",
            format!("the manifest of the release is not what it has put there: {why}"),
        ),
        Source::Other(why) => Verdict::fail(
            operating,
            "ManifestOfAnotherVersion",
            format!("the manifest of the release: {why}"),
        ),
    }
}

fn of_guard(seen: &Seen) -> Verdict {
    let operating = Strength::Operating;
    match seen {
        Seen::Intact => Verdict::pass(operating, "AsReleased", "it is as the release makes it"),
        Seen::Differs { path, writer } => {
            let by = match writer {
                Some((manager, Some(at))) => {
                    format!("; field manager {manager} wrote last, at {at}")
                }
                Some((manager, None)) => format!("; field manager {manager} wrote last"),
                None => String::new(),
            };
            let message = format!("{path} is not as the release makes it{by}");
            Verdict::fail(operating, "GuardrailChanged", message)
        }
        Seen::Gone => Verdict::fail(
            operating,
            "GuardrailGone",
            "the release makes it, and it is not there",
        ),
        Seen::Upgrading => Verdict::unknown(
            "ReleaseUnderWay",
            "it differs, and the StatefulSet is of another release, which is being installed",
        ),
        Seen::SwitchedOff => Verdict::not_applicable(
            "SwitchedOff",
            "the values of the release say that it is not installed",
        ),
        Seen::NotPinned(image) => Verdict::unknown(
            "ImageNotPinned",
            format!("{image} is named by a tag, behind which any image may be"),
        ),
        Seen::NotSeen(why) => Verdict::unknown("NotSeen", why.clone()),
    }
}

impl GuardrailsIntact {
    fn judge_one(&self, look: &Guardrails, of: &Subject, now: Timestamp) -> Option<Verdict> {
        let every = jiff::SignedDuration::try_from(self.every.duration()).unwrap_or_default();
        let stale = every.saturating_mul(STALE);
        let until = look.at.saturating_add(stale).unwrap_or(Timestamp::MAX);
        let verdict = if of.kind == SubjectKind::Cluster {
            of_manifest(&look.source)
        } else {
            let mut seen = look.seen.iter();
            let (_, seen) = seen.find(|(guard, _)| subject(guard) == *of)?;
            of_guard(seen)
        };
        if now >= until {
            let message = format!("it was last looked at {}", look.at);
            return Some(Verdict::unknown("LookTooOld", message));
        }
        Some(verdict.recheck(until))
    }
}

impl Control for GuardrailsIntact {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.every.duration() < std::time::Duration::from_secs(10) {
            return Err(
                "every is shorter than ten seconds: each look reads some thirty objects".into(),
            );
        }
        Ok(())
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        if namespace.is_none_or(str::is_empty) {
            found(Subject::named(SubjectKind::Cluster, "cluster"));
        }
        let guards = context.observed.guardrails.iter();
        let guards = guards.flat_map(|look| look.seen.keys());
        let inside = |guard: &&Guard| namespace.is_none_or(|of| *guard.namespace == *of);
        for guard in guards.filter(inside) {
            found(subject(guard));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match &context.observed.guardrails {
            Some(look) => self.judge_one(look, subject, context.now),
            None if subject.kind == SubjectKind::Cluster => Some(Verdict::unknown(
                NOT_LOOKED,
                "nobody has looked at them yet",
            )),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::World, guardrails::GuardKind};

    fn world(source: Source, seen: Seen, minutes_ago: i64) -> World {
        let mut world = World::new();
        let guard = Guard {
            kind: GuardKind::ValidatingAdmissionPolicy,
            namespace: String::new(),
            name: "probity-expiry".to_owned(),
        };
        world.observed.guardrails = Some(Guardrails {
            at: world.now - jiff::SignedDuration::from_mins(minutes_ago),
            source,
            seen: [(guard, seen)].into(),
        });
        world
    }

    const POLICY: &str = "ValidatingAdmissionPolicy probity-expiry";

    #[test]
    fn what_is_weakened_is_named_with_who_says_to_have_done_it() {
        let differs = Seen::Differs {
            path: "spec.failurePolicy".to_owned(),
            writer: Some(("kubectl-edit".to_owned(), None)),
        };
        let message = of_guard(&differs).message.to_string();
        let wanted = "spec.failurePolicy is not as the release makes it; field manager kubectl-edit wrote last";
        assert_eq!(message, wanted);
        for (seen, outcome, reason) in [
            (Seen::Intact, Outcome::Pass, "AsReleased"),
            (differs, Outcome::Fail, "GuardrailChanged"),
            (Seen::Gone, Outcome::Fail, "GuardrailGone"),
            (Seen::Upgrading, Outcome::Unknown, "ReleaseUnderWay"),
            (Seen::SwitchedOff, Outcome::NotApplicable, "SwitchedOff"),
            (
                Seen::NotPinned("a:b".to_owned()),
                Outcome::Unknown,
                "ImageNotPinned",
            ),
            (Seen::NotSeen("403".to_owned()), Outcome::Unknown, "NotSeen"),
        ] {
            let all = world(Source::Ours, seen, 9).outcomes(&GuardrailsIntact::default());
            assert_eq!(all[POLICY], (outcome, reason));
            assert_eq!(all["Cluster cluster"], (Outcome::Pass, "ReleaseKnown"));
        }
    }

    #[test]
    fn without_a_manifest_that_is_ours_nothing_is_as_it_should_be() {
        let why = String::new;
        for (source, outcome, reason) in [
            (Source::NotThere(why()), Outcome::Unknown, "NoManifest"),
            (Source::Altered(why()), Outcome::Fail, "ManifestAltered"),
            (
                Source::Other(why()),
                Outcome::Fail,
                "ManifestOfAnotherVersion",
            ),
        ] {
            let all = world(source, Seen::Intact, 0).outcomes(&GuardrailsIntact::default());
            assert_eq!(all["Cluster cluster"], (outcome, reason));
        }
        let nobody = World::new().only(&GuardrailsIntact::default());
        assert_eq!(
            (nobody.outcome, nobody.reason),
            (Outcome::Unknown, "NotLooked")
        );
    }

    #[test]
    fn an_old_look_says_nothing() {
        let all = world(Source::Ours, Seen::Intact, 10).outcomes(&GuardrailsIntact::default());
        for subject in [POLICY, "Cluster cluster"] {
            assert_eq!(all[subject], (Outcome::Unknown, "LookTooOld"));
        }
    }
}
