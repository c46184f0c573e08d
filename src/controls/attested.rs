//! Controls that no cluster shows: a person says that they are operated, in their own name, and
//! somebody else approves it. All of them have one shape; a file says what must be in one.

mod disposal_record;
mod dr_exercise;
mod governance;
mod idp_mfa_and_membership;
mod incident_exercise;
mod incident_register;
mod penetration_test;
mod physical_access;
mod policy_review;
mod privacy_program;
mod risk_assessment;
mod security_training;
mod subservice_soc_report;
#[cfg(test)]
mod tests;
mod vendor_review;

pub use self::{
    disposal_record::DisposalRecord, dr_exercise::DrExercise, governance::Governance,
    idp_mfa_and_membership::IdpMfaAndMembership, incident_exercise::IncidentExercise,
    incident_register::IncidentRegister, penetration_test::PenetrationTest,
    physical_access::PhysicalAccess, policy_review::PolicyReview, privacy_program::PrivacyProgram,
    risk_assessment::RiskAssessment, security_training::SecurityTraining,
    subservice_soc_report::SubserviceSocReport, vendor_review::VendorReview,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::Period,
    controls::{Context, Verdict},
    engine::Attested,
    verdict::Strength,
    words::many,
};

/// Defines an attested control.
macro_rules! attested {
    ($(#[$doc:meta])* $name:ident {
        id: $id:literal, field: $field:literal, title: $title:literal,
        criteria: $criteria:expr, severity: $severity:ident, days: $days:literal,
        contents: $contents:literal, why: $why:literal, limits: $limits:literal,
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// How long ago the attestation may have been made.
            #[serde(default = "max_age")]
            pub max_age: crate::api::Period,

            /// How long before it is due its verdict says so.
            #[serde(default = "remind_before")]
            pub remind_before: crate::api::Period,
        }

        fn max_age() -> crate::api::Period {
            crate::api::Period::days($days)
        }

        fn remind_before() -> crate::api::Period {
            crate::api::Period::days(if $days > 60 { 30 } else { 7 })
        }

        impl Default for $name {
            fn default() -> Self {
                Self { max_age: max_age(), remind_before: remind_before() }
            }
        }

        impl $name {
            /// Documentation and facts.
            pub const INFO: Info = Info {
                id: $id,
                field: $field,
                title: $title,
                family: Family::Attested,
                criteria: $criteria,
                severity: Severity::$severity,
                strength: Strength::Attested,
                rule_version: 1,
                reads: &[],
                subjects: &[],
                derives: &[],
                observes: &[Observation::Attestations],
                writes: &[],
                scope: ScopeUse::Ignored,
                what: concat!(
                    "There is an Attestation of this control that somebody else than the attester \
                     has approved, that was made within `maxAge` (",
                    stringify!($days),
                    "d), and whose `validUntil` is still to come. It names the evidence by address \
                     and SHA-256. What has to be in it: ",
                    $contents,
                    "."
                ),
                why: $why,
                fix: "Nothing is written. From `remindBefore` its end on, the verdict says when \
                      the next one is due.",
                by_hand: concat!(
                    "Create an Attestation with `control: ", $id, "`, `attestedBy` your own \
                     user name, and the evidence; have somebody else approve it (`probity approve \
                     attestation/NAME`)."
                ),
                prevention: "ValidatingAdmissionPolicies of the chart keep attesters from \
                             approving, and from speaking in another's name.",
                limits: concat!(
                    $limits,
                    " Documents are not read: the hash shows which one was meant."
                ),
            };
        }

        impl Control for $name {
            fn info(&self) -> &'static Info {
                &Self::INFO
            }

            fn check(&self) -> Result<(), String> {
                super::check(&self.max_age, &self.remind_before)
            }

            fn population(
                &self,
                _: &Context<'_>,
                _: Option<&str>,
                found: &mut dyn FnMut(Subject),
            ) {
                found(Subject::named(SubjectKind::Cluster, "cluster"));
            }

            fn judge(&self, context: &Context<'_>, _: &Subject) -> Option<Verdict> {
                Some(super::judge(context, $id, &self.max_age, &self.remind_before))
            }
        }
    };
}
use attested;

