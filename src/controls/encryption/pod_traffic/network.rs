//! Encryption by the network between nodes.

use crate::{controls::prelude::*, engine::Cilium};

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

/// Whether Calico encrypts: by default, and no node is told otherwise.
fn calico(inventory: &Inventory) -> bool {
    let felix = &inventory.tables.felix_configurations;
    let default = felix.get("", "default");
    default.is_some_and(|default| default.spec.wireguard == Some(true))
        && felix
            .iter()
            .all(|object| object.spec.wireguard != Some(false))
}
