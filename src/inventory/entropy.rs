//! Anti-entropy: comparing what is held of a kind with what the server lists.

use std::collections::BTreeMap;

use super::{Inventory, Kind, Sym, Uid};

/// A metadata-only list of a kind.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Version of the list.
    pub rv: u64,
    /// Uid and version of each object, by namespace and name.
    pub objects: BTreeMap<(Sym, Sym), (Uid, u64)>,
}

impl Listed {
    /// From the parts of a metadata-only list: namespace, name, uid and version.
    pub fn new(rv: &str, objects: Vec<(String, String, String, String)>) -> Option<Self> {
        let objects = objects.into_iter().map(|(namespace, name, uid, rv)| {
            Some((
                (namespace.into(), name.into()),
                (Uid::parse(&uid)?, rv.parse().ok()?),
            ))
        });
        Some(Self {
            rv: rv.parse().ok()?,
            objects: objects.collect::<Option<_>>()?,
        })
    }
}

/// Names of the objects that differ: listed and not held (so new), or held and not listed any
/// more. What is held may be newer than the list, never older, once the watch has had time to
/// deliver; so this is asked twice, and what differs both times was lost.
pub fn differing(inventory: &Inventory, kind: Kind, listed: &Listed) -> Vec<(Sym, Sym)> {
    let held = inventory.versions(kind);
    let mut differing = Vec::new();
    for (name, (uid, rv)) in &listed.objects {
        let known = held.get(name);
        let fresh = known
            .is_some_and(|(held_uid, held_rv)| held_rv >= rv && (held_uid == uid || held_rv > rv));
        if !fresh && inventory.broken(kind, &name.0, &name.1).is_none() {
            differing.push(name.clone());
        }
    }
    for (name, (_, rv)) in &held {
        if !listed.objects.contains_key(name) && *rv <= listed.rv {
            differing.push(name.clone());
        }
    }
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f10";

    fn held(objects: &[(&str, u64)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (name, rv) in objects {
            let line = format!(
                r#"{{"type":"ADDED","object":{{"metadata":{{"name":"{name}","uid":"{UID}","resourceVersion":"{rv}"}}}}}}"#
            );
            inventory
                .apply_line(Kind::Namespace, line.as_bytes())
                .unwrap();
        }
        inventory
    }

    fn listed(rv: &str, objects: &[(&str, u64)]) -> Listed {
        let object = |(name, rv): &(&str, u64)| {
            (
                String::new(),
                (*name).to_owned(),
                UID.to_owned(),
                rv.to_string(),
            )
        };
        Listed::new(rv, objects.iter().map(object).collect()).unwrap()
    }

    fn differ(held_objects: &[(&str, u64)], rv: &str, list: &[(&str, u64)]) -> Vec<String> {
        let inventory = held(held_objects);
        let names = differing(&inventory, Kind::Namespace, &listed(rv, list));
        names
            .into_iter()
            .map(|(_, name)| name.to_string())
            .collect()
    }

    #[test]
    fn what_the_watch_lost_is_found() {
        assert_eq!(differ(&[("a", 1)], "9", &[("a", 1), ("b", 2)]), ["b"]);
        assert_eq!(differ(&[("a", 1)], "9", &[("a", 5)]), ["a"]);
        assert_eq!(differ(&[("a", 1), ("b", 2)], "9", &[("a", 1)]), ["b"]);
    }

    #[test]
    fn what_is_newer_than_the_list_is_no_difference() {
        assert!(differ(&[("a", 10)], "9", &[("a", 1)]).is_empty());
        assert!(differ(&[("a", 1), ("b", 10)], "9", &[("a", 1)]).is_empty());
    }
}
