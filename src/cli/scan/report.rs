//! What a scan found: what every format prints.

use std::collections::{BTreeMap, BTreeSet};

use super::{manifests::Place, offline::Declared, unread::Unread};
use crate::{
    cli::output::fix::fix,
    controls::{
        Control, Info, Observation, Subject, SubjectKind, Verdict,
        assurance::{NOT_CHECKED, NOT_LOGGED, NOT_LOOKED},
        encryption::NOT_LOOKED_YET,
        restricted::HOLDS_CLUSTER_ADMIN,
    },
    engine::Findings,
    verdict::{Counts, Outcome, Severity, Strength},
};

/// What a scan never looks at, by the reason for which it is not known yet: the evidence log, what the release brought, and
/// a Secret.
const OF_THE_OPERATOR: [(Observation, &str); 4] = [
    (Observation::Changes, NOT_LOGGED),
    (Observation::Guardrails, NOT_LOOKED),
    (Observation::SelfAudit, NOT_CHECKED),
    (Observation::RepositoryPassword, NOT_LOOKED_YET),
];

/// What a scan found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) source: Source,
    pub(super) controls: Vec<Judged>,
    /// What else has to be known to read it.
    pub(super) notes: Vec<String>,
    /// Documents that are not read: nobody can tell what they would do.
    pub(super) unread: Vec<Unread>,
    /// Whether nothing could be looked at.
    pub(super) blind: bool,
}

/// What was looked at.
#[derive(Debug)]
pub(super) enum Source {
    /// A cluster, by the address of its API server and its version.
    Cluster { url: String, version: String },
    /// So many objects in so many files.
    Files { files: usize, objects: usize },
}

/// What one control says in one policy.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) policy: String,
    pub(super) info: &'static Info,
    pub(super) severity: Severity,
    pub(super) outcome: Outcome,
    pub(super) counts: Counts,
    /// Why it is as it is, where no subject says so.
    pub(super) why: Option<String>,
    pub(super) findings: Vec<Finding>,
}

/// What is said of one subject.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) subject: Subject,
    pub(super) outcome: Outcome,
    pub(super) strength: Strength,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// How to mend it; empty where there is nothing to mend.
    pub(super) fix: String,
    pub(super) place: Option<Place>,
}

impl Finding {
    pub(super) fn new(subject: &Subject, verdict: &Verdict, info: &Info) -> Self {
        let fix = match verdict.outcome {
            Outcome::Fail => fix(verdict, info),
            _ => String::new(),
        };
        Self {
            subject: subject.clone(),
            outcome: verdict.outcome,
            strength: verdict.strength,
            reason: verdict.reason,
            message: verdict.message.to_string(),
            fix,
            place: None,
        }
    }

    /// Nobody can tell, for this reason.
    fn unclear(&mut self, reason: &'static str, why: &str) {
        self.outcome = Outcome::Unknown;
        self.reason = reason;
        why.clone_into(&mut self.message);
        self.fix.clear();
    }
}

impl Judged {
    /// What a control says.
    pub(super) fn of(found: Findings<'_>) -> Self {
        let rows = found.subjects.iter();
        let findings = rows.map(|(subject, verdict)| Finding::new(subject, verdict, found.info));
        Self {
            policy: found.policy.to_string(),
            info: found.info,
            severity: found.severity,
            outcome: found.outcome,
            counts: found.counts,
            why: found.blind,
            findings: findings.collect(),
        }
    }

    /// What a control of a live cluster says to a scan, which is over when others would look.
    pub(super) fn of_cluster(found: Findings<'_>) -> Self {
        let mut judged = Self::of(found);
        let observes = judged.info.observes;
        let mut of = OF_THE_OPERATOR.iter();
        let Some((_, reason)) = of.find(|(what, _)| observes.contains(what)) else {
            return judged;
        };
        for finding in &mut judged.findings {
            if finding.outcome == Outcome::Unknown && finding.reason == *reason {
                let why = "no scan can show it, but the running operator: see `probity status`";
                finding.unclear(reason, why);
            }
        }
        judged
    }

    /// What a control of manifests says.
    pub(super) fn of_files(found: Findings<'_>, declared: &Declared, complete: bool) -> Self {
        let control = found.control;
        let mut judged = Self::of(found);
        if let Some(why) = declared.idle(judged.info) {
            judged.why = Some(why);
            judged.outcome = Outcome::NotApplicable;
            judged.counts = Counts::default();
            judged.findings.clear();
            return judged;
        }
        let findings = &mut judged.findings;
        // How API servers run is no matter of files.
        let of_files = |finding: &Finding| match finding.subject.kind {
            SubjectKind::ApiServer => false,
            SubjectKind::Cluster => finding.reason != NOT_LOOKED_YET,
            _ => declared.declares(&finding.subject),
        };
        findings.retain(of_files);
        for finding in findings {
            finding.place = declared.place(&finding.subject).cloned();
            if let Some(why) = declared.misfit(&finding.subject) {
                finding.unclear(finding.reason, why);
            }
        }
        for finding in &mut judged.findings {
            if let Some(why) = declared.pods_to_come(finding, control) {
                finding.unclear("PodsNotShown", &why);
            }
        }
        judged.keep_what_stands(control, declared, complete);
        judged.recount();
        judged
    }

