//! Ways around decisions, each of which is to fail.

use super::{
    said::{bind, kinds_and_steps, listed, review, reviewing, rows, said},
    *,
};
use crate::engine::Memory;

/// A break-glass exception of a name and uid, made so many hours after noon.
fn glass(name: &str, hours: i64, more: &Value) -> Value {
    let created: jiff::Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let created = created + jiff::SignedDuration::from_hours(hours);
    let mut object = exception(&json!({
        "metadata": { "name": name, "uid": format!("g-{name}"),
            "creationTimestamp": created.to_string() },
        "spec": { "breakGlass": true },
    }));
    crate::engine::tests::merge(&mut object, more);
    object
}

fn failing_now(drive: &mut Drive) -> u64 {
    u64::try_from(drive.status().summary.failing).unwrap()
}

#[test]
fn a_glass_that_is_mended_and_broken_again_does_not_work_without_approval() {
    let mut drive = failing();
    put(&mut drive, &glass("one", 0, &json!({})));
    assert_eq!(failing_now(&mut drive), 0, "the first one works at once");
    drive.wait(7 * HOUR);
    delete(&mut drive, "one");
    put(&mut drive, &glass("two", 7, &json!({})));
    assert_eq!(failing_now(&mut drive), 1);
    let seen = observed(&mut drive);
    assert_eq!(seen["phase"], "Pending");
    assert!(
        seen["message"]
            .as_str()
            .unwrap()
            .contains("was broken for the same"),
        "{seen}"
    );
    // A restart remembers it, although the object is gone.
    let mut again = Drive::with_memory(drive.memory());
    again.wait(7 * HOUR);
    again.apply(Event::PeopleListed(PeopleKind::Exception));
    again.namespace("shop");
    put(&mut again, &glass("two", 7, &json!({})));
    again.policy(1, observe());
    again.lead(2);
    assert_eq!(failing_now(&mut again), 1);
    // Somebody else looks at it, and it holds.
    put(&mut again, &glass("two", 7, &decided("Approved", "bob")));
    assert_eq!(failing_now(&mut again), 0);
}

#[test]
fn a_glass_that_never_worked_keeps_none_from_working() {
    let account = "system:serviceaccount:argocd:argocd";
    let invalid = json!({ "spec": { "requestedBy": account } });
    for restart in [false, true] {
        // One that is no emergency, and one that waits for approval because of another, are in nobody's way.
        let other = json!({ "spec": { "subjects": [{ "kind": "Namespace", "name": "pay" }] } });
        let both = json!({ "spec": { "subjects": [
            { "kind": "Namespace", "name": "pay" }, { "kind": "Namespace", "name": "shop" },
        ] } });
        let mut drive = failing();
        put(&mut drive, &glass("invalid", 0, &invalid));
        put(&mut drive, &glass("elsewhere", 0, &other));
        put(&mut drive, &glass("pending", 0, &both));
        assert_eq!(failing_now(&mut drive), 1, "none of them covers the shop");
        drive.wait(HOUR);
        for name in ["invalid", "elsewhere", "pending"] {
            delete(&mut drive, name);
        }
        let mut drive = if restart {
            let mut again = Drive::with_memory(drive.memory());
            again.wait(HOUR);
            again.apply(Event::PeopleListed(PeopleKind::Exception));
            again.namespace("shop");
            again.policy(1, observe());
            again.lead(2);
            again
        } else {
            drive
        };
        put(&mut drive, &glass("real", 2, &json!({})));
        assert_eq!(failing_now(&mut drive), 0, "restart: {restart}");
    }
}

#[test]
fn a_restart_after_a_hundred_glasses_knows_which_of_them_worked() {
    let mut drive = failing();
    for number in 0..100 {
        let name = format!("glass-{number:02}");
        put(&mut drive, &glass(&name, 0, &json!({})));
        delete(&mut drive, &name);
    }
    // Were each of them worked out from all before it anew, this would not end.
    let mut again = Drive::with_memory(drive.memory());
    again.apply(Event::PeopleListed(PeopleKind::Exception));
    again.namespace("shop");
    again.policy(1, observe());
    again.lead(2);
    put(&mut again, &glass("real", 2, &json!({})));
    assert_eq!(failing_now(&mut again), 1, "the first of them worked");
    let elsewhere = json!({ "spec": { "control": "net-no-allow-all" } });
    put(&mut again, &glass("elsewhere", 2, &elsewhere));
    assert_eq!(observed(&mut again)["phase"], "BreakGlass");
}

