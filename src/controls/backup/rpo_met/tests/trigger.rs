//! Backups that are made because one is overdue: which, and when none is.

use super::*;
use crate::controls::backup::fixtures;

fn control() -> RpoMet {
    RpoMet {
        trigger_backups: true,
        ..RpoMet::default()
    }
}

/// A claim without a recovery point that this schedule covers.
fn covered(change: &Value) -> World {
    fixtures::world().with(Kind::VeleroSchedule, fixtures::schedule(change))
}

fn run(name: &str, change: &Value) -> Value {
    let backup = fixtures::backup(&json!({
        "metadata": { "name": name, "creationTimestamp": "2026-06-01T08:00:00Z" },
    }));
    fixtures::with(backup, change)
}

#[test]
fn a_backup_is_made_of_the_schedules_template_and_labelled_as_a_run_of_it() {
    let template = json!({ "includedNamespaces": ["shop"], "orderedResources": { "pods": "a" } });
    let mut world = covered(&json!({
        "metadata": { "labels": { "argocd.argoproj.io/instance": "velero" } },
        "spec": { "template": template },
    }));
    let verdict = world.only(&control());
    assert_eq!(verdict.outcome, Outcome::Fail);
    let Some(Remedy::Start { manifest, of, .. }) = verdict.remedy.as_deref() else {
        panic!("{verdict:?}");
    };
    assert_eq!(&*of.name, "nightly");
    let meta = &manifest["metadata"];
    assert_eq!(
        meta["labels"],
        json!({
            "app.kubernetes.io/managed-by": "probity", "velero.io/schedule-name": "nightly",
        })
    );
    assert_eq!(meta["namespace"], "velero");
    let spec = &manifest["spec"];
    assert_eq!(spec["includedNamespaces"], json!(["shop"]));
    assert_eq!(spec["orderedResources"], json!({ "pods": "a" }));
    // Once it is there, no second one is made.
    world.mend(&control());
}

#[test]
fn none_is_made_where_none_would_help_or_people_decide() {
    let hooks = json!({ "resources": [{ "name": "freeze", "pre": [] }] });
    for (change, made) in [
        (json!({}), true),
        (json!({ "spec": { "paused": true } }), false),
        (
            json!({ "spec": { "template": { "excludedNamespaces": ["shop"] } } }),
            false,
        ),
        (json!({ "spec": { "template": { "hooks": hooks } } }), false),
        (
            json!({ "spec": { "template": { "hooks": { "resources": [] } } } }),
            true,
        ),
    ] {
        let verdict = covered(&change).only(&control());
        assert_eq!(verdict.remedy.is_some(), made, "{change}");
        assert!(verdict.proposal.is_some(), "{change}");
    }
    assert_eq!(covered(&json!({})).only(&RpoMet::default()).remedy, None);
}

#[test]
fn none_is_made_while_one_runs_nor_soon_after_one_that_was_made() {
    let ours = |name: &str| {
        let labels = json!({ "app.kubernetes.io/managed-by": "probity" });
        json!({ "name": name, "labels": labels })
    };
    for (change, made) in [
        (json!({ "status": { "phase": "InProgress" } }), false),
        (json!({ "status": null }), false),
        (
            json!({ "status": { "phase": "WaitingForPluginOperationsPartiallyFailed" } }),
            false,
        ),
        (json!({ "status": { "phase": "Failed" } }), true),
        (
            json!({ "metadata": ours("probity-nightly-after-20260530080000"), "status": { "phase": "Failed" } }),
            false,
        ),
        // Velero gives what it makes of a Schedule that we created the same label.
        (
            json!({ "metadata": ours("nightly-20260601080000"), "status": { "phase": "Failed" } }),
            true,
        ),
    ] {
        let mut world = covered(&json!({})).with(Kind::VeleroBackup, run("last", &change));
        let verdict = world.only(&control());
        assert_eq!(verdict.outcome, Outcome::Fail, "{change}");
        assert_eq!(verdict.remedy.is_some(), made, "{change}");
        if change["metadata"].is_object() && !made {
            let until = at("2026-06-01T14:00:00Z");
            assert_eq!(verdict.recheck_at, Some(until));
            world.now = until;
            assert!(world.only(&control()).remedy.is_some());
        }
    }
}

#[test]
fn a_wait_that_is_too_short_is_refused() {
    let hasty = RpoMet {
        retry_after: serde_json::from_value(json!("1m")).unwrap(),
        ..control()
    };
    assert!(hasty.check().is_err());
}