fn check(max_age: &Period, remind_before: &Period) -> Result<(), String> {
    if max_age.duration().is_zero() {
        return Err("maxAge is zero: write how long ago an attestation may have been made".into());
    }
    if remind_before.duration() >= max_age.duration() {
        return Err("remindBefore is not shorter than maxAge: it would remind all the time".into());
    }
    Ok(())
}

fn after(at: Timestamp, span: &Period) -> Timestamp {
    let span = SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX);
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, span: &Period) -> Timestamp {
    let span = SignedDuration::try_from(span.duration()).unwrap_or(SignedDuration::MAX);
    at.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

/// When an attestation counts no longer.
fn ends(attested: &Attested, max_age: &Period) -> Timestamp {
    attested.valid_until.min(after(attested.created, max_age))
}

fn judge(context: &Context<'_>, id: &str, max_age: &Period, remind_before: &Period) -> Verdict {
    let Some(all) = &context.observed.people.attestations else {
        return Verdict::unknown("NotRead", "attestations have not been read yet");
    };
    let ours = || all.iter().filter(|attested| attested.control == id);
    let counting = ours().filter_map(|one| Some((one, one.approved_by.as_ref().ok()?)));
    let newest = counting.max_by_key(|(one, _)| (ends(one, max_age), &one.name));
    let propose = |verdict: Verdict| verdict.propose(attestation(id));
    if let Some((one, approver)) = newest {
        let until = ends(one, max_age);
        let (name, by, documents) = (&one.name, &one.by, one.evidence);
        let said = format!(
            "Attestation {name} by {by}, approved by {approver}, with {}",
            many(documents, "document")
        );
        if context.now >= until {
            let message = format!("{said}, ended at {until}");
            return propose(Verdict::fail(
                Strength::Attested,
                "AttestationExpired",
                message,
            ));
        }
        let remind = before(until, remind_before);
        if context.now >= remind {
            let message = format!("{said}, ends at {until}: the next one is due");
            let verdict = Verdict::pass(Strength::Attested, "AttestationEndsSoon", message);
            return propose(verdict).recheck(until);
        }
        let message = format!("{said}, counts until {until}");
        return Verdict::pass(Strength::Attested, "Attested", message).recheck(remind);
    }
    let waiting = ours().max_by_key(|one| one.created);
    match waiting {
        Some(one) => {
            let why = one.approved_by.as_ref().err().map_or("", |why| why);
            let message = format!(
                "Attestation {} by {} does not count: {why}",
                one.name, one.by
            );
            let verdict = Verdict::fail(Strength::Attested, "AttestationUnapproved", message);
            verdict.propose(format!(
                "have somebody else than {} approve it, or where that was refused make another: \
                 probity approve attestation/{}",
                one.by, one.name
            ))
        }
        None => propose(Verdict::fail(
            Strength::Attested,
            "NotAttested",
            "nobody attests it: there is no Attestation of this control",
        )),
    }
}

/// The object to fill in and create. What is written in capitals only a person can say.
fn attestation(id: &str) -> String {
    format!(
        "fill in what is in capitals (the page of the control says what has to be stated), and have \
         somebody else run `probity approve attestation/NAME` afterwards: kubectl create -f - \
         <<'EOF'\n\
         apiVersion: probity.dev/v1alpha1\n\
         kind: Attestation\n\
         metadata:\n\
         \x20 name: NAME\n\
         spec:\n\
         \x20 control: {id}\n\
         \x20 statement: \"WHAT YOU STATE\"\n\
         \x20 from: BEGIN  # of the time that it is about, such as 2026-01-01T00:00:00Z\n\
         \x20 to: END\n\
         \x20 validUntil: TIME\n\
         \x20 attestedBy: \"YOUR USER NAME\"  # kubectl auth whoami\n\
         \x20 evidence:\n\
         \x20 - uri: ADDRESS\n\
         \x20   sha256: \"HASH\"  # sha256sum FILE\n\
         EOF"
    )
}
