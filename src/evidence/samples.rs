//! One example of every kind of entry, for tests.

use jiff::Timestamp;
use serde_json::json;

use super::body::{
    Accepted, ActionOutcome, Anchored, Body, Brake, CameBack, Contended, ControlCounts, Drill,
    EncryptionConfig, Epoch, Excluded, Export, Gap, Heartbeat, Intent, Kept, KeyChange,
    KindFreshness, ObjectChange, Pause, PolicyChange, Population, Position, Pruned, Scope, Start,
    Stop, SubjectRef, Term, Transition,
};
use super::words::{Action, ActionResult, BrakeState, Cause, Change, End, Freshness, Step};
use crate::verdict::{Outcome, Severity, Strength};

pub(super) fn time(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
}

pub(super) fn subject(name: &str) -> SubjectRef {
    SubjectRef {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: "u-1".into(),
    }
}

pub(super) fn intent(id: u64) -> Intent {
    Intent {
        id,
        action: Action::PutBack,
        policies: vec!["soc2".into()],
        control: "net-namespace-default-deny".into(),
        target: subject("web"),
        content_hash: "00".to_owned(),
        before: None,
        after: Some(json!({"a": 1}).into()),
        undo: None,
    }
}

pub(super) fn outcome(intent: u64) -> ActionOutcome {
    ActionOutcome {
        intent,
        result: ActionResult::Applied,
        message: "done".to_owned(),
        resource_version: Some("12".to_owned()),
    }
}

pub(super) fn heartbeat() -> Heartbeat {
    Heartbeat {
        subjects: 3,
        by_outcome: [(Outcome::Pass, 2), (Outcome::Fail, 1)].into(),
        controls: vec![ControlCounts {
            policy: "soc2".into(),
            control: "rbac-no-wildcards".into(),
            by_outcome: [(Outcome::NotApplicable, 1)].into(),
        }],
        table_digest: "ab".to_owned(),
        kinds: vec![KindFreshness {
            group: "".into(),
            kind: "Pod".into(),
            state: Freshness::Synced,
            heard: Some(time(0)),
        }],
    }
}

pub(super) fn transition() -> Transition {
    Transition {
        policies: vec!["soc2".into(), "pci".into()],
        control: "enc-ingress-tls".into(),
        rule_version: Some(2),
        params_hash: Some("aa".to_owned()),
        scope_hash: Some("bb".to_owned()),
        subject: subject("web"),
        owner: Some("team-shop".into()),
        from: Some(Outcome::Pass),
        to: Some(Outcome::Fail),
        strength: Strength::Effective,
        reason: "IngressWithoutTls".into(),
        message: "host shop.example has no TLS\n\u{1f512}".to_owned(),
        severity: Severity::High,
        cause: Cause::Object,
        ended: Some(End::PutBack),
        opened: Some(time(-5)),
        deviation: Some("d-1".to_owned()),
        accepted: Some(Accepted {
            approved: true,
            by: "ControlException shop/legacy".into(),
        }),
    }
}

fn drill() -> Drill {
    Drill {
        policies: vec!["soc2".into()],
        control: "backup-restore-test-current".into(),
        namespace: "shop".into(),
        restore: "probity-drill-1".into(),
        backup: Some("nightly-1".into()),
        sandbox: "probity-drill".into(),
        from: time(-600),
        to: time(-60),
        passed: true,
        message: "1 of 1 claims came back and are bound".to_owned(),
        came_back: Some(CameBack {
            items: 3,
            claims: 1,
            bound: 1,
            errors: 0,
            warnings: 0,
        }),
    }
}

