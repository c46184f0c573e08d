//! The inventory as a whole: pages, lines, sweeps and objects that can't be decoded.

use super::*;

const UID: &str = "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f10";

fn namespace(name: &str, rv: u64, labels: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","uid":"{UID}","resourceVersion":"{rv}","labels":{labels}}}}}"#
    )
}

fn line(kind: &str, object: &str) -> Vec<u8> {
    format!(r#"{{"type":"{kind}","object":{object}}}"#).into_bytes()
}

fn effects(changes: &[Change]) -> Vec<(&str, Effect)> {
    changes.iter().map(|c| (&*c.name, c.effect)).collect()
}

#[test]
fn a_change_that_no_control_reads_is_no_change() {
    let mut inventory = Inventory::default();
    let added = inventory
        .apply_line(Kind::Namespace, &line("ADDED", &namespace("shop", 1, "{}")))
        .unwrap();
    assert_eq!(effects(&added), [("shop", Effect::Added)]);
    let same = inventory
        .apply_line(
            Kind::Namespace,
            &line("MODIFIED", &namespace("shop", 2, "{}")),
        )
        .unwrap();
    assert!(same.is_empty());
    assert_eq!(inventory.meta(Kind::Namespace, "", "shop").unwrap().rv, 2);
}

#[test]
fn a_replayed_older_version_is_ignored() {
    let mut inventory = Inventory::default();
    for (rv, labels) in [(5, r#"{"a":"new"}"#), (3, r#"{"a":"old"}"#)] {
        let event = line("MODIFIED", &namespace("shop", rv, labels));
        inventory.apply_line(Kind::Namespace, &event).unwrap();
    }
    let meta = inventory.meta(Kind::Namespace, "", "shop").unwrap();
    assert_eq!(meta.labels.get("a"), Some("new"));
}

#[test]
fn a_relist_sweeps_what_it_does_not_name() {
    let mut inventory = Inventory::default();
    for name in ["a", "b"] {
        let event = line("ADDED", &namespace(name, 1, "{}"));
        inventory.apply_line(Kind::Namespace, &event).unwrap();
    }
    inventory.begin_list(Kind::Namespace);
    let page = format!(r#"{{"items":[{}]}}"#, namespace("b", 1, "{}"));
    assert!(
        inventory
            .apply_page(Kind::Namespace, page.as_bytes())
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        effects(&inventory.end_list(Kind::Namespace).unwrap()),
        [("a", Effect::Removed)]
    );
}

#[test]
fn a_bad_item_breaks_neither_its_page_nor_itself_silently() {
    let mut inventory = Inventory::default();
    inventory.begin_list(Kind::Namespace);
    let bad = r#"{"metadata":{"name":"bad","uid":7}}"#;
    let page = format!(r#"{{"items":[{},{bad}]}}"#, namespace("good", 1, "{}"));
    let changes = inventory
        .apply_page(Kind::Namespace, page.as_bytes())
        .unwrap();
    assert_eq!(changes.len(), 2);
    assert!(inventory.broken(Kind::Namespace, "", "bad").is_some());
    assert!(inventory.end_list(Kind::Namespace).unwrap().is_empty());
    // Mended, it is an object like any other.
    let event = line("MODIFIED", &namespace("bad", 9, "{}"));
    inventory.apply_line(Kind::Namespace, &event).unwrap();
    assert!(inventory.broken(Kind::Namespace, "", "bad").is_none());
}

#[test]
fn a_deleted_object_is_gone_whatever_its_shape() {
    let mut inventory = Inventory::default();
    let event = line("ADDED", &namespace("shop", 1, "{}"));
    inventory.apply_line(Kind::Namespace, &event).unwrap();
    let event = line("DELETED", r#"{"metadata":{"name":"shop","labels":7}}"#);
    let changes = inventory.apply_line(Kind::Namespace, &event).unwrap();
    assert_eq!(effects(&changes), [("shop", Effect::Removed)]);
}

#[test]
fn an_event_without_a_name_is_an_error() {
    let mut inventory = Inventory::default();
    let event = line("ADDED", r#"{"metadata":{}}"#);
    assert!(inventory.apply_line(Kind::Namespace, &event).is_err());
}

#[test]
fn what_came_before_something_unreadable_is_told_and_the_list_is_not_complete() {
    let mut inventory = Inventory::default();
    let event = line("ADDED", &namespace("old", 1, "{}"));
    inventory.apply_line(Kind::Namespace, &event).unwrap();
    inventory.begin_list(Kind::Namespace);
    let page = format!(
        r#"{{"items":[{},{{"metadata":{{}}}},{}]}}"#,
        namespace("first", 1, "{}"),
        namespace("last", 1, "{}")
    );
    let read = inventory.apply_page(Kind::Namespace, page.as_bytes());
    assert_eq!(
        effects(&read.unwrap_err().taken),
        [("first", Effect::Added)]
    );
    assert!(inventory.meta(Kind::Namespace, "", "first").is_some());
    // Whatever it did not come to show may be there all the same.
    assert_eq!(inventory.end_list(Kind::Namespace), None);
    assert!(inventory.meta(Kind::Namespace, "", "old").is_some());
}

/// A namespace that can't be decoded.
fn with_a_broken_one() -> Inventory {
    let mut inventory = Inventory::default();
    let bad = r#"{"metadata":{"name":"bad","uid":7}}"#;
    let event = line("ADDED", bad);
    inventory.apply_line(Kind::Namespace, &event).unwrap();
    inventory
}

fn broken(inventory: &Inventory) -> Option<Broken> {
    inventory.broken(Kind::Namespace, "", "bad").cloned()
}

#[test]
fn what_can_not_be_decoded_is_so_again_after_a_look_at_another_world() {
    let mut inventory = with_a_broken_one();
    let before = broken(&inventory);
    assert!(before.is_some());
    let good = serde_json::from_str(&namespace("bad", 2, "{}")).unwrap();
    let seen = inventory.overlaid(&[(Kind::Namespace, good)], |world| {
        let there = world.meta(Kind::Namespace, "", "bad").is_some();
        (there, broken(world))
    });
    assert_eq!(seen, Ok((true, None)));
    assert_eq!(broken(&inventory), before);
    let seen = inventory.without(Kind::Namespace, "", "bad", broken);
    assert_eq!(seen, None);
    assert_eq!(broken(&inventory), before);
    assert_eq!(inventory.count(Kind::Namespace), 1);
}
