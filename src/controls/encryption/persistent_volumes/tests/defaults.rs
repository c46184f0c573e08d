//! The class that claims get which name none.

use super::*;

fn defaults(classes: &[(&str, bool, bool)]) -> World {
    let mut world = world();
    for (name, encrypted, default) in classes {
        let parameters = json!({ "encrypted": encrypted.to_string() });
        world.put(
            Kind::StorageClass,
            class(name, "rbd.csi.ceph.com", &parameters, *default),
        );
    }
    world
}

#[test]
fn the_default_class_is_one_that_encrypts() {
    let good = (Outcome::Pass, "DefaultClassEncrypts");
    let judged = (Outcome::NotApplicable, "DefaultClassJudged");
    let cluster = |classes| defaults(classes).outcomes(&control())["Cluster cluster"];
    assert_eq!(cluster(&[("a", true, true), ("b", false, false)]), good);
    assert_eq!(cluster(&[("a", false, true)]), judged);
    assert_eq!(cluster(&[("a", true, true), ("b", false, true)]), judged);
    assert_eq!(
        cluster(&[("a", true, false)]),
        (Outcome::Fail, "NoDefaultClass")
    );
    assert!(defaults(&[]).judge(&control()).is_empty());
    // Each class that is marked, and does not encrypt.
    let outcomes = defaults(&[("a", true, true), ("b", false, true)]).outcomes(&control());
    assert_eq!(outcomes["StorageClass a"], YES);
    assert_eq!(outcomes["StorageClass b"], NO);
}

#[test]
fn the_older_marker_counts() {
    let mut world = world();
    let mut old = class(
        "a",
        "rbd.csi.ceph.com",
        &json!({ "encrypted": "true" }),
        false,
    );
    old["metadata"]["annotations"] =
        json!({ "storageclass.beta.kubernetes.io/is-default-class": "true" });
    world.put(Kind::StorageClass, old);
    assert_eq!(
        world.outcomes(&control())["Cluster cluster"],
        (Outcome::Pass, "DefaultClassEncrypts")
    );
}

fn mark(world: &mut World, name: &str, encrypted: bool, default: bool) {
    let parameters = json!({ "encrypted": encrypted.to_string() });
    world.put(
        Kind::StorageClass,
        class(name, "rbd.csi.ceph.com", &parameters, default),
    );
}

#[test]
fn the_marker_of_a_class_that_encrypts_is_put_back() {
    let control = control();
    let mut world = defaults(&[("a", true, true), ("b", false, false)]);
    world.judge(&control);
    mark(&mut world, "a", true, false);
    let outcomes = world.mend(&control);
    assert_eq!(
        outcomes["Cluster cluster"],
        (Outcome::Pass, "DefaultClassEncrypts")
    );
}

#[test]
fn no_second_default_is_ever_made() {
    let control = control();
    let mut world = defaults(&[("a", true, true), ("b", false, false)]);
    world.judge(&control);
    mark(&mut world, "a", true, false);
    mark(&mut world, "b", false, true);
    let verdicts = world.judge(&control);
    assert!(verdicts.values().all(|verdict| verdict.remedy.is_none()));
    // Another class under the same name is another class.
    mark(&mut world, "b", false, false);
    world.delete(Kind::StorageClass, "", "a");
    mark(&mut world, "a", true, false);
    let verdicts = world.judge(&control);
    assert_eq!(verdicts["Cluster cluster"].reason, "NoDefaultClass");
    assert!(verdicts["Cluster cluster"].remedy.is_none());
}
