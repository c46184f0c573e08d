//! Who has left the organisation, by the `ConfigMap`s that policies name.
//!
//! Rights: `get` on these `ConfigMap`s. What they hold is compared with the users that bindings
//! name, and is neither logged nor shown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::servers::within;
use crate::{
    engine::{Leavers, MapName},
    inventory::Sym,
};

/// Reads these lists.
pub async fn look(client: &Client, maps: BTreeSet<MapName>) -> BTreeMap<MapName, Leavers> {
    let mut found = BTreeMap::new();
    for map in maps {
        let (namespace, name) = &map;
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let leavers = match within(api.get_opt(name)).await {
            Ok(Some(map)) => listed(&map, Timestamp::now()),
            Ok(None) => Leavers::NotSeen("it does not exist".to_owned()),
            Err(error) => Leavers::NotSeen(format!("it can't be read: {error}")),
        };
        found.insert(map, leavers);
    }
    found
}

fn listed(map: &ConfigMap, at: Timestamp) -> Leavers {
    if map
        .binary_data
        .as_ref()
        .is_some_and(|data| !data.is_empty())
    {
        return Leavers::NotSeen("it holds binaryData: write names in data".to_owned());
    }
    let lines = map.data.iter().flatten().flat_map(|(_, text)| text.lines());
    let names = lines
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.starts_with('#'));
    Leavers::Listed {
        at,
        names: names.map(|name| Sym::from(name.to_lowercase())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(map: Value) -> Leavers {
        listed(&serde_json::from_value(map).unwrap(), Timestamp::UNIX_EPOCH)
    }

    fn names(names: &[&str]) -> Leavers {
        Leavers::Listed {
            at: Timestamp::UNIX_EPOCH,
            names: names.iter().map(|name| Sym::from(*name)).collect(),
        }
    }

    #[test]
    fn a_list_has_a_name_on_each_line_of_each_key() {
        let data = json!({
            "2026": "# by HR\nAlice@Example.com \n\nbob\r\n", "2027": "carol",
        });
        let all = names(&["alice@example.com", "bob", "carol"]);
        assert_eq!(of(json!({ "data": data })), all);
        // Nobody has left.
        assert_eq!(of(json!({})), names(&[]));
    }

    #[test]
    fn what_can_not_be_a_list_is_not_an_empty_one() {
        let seen = of(json!({ "binaryData": { "list.gz": "Ym9i" } }));
        assert!(matches!(seen, Leavers::NotSeen(why) if !why.contains("bob")));
    }
}
