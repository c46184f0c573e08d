//! What the log says of the last change of each policy, exception and attestation: who made it, who
//! approved it, and why; in the form in which a control judges it.

use std::collections::BTreeMap;

use super::{Engine, people::People};
use crate::{
    api::{Change as Authorised, DecisionVerdict, Mode, PeopleKind, PeopleObject},
    controls::{Subject, SubjectKind},
    evidence::{
        body::{Content, PolicyChange},
        words,
    },
    inventory::Sym,
};

/// The last change of an object, as the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Who made the change: the requester by admission, or the field manager that wrote a policy.
    pub author: Option<String>,
    /// Who approved it.
    pub approval: Approval,
    /// Why it was made: the ticket, the reason, the statement.
    pub reason: Option<String>,
    /// Whether it lets Probity write to objects of others, or takes that back.
    pub enforces: bool,
    /// Whether the log has it, with the hash of what it was and of what it is.
    pub logged: bool,
}

/// Who approved a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// Somebody of this name.
    By(String),
    /// Nobody, though it has effect.
    Missing,
    /// What approves it had approved the change before.
    Stale(String),
    /// It has no effect: why.
    NoEffect(&'static str),
}

/// The last change of each policy, by its uid.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(BTreeMap<Sym, Noted>);

#[derive(Debug, Clone)]
struct Noted {
    author: Option<String>,
    authorised: Option<Authorised>,
    renewed: bool,
    enforced: bool,
    enforces: bool,
    hash: Option<String>,
}

impl Ledger {
    /// Takes note of what the log is told, or was.
    pub(super) fn note(&mut self, said: &PolicyChange) {
        if said.change == words::Change::Deleted {
            self.0.remove(&said.uid);
            return;
        }
        let before = self.0.get(&said.uid);
        let spec = match &said.spec {
            Some(Content::Inline(spec)) => Some(spec),
            Some(Content::Blob(_)) | None => None,
        };
        let authorised = spec.and_then(|spec| serde_json::from_value(spec["change"].clone()).ok());
        let noted = Noted {
            author: said
                .who
                .as_deref()
                .map(author)
                .filter(|who| !who.is_empty()),
            renewed: before.is_none_or(|before| before.authorised != authorised),
            authorised,
            enforced: before.is_some_and(|before| before.enforces),
            enforces: spec.is_some_and(enforces),
            // What can't be read can't be judged.
            hash: spec.and(said.new_hash.clone()),
        };
        self.0.insert(said.uid.clone(), noted);
    }

    fn changed(&self, uid: &Sym, hash: &str) -> Changed {
        let noted = self.0.get(uid);
        let authorised = noted.and_then(|noted| noted.authorised.as_ref());
        let approval = match (authorised, noted) {
            (Some(of), Some(noted)) if !noted.renewed => Approval::Stale(of.approved_by.clone()),
            (Some(of), _) => Approval::By(of.approved_by.clone()),
            (None, _) => Approval::Missing,
        };
        Changed {
            author: noted.and_then(|noted| noted.author.clone()),
            approval,
            reason: authorised.and_then(|of| of.ticket.clone()),
            enforces: noted.is_some_and(|noted| noted.enforces || noted.enforced),
            logged: noted.is_some_and(|noted| noted.hash.as_deref() == Some(hash)),
        }
    }
}

/// The field manager, as entries about policies name it beside the approver.
fn author(who: &str) -> String {
    let (manager, _) = who.split_once("approved by ").unwrap_or((who, ""));
    manager.trim_end_matches([',', ' ']).to_owned()
}

/// Whether a policy, or a control of it, may write.
fn enforces(spec: &serde_json::Value) -> bool {
    let enforce = serde_json::to_value(Mode::Enforce).unwrap_or_default();
    let controls = spec["controls"].as_object();
    let mut controls = controls.into_iter().flat_map(|controls| controls.values());
    spec["mode"] == enforce || controls.any(|control| control["mode"] == enforce)
}

impl People {
    /// What people ask for, as far as somebody has to approve it.
    fn changed(&self, known: &super::people::Known) -> impl Iterator<Item = (Subject, Changed)> {
        self.asked_for().map(|(key, object, hash)| {
            let subject = Subject {
                namespace: key.namespace.clone(),
                kind: SubjectKind::People(key.kind),
                name: key.name.clone(),
            };
            let changed = Changed {
                author: object.requester().map(str::to_owned),
                approval: approval(object),
                reason: reason(object).map(str::to_owned),
                enforces: true,
                logged: known.hash(key) == Some(hash),
            };
            (subject, changed)
        })
    }
}