    /// Makes `Unknown` of what objects might turn of which no file holds the kind. Where no failure
    /// is left, they make the control as a whole unknown.
    fn keep_what_stands(&mut self, control: &dyn Control, declared: &Declared, complete: bool) {
        let missing = declared.missing_of(self.info, complete);
        let Some((_, why)) = missing.first() else {
            return;
        };
        let mut fails = false;
        for finding in &mut self.findings {
            let mut undone = missing
                .iter()
                .filter(|(kind, _)| !declared.stands(finding, control, *kind));
            match undone.next() {
                Some((_, why)) => finding.unclear("KindMissing", why),
                None => fails = fails || finding.outcome == Outcome::Fail,
            }
        }
        if !fails {
            self.why = Some(why.clone());
            self.outcome = Outcome::Unknown;
            self.counts = Counts::default();
            self.findings.clear();
        }
    }

    /// Makes `Unknown` of what `other` says otherwise, under another assumption.
    pub(super) fn doubt(&mut self, other: &Self, why: &str) {
        if self.why.is_some() {
            return;
        }
        let known: BTreeMap<&Subject, &Finding> = other
            .findings
            .iter()
            .map(|finding| (&finding.subject, finding))
            .collect();
        for finding in &mut self.findings {
            // Whoever fails and holds everything fails elsewhere: more rights excuse nobody.
            let excused = |known: &Finding| {
                finding.outcome == Outcome::Fail && known.reason == HOLDS_CLUSTER_ADMIN
            };
            let same = known
                .get(&finding.subject)
                .is_some_and(|known| known.outcome == finding.outcome || excused(known));
            if !same {
                finding.unclear("RoleUnknown", why);
            }
        }
        let own: BTreeSet<Subject> = self.findings.iter().map(|f| f.subject.clone()).collect();
        for (subject, finding) in known {
            if !own.contains(subject) {
                let mut finding = finding.clone();
                finding.unclear("RoleUnknown", why);
                self.findings.push(finding);
            }
        }
        self.findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        self.recount();
    }

    /// Counts its findings again, after some were left out.
    pub(super) fn recount(&mut self) {
        if self.why.is_some() {
            return;
        }
        self.counts = Counts::default();
        for finding in &self.findings {
            self.counts.add(finding.outcome);
        }
        self.outcome = self.counts.combined();
    }

    /// Findings with an outcome.
    pub(super) fn with(&self, outcome: Outcome) -> impl Iterator<Item = &Finding> {
        // Where nothing can be judged, what was said before does not count.
        let findings = self.findings.iter().filter(|_| self.why.is_none());
        findings.filter(move |finding| finding.outcome == outcome)
    }
}

impl Report {
    /// Controls by outcome.
    pub(super) fn controls_by_outcome(&self) -> Counts {
        let mut counts = Counts::default();
        for judged in &self.controls {
            counts.add(judged.outcome);
        }
        counts
    }

    /// Subjects by outcome; one that several controls judge counts for each.
    pub(super) fn subjects_by_outcome(&self) -> Counts {
        let mut counts = Counts::default();
        for judged in &self.controls {
            counts.join(&judged.counts);
        }
        counts
    }

    /// Failing subjects by severity.
    pub(super) fn failing(&self) -> BTreeMap<Severity, u64> {
        let mut failing = BTreeMap::new();
        for judged in &self.controls {
            let failed = judged.counts.of(Outcome::Fail);
            if failed > 0 {
                *failing.entry(judged.severity).or_default() += failed;
            }
        }
        failing
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::{controls::registry, inventory::Kind};

    /// One of each outcome, with names that need escaping everywhere.
    pub(in crate::cli::scan) fn report() -> Report {
        let info = registry::find("net-pod-ingress-isolated").unwrap().info;
        let finding = |name: &str, verdict: Verdict| {
            let subject = Subject::object(Kind::Deployment, &"shop".into(), &name.into());
            let mut finding = Finding::new(&subject, &verdict, info);
            finding.place = Some(Place {
                file: "a <b>/web.yaml".to_owned(),
                line: 3,
            });
            finding
        };
        let fail = Verdict::fail(
            Strength::Effective,
            "PodNotIsolated",
            "any \"pod\" <may> & can\u{1}",
        )
        .propose("write a `NetworkPolicy`");
        let findings = vec![
            finding("we|b", fail),
            finding(
                "ok",
                Verdict::pass(Strength::Effective, "Isolated", "is isolated"),
            ),
            finding("unclear", Verdict::unknown("Unclear", "nobody can tell")),
            finding(
                "excepted",
                Verdict::new(
                    Outcome::Excepted,
                    Strength::Effective,
                    "PodNotIsolated",
                    "accepted",
                ),
            ),
            finding("none", Verdict::not_applicable("NoPods", "has no pods")),
        ];
        let judged = |why: Option<&str>, id: &str, findings, outcome| Judged {
            policy: "soc2-baseline".to_owned(),
            info: registry::find(id).unwrap().info,
            severity: Severity::High,
            outcome,
            counts: Counts::default(),
            why: why.map(str::to_owned),
            findings,
        };
        let mut controls = vec![
            judged(None, info.id, findings, Outcome::Fail),
            judged(
                Some("no file holds one"),
                "net-policy-dead",
                Vec::new(),
                Outcome::Unknown,
            ),
            judged(
                Some("only a running cluster shows it"),
                "net-policy-enforced",
                Vec::new(),
                Outcome::NotApplicable,
            ),
        ];
        controls.iter_mut().for_each(Judged::recount);
        Report {
            source: Source::Files {
                files: 1,
                objects: 5,
            },
            controls,
            notes: vec!["one document was passed over".to_owned()],
            unread: vec![Unread {
                place: Place {
                    file: "a <b>/typo.yaml".to_owned(),
                    line: 9,
                },
                what: "v1 Namespac".to_owned(),
                why: "did you mean Namespace?".to_owned(),
            }],
            blind: false,
        }
    }
}