#[allow(
    clippy::too_many_lines,
    reason = "a table: one kind of entry after the other"
)]
pub(super) fn bodies() -> Vec<Body> {
    let control = || "enc-ingress-tls".into();
    vec![
        Start {
            version: "0.1.0".into(),
            binary_digest: "cc".to_owned(),
            cluster: "k-1".into(),
            identity: "system:serviceaccount:probity:probity".into(),
            previous_end: Some(Position {
                seq: 4,
                leaf: "dd".to_owned(),
            }),
        }
        .into(),
        Stop {
            reason: "SIGTERM".into(),
        }
        .into(),
        Term {
            holder: "probity-0".into(),
            epoch: 3,
            predecessor: Some("probity-1_x7".to_owned()),
            before: Some(Anchored {
                origin: "probity.dev/c-1/probity-system.probity-1/20260101T000000Z".to_owned(),
                size: 12,
                root: "AAAA".to_owned(),
                source: "EvidenceLog/probity-system.probity-1".to_owned(),
            }),
        }
        .into(),
        PolicyChange {
            policy: "soc2".into(),
            uid: "p-1".into(),
            generation: 2,
            change: Change::Updated,
            who: Some("alice".to_owned()),
            old_hash: None,
            new_hash: Some("ee".to_owned()),
            spec: Some(json!({"mode": "Enforce", "controls": {}}).into()),
            enforcing_since: [("enc-ingress-tls".into(), time(0))].into(),
            limits_release: Some("r1".to_owned()),
        }
        .into(),
        transition().into(),
        Population {
            policies: vec!["soc2".into()],
            control: control(),
            joined: vec![subject("a")],
            left: vec![subject("b")],
        }
        .into(),
        heartbeat().into(),
        intent(9).into(),
        outcome(9).into(),
        Gap {
            scope: "all".to_owned(),
            from: time(0),
            to: None,
            cause: "Restart".to_owned(),
        }
        .into(),
        Kept {
            control: control(),
            subject: subject("web"),
            field: "spec.tls".to_owned(),
            value: json!([{"hosts": ["shop.example"]}]).into(),
        }
        .into(),
        Kept {
            control: control(),
            subject: subject("web"),
            field: "spec.tls".to_owned(),
            value: json!(null).into(),
        }
        .into(),
        Brake {
            control: control(),
            policy: "soc2".into(),
            state: BrakeState::Latched,
            reason: "TooManySubjects".to_owned(),
        }
        .into(),
        Contended {
            control: control(),
            subject: subject("web"),
            field: "spec.tls".to_owned(),
            manager: "helm".to_owned(),
            until: time(3600),
        }
        .into(),
        Pause {
            target: "soc2".to_owned(),
            until: None,
            who: None,
        }
        .into(),
        drill().into(),
        EncryptionConfig {
            server: "10.0.0.1:6443".into(),
            from: Some("sha256:aa".to_owned()),
            to: "sha256:bb".to_owned(),
            since: time(0),
        }
        .into(),
        Body::Exception(change("ControlException", Step::Approved)),
        Body::Attestation(change("Attestation", Step::Created)),
        Body::Review(change("AccessReview", Step::Decided)),
        Body::Response(change("DeviationResponse", Step::Changed)),
        Body::Period(change("AuditPeriod", Step::Deleted)),
        Scope {
            policies: vec!["soc2".into()],
            control: control(),
            rule_version: Some(2),
            params_hash: Some("aa".to_owned()),
            scope_hash: "ff".to_owned(),
            included: 3,
            excluded: vec![Excluded {
                namespace: "kube-system".into(),
                reason: "a system namespace".into(),
            }],
            also: Vec::new(),
        }
        .into(),
        Export {
            of: "AuditPeriod/2026-h1".to_owned(),
            digest: "ab".to_owned(),
            who: None,
        }
        .into(),
        Epoch {
            origin: "probity.dev/k-1/probity-0/20260101T000000Z".to_owned(),
            key: "probity.dev/k-1/probity-0/20260101T000000Z+00000000+AQ==".to_owned(),
            cause: "the folder was empty".into(),
            before: Some(Anchored {
                origin: "probity.dev/k-1/probity-0/20250101T000000Z".to_owned(),
                size: 7,
                root: "AA==".to_owned(),
                source: "EvidenceLog/probity-0".to_owned(),
            }),
            planned: true,
        }
        .into(),
        Pruned {
            before: 256,
            until: time(0),
            rule: "400 days".to_owned(),
            carried: None,
        }
        .into(),
        KeyChange {
            old: "o+00000000+AQ==".to_owned(),
            new: "o+00000001+AQ==".to_owned(),
        }
        .into(),
    ]
}

fn change(kind: &'static str, step: Step) -> ObjectChange {
    ObjectChange {
        kind: kind.into(),
        namespace: Some("shop".into()),
        name: "legacy".into(),
        uid: "x-1".into(),
        generation: 1,
        step,
        who: Some("alice".to_owned()),
        old_hash: None,
        new_hash: Some("ee".to_owned()),
        spec: Some(json!({"control": "enc-ingress-tls"}).into()),
        decision: None,
        all_rows: None,
        reason: None,
        expires: Some(time(3600)),
    }
}
