//! `workload-psa-enforced`

use std::sync::Arc;

use serde_json::json;

use crate::{
    controls::prelude::*,
    controls::workloads::{self, Held},
    inventory::namespace::{PSA_ENFORCE, PSA_ENFORCE_VERSION},
};

/// Each namespace enforces a Pod Security level, so that the API server refuses pods that could
/// take over their node.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaEnforced {
    /// The least level that must be enforced.
    #[serde(default)]
    pub level: Level,

    /// The oldest version of the rules that may be pinned, such as `v1.30`. `latest`, or no
    /// version at all, is always new enough; without this parameter every version is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = r"^v1\.(0|[1-9][0-9]{0,3})$"))]
    pub min_version: Option<String>,
}

/// A level of the Pod Security Standards.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No known privilege escalation.
    #[default]
    Baseline,
    /// Hardened pods.
    Restricted,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// `None` for `privileged` and for what is no level.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

/// Minor version of `v1.NN`.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("v1.")?;
    let plain = digits == "0" || !digits.starts_with('0');
    let digits = digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then_some(digits)?;
    plain.then(|| digits.parse().ok()).flatten()
}

impl PsaEnforced {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "workload-psa-enforced",
        field: "workloadPsaEnforced",
        title: "Every namespace enforces a Pod Security level",
        family: Family::Workload,
        criteria: &["CC6.1", "CC6.8"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 1,
        reads: &[
            Kind::Namespace,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
        ],
        subjects: &[Kind::Namespace],
        derives: &[],
        observes: &[],
        writes: &[Write::patch(Kind::Namespace)],
        scope: ScopeUse::BySubject,
        what: "Each namespace in scope carries the label `pod-security.kubernetes.io/enforce` with \
               at least the wanted level, and an `enforce-version` that is absent, `latest` or not \
               older than `minVersion`.",
        why: "Without it, whoever may create a pod may create a privileged one, and with that take \
              over the node and every other pod on it.",
        fix: "The labels come back as they were when the namespace last passed, else `enforce` is \
              set to the wanted level and a version that is too old to `latest`: only if every pod \
              template in the namespace, also at zero replicas, and every live pod meets that \
              level, so that nothing is refused that works today. Otherwise it is a proposal that \
              names what would be refused.",
        by_hand: "`kubectl label --dry-run=server namespace … \
               pod-security.kubernetes.io/enforce=baseline` lists what would be refused; mend \
               that, then set the label.",
        prevention: "Pod Security admission is the prevention; a ValidatingAdmissionPolicy can refuse \
               that the label is lowered.",
        limits: "Defaults and exemptions in the API server's AdmissionConfiguration can't be seen: \
                 a namespace that relies on a cluster-wide default fails, and exempt users, \
                 runtime classes and namespaces are not known. OpenShift sets these labels itself \
                 unless `security.openshift.io/scc.podSecurityLabelSync` is `false`. Whether \
                 something would be refused is judged by the rules of 1.37; templates of kinds \
                 that we don't watch are seen only through their pods. A lowered level that still \
                 is at least the wanted one passes.",
    };

    /// What is wrong with the labels: a reason and a sentence.
    fn wrong(
        &self,
        enforce: Option<&str>,
        version: Option<&str>,
    ) -> Option<(&'static str, String)> {
        let wanted = self.level.as_str();
        let Some(enforce) = enforce else {
            let message = format!("label {PSA_ENFORCE} is missing; at least {wanted} is wanted");
            return Some(("NotEnforced", message));
        };
        if Level::parse(enforce).is_none_or(|level| level < self.level) {
            let known = enforce == "privileged" || Level::parse(enforce).is_some();
            let (reason, what) = if known {
                ("LevelTooLow", "below the wanted")
            } else {
                ("InvalidLevel", "no level; wanted is")
            };
            let message = format!("label {PSA_ENFORCE} is {enforce:?}: {what} {wanted}");
            return Some((reason, message));
        }
        let version = version.filter(|version| *version != "latest")?;
        let Some(minor) = minor(version) else {
            let message =
                format!("label {PSA_ENFORCE_VERSION} is {version:?}, which is no version");
            return Some(("InvalidVersion", message));
        };
        let least = self.min_version.as_deref()?;
        (self::minor(least)? > minor).then(|| {
            let message =
                format!("label {PSA_ENFORCE_VERSION} is {version}; at least {least} is wanted");
            ("VersionTooOld", message)
        })
    }

