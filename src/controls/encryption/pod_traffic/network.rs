//! Encryption by the network between nodes.

use crate::{
    controls::prelude::*,
    engine::Cilium,
    inventory::{Table, mesh::FelixConfiguration},
};

/// Whether the network encrypts between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    /// By this means.
    Encrypts(&'static str),
    /// It does not.
    Plain,
    /// Nobody can tell.
    NotSeen(String),
}

/// Whether the network encrypts between nodes: as Cilium or Calico is configured.
pub(super) fn between_nodes(context: &Context<'_>) -> Network {
    if calico(context.inventory) {
        return Network::Encrypts("Calico's WireGuard");
    }
    match &context.observed.cilium {
        Some(Cilium::Encrypts("IPsec")) => Network::Encrypts("Cilium's IPsec"),
        Some(Cilium::Encrypts(_)) => Network::Encrypts("Cilium's WireGuard"),
        Some(Cilium::NotThere | Cilium::Plain) => Network::Plain,
        Some(Cilium::NotSeen(why)) => Network::NotSeen(why.clone()),
        None => Network::NotSeen("Cilium's configuration has not been read".to_owned()),
    }
}

/// Whether Calico encrypts: by default, and no node is told otherwise. Its configuration lies in one
/// of two groups, or is kept in one and served in the other.
fn calico(inventory: &Inventory) -> bool {
    let tables = &inventory.tables;
    let mut all = [
        &tables.felix_configurations,
        &tables.felix_v3_configurations,
    ]
    .into_iter();
    all.any(encrypts)
}

fn encrypts(felix: &Table<FelixConfiguration>) -> bool {
    let default = felix.get("", "default");
    default.is_some_and(|default| default.spec.wireguard == Some(true))
        && felix
            .iter()
            .all(|object| object.spec.wireguard != Some(false))
}
