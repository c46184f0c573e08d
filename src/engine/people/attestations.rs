//! Where attestations stand, and whether they count.

use jiff::Timestamp;

use super::{exceptions::SYSTEM, said::Attested};
use crate::{
    api::{Attestation, AttestationPhase, DecisionVerdict},
    inventory::Sym,
};

/// Where an attestation stands at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttestationState {
    pub(super) phase: AttestationPhase,
    pub(super) message: String,
}

/// Where an attestation stands, by what was decided about it. Admission refuses most of what is
/// wrong; but it may not have been there.
pub(super) fn state(object: &Attestation, now: Timestamp) -> AttestationState {
    let (phase, message) = match approved_by(object) {
        _ if now >= object.spec.valid_until.0 => {
            (AttestationPhase::Expired, "its time is over".to_owned())
        }
        Ok(approver) => (AttestationPhase::Valid, format!("approved by {approver}")),
        Err((phase, why)) => (phase, why),
    };
    AttestationState { phase, message }
}

/// What controls read of an attestation.
pub(super) fn said(name: &Sym, object: &Attestation) -> Attested {
    let created = object.metadata.creation_timestamp.as_ref();
    Attested {
        name: name.clone(),
        control: object.spec.control.clone(),
        created: created.map_or(Timestamp::MIN, |time| time.0),
        valid_until: object.spec.valid_until.0,
        by: object.spec.attested_by.clone(),
        approved_by: approved_by(object).map_err(|(_, why)| why),
        evidence: object.spec.evidence.len(),
    }
}

fn approved_by(object: &Attestation) -> Result<String, (AttestationPhase, String)> {
    let status = object.status.as_ref();
    let Some(decision) = status.and_then(|status| status.decision.as_ref()) else {
        let why = "nobody has approved it yet: probity approve";
        return Err((AttestationPhase::Pending, why.to_owned()));
    };
    if decision.verdict == DecisionVerdict::Rejected {
        let why = format!("{} refused it", decision.by);
        return Err((AttestationPhase::Rejected, why));
    }
    if decision.by.starts_with(SYSTEM) {
        let why = format!("{} is no person, and can't approve", decision.by);
        return Err((AttestationPhase::Invalid, why));
    }
    if decision.by == object.spec.attested_by {
        let why = "who attests can't approve".to_owned();
        return Err((AttestationPhase::Invalid, why));
    }
    if Some(decision.generation) != object.metadata.generation {
        let why = "it was changed after it was approved".to_owned();
        return Err((AttestationPhase::Invalid, why));
    }
    Ok(decision.by.clone())
}