    /// Labels that would pass, best first: those of the last pass, then the least that is wanted.
    fn wanted(&self, context: &Context<'_>, meta: &Meta) -> Vec<(Level, Option<String>, bool)> {
        let kept = context.kept.filter(|kept| kept.uid == meta.uid);
        let kept = kept.and_then(|kept| {
            let enforce = kept.value["enforce"].as_str()?;
            let version = kept.value["version"].as_str();
            // The parameters may have become stricter since.
            let passes = self.wrong(Some(enforce), version).is_none();
            let version = version.map(str::to_owned);
            passes.then_some((Level::parse(enforce)?, version, true))
        });
        let now = meta.labels.get(PSA_ENFORCE).and_then(Level::parse);
        let level = now.map_or(self.level, |now| now.max(self.level));
        let set = (level, Some("latest".to_owned()), false);
        kept.into_iter().chain([set]).collect()
    }

    /// Mends a failing verdict, or says why that would break something.
    fn mend(&self, context: &Context<'_>, meta: &Meta, verdict: Verdict) -> Verdict {
        let mut refused = (self.level, Vec::new());
        for (level, version, kept) in self.wanted(context, meta) {
            refused = (level, offenders(context.inventory, &meta.name, level));
            if refused.1.is_empty() {
                return verdict.remedy(self.remedy(meta, level, version.as_deref(), kept));
            }
        }
        let (level, offenders) = refused;
        let more = offenders.len().saturating_sub(3);
        let first: Vec<_> = offenders.into_iter().take(3).collect();
        let more = if more == 0 {
            String::new()
        } else {
            format!("; and {more} more")
        };
        let (level, name) = (level.as_str(), &meta.name);
        verdict.propose(format!(
            "{level} would refuse pods of: {}{more}. Change these or move them to a namespace of \
             their own, then enforce; until then `kubectl label namespace {name} \
             pod-security.kubernetes.io/warn={level} pod-security.kubernetes.io/audit={level}` \
             shows and logs what breaks it",
            first.join("; ")
        ))
    }

    /// Writes one label at a time, because each may have another owner: the level first.
    fn remedy(&self, meta: &Meta, level: Level, version: Option<&str>, kept: bool) -> Remedy {
        let target = Target {
            kind: Kind::Namespace,
            namespace: "".into(),
            name: Arc::clone(&meta.name),
        };
        let enforce = meta.labels.get(PSA_ENFORCE).and_then(Level::parse);
        let (field, label) = if enforce.is_none_or(|enforce| enforce < self.level) {
            (0, json!({ PSA_ENFORCE: level.as_str() }))
        } else {
            (1, json!({ PSA_ENFORCE_VERSION: version }))
        };
        let patch = json!({ "metadata": { "labels": label } });
        if kept {
            Remedy::PutBack {
                target,
                patch,
                path: field,
            }
        } else {
            Remedy::Set {
                target,
                patch,
                path: field,
            }
        }
    }
}

/// What would be refused at `level`, in words. What can't be decoded might be.
fn offenders(inventory: &Inventory, namespace: &str, level: Level) -> Vec<String> {
    let mut found = Vec::new();
    let mut refuse = |held: Held<'_>| {
        let template = held.template;
        let baseline = template.breaks_baseline.as_ref();
        let broken = match level {
            Level::Baseline => baseline,
            Level::Restricted => baseline.or(template.breaks_restricted.as_ref()),
        };
        if let Some(why) = broken {
            let kind = held.kind.info().kind;
            found.push(format!("{kind} {} ({why})", held.meta.name));
        }
    };
    workloads::templates(inventory, Some(namespace), &mut refuse);
    for kind in workloads::KINDS {
        let names = inventory.broken_names(kind).into_iter();
        for (_, name) in names.filter(|(of, _)| **of == *namespace) {
            let kind = kind.info().kind;
            found.push(format!("{kind} {name} (it can't be decoded)"));
        }
    }
    found
}

impl Control for PsaEnforced {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        match &self.min_version {
            Some(version) if minor(version).is_none() => {
                Err(format!("minVersion is {version:?}; write it as `v1.30`"))
            }
            _ => Ok(()),
        }
    }

    fn touched(&self, change: &Change) -> Touched {
        Touched::Subject(Subject::namespace(match change.kind {
            Kind::Namespace => &change.name,
            _ => &change.namespace,
        }))
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        subject::namespaces(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let meta = context.inventory.meta(Kind::Namespace, "", &subject.name)?;
        let enforce = meta.labels.get(PSA_ENFORCE);
        let version = meta.labels.get(PSA_ENFORCE_VERSION);
        Some(match self.wrong(enforce, version) {
            Some((reason, message)) => {
                let verdict = Verdict::fail(Strength::Declared, reason, message);
                self.mend(context, meta, verdict)
            }
            None => Verdict::pass(Strength::Declared, "Enforced", "").keeping(Kept {
                uid: meta.uid,
                value: json!({ "enforce": enforce, "version": version }),
                owners: Arc::clone(&meta.owners),
            }),
        })
    }
}

#[cfg(test)]
mod tests;
