//! What is put back, and what is only proposed.

use super::*;

#[test]
fn what_passed_before_is_switched_on_again() {
    let control = ScheduleActive::default();
    let mut world = velero(json!({}));
    let spec = |suspend| json!({ "schedule": "0 1 * * *", "suspend": suspend });
    world.put(Kind::CronJob, job(spec(false), "2026-06-01T01:00:00Z"));
    world.judge(&control);
    world.put(
        Kind::VeleroSchedule,
        schedule(&json!({ "spec": { "paused": true } })),
    );
    world.put(Kind::CronJob, job(spec(true), "2026-06-01T01:00:00Z"));
    let verdicts = world.judge(&control);
    let remedies = verdicts.values().map(|v| v.remedy.as_deref().unwrap());
    let patches: Vec<_> = remedies.map(|remedy| remedy.content().clone()).collect();
    assert_eq!(
        patches,
        [
            json!({ "spec": { "suspend": false } }),
            json!({ "spec": { "paused": false } })
        ]
    );
    let mended = world.mend(&control);
    assert!(
        mended
            .values()
            .all(|(outcome, _)| *outcome == Outcome::Pass),
        "{mended:?}"
    );
}

#[test]
fn what_never_passed_is_a_proposal() {
    let control = ScheduleActive::default();
    let mut world = velero(json!({ "spec": { "paused": true } }));
    let verdict = world.only(&control);
    assert_eq!(verdict.remedy, None);
    assert_eq!(
        verdict.proposal.as_deref(),
        Some(
            "kubectl patch schedules.velero.io nightly --namespace velero --type merge --patch \
             '{\"spec\":{\"paused\":false}}'"
        )
    );
    // Another object of that name passed before: that one is not to be put back.
    world.put(Kind::VeleroSchedule, schedule(&json!({})));
    world.judge(&control);
    let other = json!({ "uid": "11111111-0000-4000-8000-000000000001" });
    let paused = json!({ "spec": { "paused": true }, "metadata": other });
    world.put(Kind::VeleroSchedule, schedule(&paused));
    assert_eq!(world.only(&control).remedy, None);
}

#[test]
fn a_cadence_that_was_weakened_is_put_back() {
    let control = ScheduleActive::default();
    let cases = [
        (
            Kind::VeleroSchedule,
            schedule(&json!({})),
            "/spec/schedule",
            1,
        ),
        (
            Kind::CronJob,
            job(json!({ "schedule": "0 1 * * *" }), "2026-06-01T01:00:00Z"),
            "/spec/schedule",
            1,
        ),
        (
            Kind::ScheduledBackup,
            crate::controls::backup::fixtures::scheduled_backup(&json!({})),
            "/spec/schedule",
            1,
        ),
        (
            Kind::RecurringJob,
            json!({
                "metadata": { "name": "nightly", "namespace": "longhorn-system" },
                "spec": { "cron": "0 1 * * *", "task": "backup", "groups": ["default"] },
            }),
            "/spec/cron",
            0,
        ),
        (
            Kind::K8upSchedule,
            json!({
                "metadata": {
                    "name": "daily", "namespace": "shop",
                    "creationTimestamp": "2026-06-01T00:30:00Z",
                },
                "spec": {
                    "backup": { "schedule": "0 1 * * *" }, "backend": { "s3": { "bucket": "b" } },
                },
            }),
            "/spec/backup/schedule",
            0,
        ),
    ];
    for (kind, mut object, field, path) in cases {
        for weaker in ["0 0 1 1 *", "0 0 30 2 *", "soon"] {
            let world = match kind {
                Kind::RecurringJob => longhorn(),
                _ => fixtures::world(),
            };
            let mut world = world.with(kind, object.clone());
            assert_eq!(world.only(&control).outcome, Outcome::Pass, "{kind:?}");
            let before = object.pointer(field).unwrap().clone();
            *object.pointer_mut(field).unwrap() = match kind {
                Kind::ScheduledBackup => json!(format!("0 {weaker}")),
                _ => json!(weaker),
            };
            world.put(kind, object.clone());
            let verdict = world.only(&control);
            let remedy = verdict.remedy.clone().unwrap();
            assert_eq!(remedy.path(), Some(path), "{kind:?}");
            assert_eq!(remedy.content().pointer(field), Some(&before));
            let mended = world.mend(&control);
            assert!(
                mended
                    .values()
                    .all(|(outcome, _)| *outcome == Outcome::Pass)
            );
            *object.pointer_mut(field).unwrap() = before;
        }
    }
}

#[test]
fn a_stricter_objective_changes_no_schedule() {
    let mut world = velero(json!({}));
    assert_eq!(
        world.only(&ScheduleActive::default()).outcome,
        Outcome::Pass
    );
    let stricter = ScheduleActive {
        rpo: Period::hours(6),
        ..Default::default()
    };
    let verdict = world.only(&stricter);
    assert_eq!(verdict.reason, "IntervalTooLong");
    assert!(verdict.remedy.is_none());
}