fn approval(object: &PeopleObject) -> Approval {
    let breaks_glass = match object {
        PeopleObject::Exception(object) => object.spec.exemption.break_glass,
        PeopleObject::ClusterException(object) => object.spec.exemption.break_glass,
        _ => false,
    };
    match object.decision() {
        Some(decision) if decision.verdict == DecisionVerdict::Rejected => {
            Approval::NoEffect("it was refused")
        }
        Some(decision) if Some(decision.generation) != object.meta().generation => {
            Approval::NoEffect("it was changed after it was approved")
        }
        Some(decision) => Approval::By(decision.by.clone()),
        None if breaks_glass => {
            Approval::NoEffect("it is an emergency, which assurance-exceptions-approved judges")
        }
        None => Approval::NoEffect("nobody has approved it yet"),
    }
}

fn reason(object: &PeopleObject) -> Option<&str> {
    match object {
        PeopleObject::Exception(object) => Some(&object.spec.exemption.reason),
        PeopleObject::ClusterException(object) => Some(&object.spec.exemption.reason),
        PeopleObject::Attestation(object) => Some(&object.spec.statement),
        PeopleObject::Review(_) | PeopleObject::Response(_) | PeopleObject::Period(_) => None,
    }
}

/// The kinds that have to be read before anything is said of changes.
pub(super) const KINDS: [PeopleKind; 3] = [
    PeopleKind::Exception,
    PeopleKind::ClusterException,
    PeopleKind::Attestation,
];

impl Engine {
    /// The last change of everything that somebody has to approve.
    pub(super) fn changed(&self) -> BTreeMap<Subject, Changed> {
        let ledger = &self.memory.ledger;
        let policies = self.policies.iter().map(|(name, policy)| {
            let subject = Subject::named(SubjectKind::Policy, name.clone());
            (subject, ledger.changed(&policy.uid, &policy.spec_hash))
        });
        policies
            .chain(self.people.changed(&self.memory.people))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(generation: u64, spec: Value) -> PolicyChange {
        PolicyChange {
            policy: "soc2".into(),
            uid: "u".into(),
            generation,
            change: words::Change::Updated,
            who: Some("kubectl-edit, approved by bob".to_owned()),
            old_hash: None,
            new_hash: Some(format!("hash-{generation}")),
            spec: Some(spec.into()),
            enforcing_since: BTreeMap::new(),
            limits_release: None,
        }
    }

    fn after(specs: &[Value]) -> Changed {
        let mut ledger = Ledger::default();
        for (at, spec) in specs.iter().enumerate() {
            ledger.note(&said(at as u64, spec.clone()));
        }
        let hash = format!("hash-{}", specs.len() - 1);
        ledger.changed(&"u".into(), &hash)
    }

    #[test]
    fn what_approved_one_change_approves_no_other() {
        let by = |ticket: &str| json!({ "approvedBy": "bob", "ticket": ticket });
        let first = after(&[json!({ "mode": "Observe", "change": by("T-1") })]);
        assert_eq!(first.approval, Approval::By("bob".to_owned()));
        assert_eq!(first.author.as_deref(), Some("kubectl-edit"));
        assert_eq!(first.reason.as_deref(), Some("T-1"));
        assert!(first.logged && !first.enforces);
        let stale = after(&[
            json!({ "change": by("T-1") }),
            json!({ "change": by("T-1"), "mode": "Enforce" }),
        ]);
        assert_eq!(stale.approval, Approval::Stale("bob".to_owned()));
        assert!(stale.enforces);
        let renewed = after(&[
            json!({ "change": by("T-1"), "mode": "Enforce" }),
            json!({ "change": by("T-2"), "mode": "Observe" }),
        ]);
        assert_eq!(renewed.approval, Approval::By("bob".to_owned()));
        assert!(renewed.enforces, "taking it back counts too");
        assert_eq!(after(&[json!({})]).approval, Approval::Missing);
    }

    #[test]
    fn what_the_log_does_not_have_is_not_said_to_be_in_it() {
        let mut ledger = Ledger::default();
        let of = |ledger: &Ledger| ledger.changed(&"u".into(), "hash-1");
        assert!(!of(&ledger).logged);
        ledger.note(&said(0, json!({})));
        assert!(!of(&ledger).logged);
        ledger.note(&said(1, json!({})));
        assert!(of(&ledger).logged);
        let mut gone = said(2, json!({}));
        gone.change = words::Change::Deleted;
        ledger.note(&gone);
        assert!(!of(&ledger).logged);
    }

    #[test]
    fn one_control_that_enforces_is_enough() {
        let one = json!({ "controls": { "a": {}, "b": { "mode": "Enforce" } } });
        assert!(enforces(&one));
        assert!(!enforces(
            &json!({ "mode": "Observe", "controls": { "a": {} } })
        ));
        for (who, manager) in [
            ("argocd", "argocd"),
            ("argocd, approved by bob", "argocd"),
            ("approved by bob", ""),
        ] {
            assert_eq!(author(who), manager);
        }
    }
}