#[test]
fn a_glass_works_again_for_something_else_after_approval_or_three_days_later() {
    let other = json!({ "spec": { "subjects": [{ "kind": "Namespace", "name": "pay" }] } });
    for (first, approved, hours, works) in [
        (json!({}), false, 2, false),
        (json!({}), true, 2, true),
        (json!({}), false, 71, false),
        (json!({}), false, 72, true),
        (other, false, 2, true),
        (
            json!({ "spec": { "control": "net-no-allow-all" } }),
            false,
            2,
            true,
        ),
        (
            json!({ "spec": { "subjects": null, "selector": {} } }),
            false,
            2,
            false,
        ),
    ] {
        let mut drive = failing();
        put(&mut drive, &glass("one", 0, &first));
        if approved {
            let mut object = glass("one", 0, &first);
            crate::engine::tests::merge(&mut object, &decided("Approved", "bob"));
            put(&mut drive, &object);
        }
        drive.wait(HOUR * u64::try_from(hours).unwrap());
        delete(&mut drive, "one");
        put(&mut drive, &glass("two", hours, &json!({})));
        assert_eq!(
            failing_now(&mut drive) == 0,
            works,
            "{first} {approved} {hours}"
        );
    }
}

#[test]
fn who_is_no_person_neither_declares_an_emergency_nor_decides() {
    let account = "system:serviceaccount:argocd:argocd";
    let mut drive = failing();
    put(
        &mut drive,
        &glass("one", 0, &json!({ "spec": { "requestedBy": account } })),
    );
    assert_eq!(failing_now(&mut drive), 1);
    assert_eq!(observed(&mut drive)["phase"], "Invalid");
    let mut drive = failing();
    put(&mut drive, &exception(&decided("Approved", account)));
    assert_eq!(failing_now(&mut drive), 1);
    // It may ask, so that a person decides.
    let mut drive = failing();
    let mut asked = approved();
    asked["spec"]["requestedBy"] = json!(account);
    put(&mut drive, &asked);
    assert_eq!(failing_now(&mut drive), 0);
}

/// What another replica sees that has a log of its own, with a review as it stands in the cluster.
fn elsewhere(object: &Value) -> Drive {
    let mut drive = Drive::with_memory(Memory::default());
    listed(&mut drive);
    drive.namespace("shop");
    for user in ["alice", "bob", "carol"] {
        bind(&mut drive, user, user);
    }
    drive.policy(1, said());
    put(&mut drive, object);
    drive.lead(2);
    drive.wait(70);
    drive
}

#[test]
fn decisions_about_rows_that_nobody_can_compare_do_not_count() {
    let mut drive = reviewing();
    let seen = observed(&mut drive);
    let rows = rows(&drive).into_values().map(|id| (id, json!("Keep")));
    let decisions =
        json!({ "by": "dave", "sha256": seen["sha256"], "rows": Value::Object(rows.collect()) });
    // Nobody has decided: it is listed anew, into the log that will hold the decisions.
    let other = elsewhere(&review(&json!({ "status": { "observed": seen } })));
    assert!(kinds_and_steps(&other).contains(&("review", Step::Frozen)));
    // Decided, and never compared.
    let status = json!({ "observed": seen, "review": decisions });
    let mut other = elsewhere(&review(&json!({ "status": status })));
    assert_eq!(observed(&mut other)["phase"], "Invalid");
    // Decided and compared by the replica whose log has the listing.
    let mut compared = status.clone();
    compared["observed"]["phase"] = json!("Done");
    let mut other = elsewhere(&review(&json!({ "status": compared })));
    assert_eq!(observed(&mut other)["phase"], "Done");
}

#[test]
fn a_right_is_not_gone_because_its_namespace_is_said_to_be_somebody_elses() {
    let mut drive = Drive::new();
    listed(&mut drive);
    let owned = |owner: &str| json!({ "metadata": { "name": "shop", "labels": { crate::engine::OWNER_LABEL: owner } } });
    drive.put(Kind::Namespace, owned("money"));
    bind(&mut drive, "bob", "bob");
    drive.policy(1, said());
    let mut object = review(&json!({ "spec": { "namespace": null, "owner": "money" } }));
    put(&mut drive, &object);
    drive.wait(3);
    let seen = observed(&mut drive);
    let rows = rows(&drive).into_values().map(|id| (id, json!("Revoke")));
    object["status"] = json!({ "observed": seen, "review": {
        "by": "dave", "sha256": seen["sha256"], "rows": Value::Object(rows.collect()) } });
    put(&mut drive, &object);
    drive.put(Kind::Namespace, owned("nobody"));
    bind(&mut drive, "carol", "carol");
    drive.wait(70);
    let seen = observed(&mut drive);
    assert_eq!(
        (&seen["phase"], &seen["remaining"]),
        (&json!("Decided"), &json!(1))
    );
}
