//! Listeners of Gateways, and of the sets that add some to a Gateway.

use crate::inventory::{
    Inventory, Kind, Meta, Object, Sym,
    ingress::{Gateway, Listener, ListenerSet, Parent, RoutesFrom},
};

/// What has listeners.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// `Gateway`, `ListenerSet` or `XListenerSet`.
    pub kind: Kind,
    /// Its metadata.
    pub meta: &'a Meta,
    /// Its listeners.
    pub listeners: &'a [Listener],
    /// The Gateway that serves them: itself, or the one that a set names, if it is there and takes
    /// sets from the namespace.
    pub gateway: Option<&'a Object<Gateway>>,
}

/// The kinds of sets of listeners.
pub const SETS: [Kind; 2] = [Kind::ListenerSet, Kind::XListenerSet];

/// Calls `found` with everything in `namespace`, or in all, that has listeners.
pub fn holders<'a>(
    inventory: &'a Inventory,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Holder<'a>),
) {
    let wanted = |meta: &Meta| namespace.is_none_or(|namespace| namespace == &*meta.namespace);
    let gateways = inventory.tables.gateways.iter();
    for gateway in gateways.filter(|gateway| wanted(&gateway.meta)) {
        found(of_gateway(gateway));
    }
    for (kind, set) in sets(inventory).filter(|(_, set)| wanted(&set.meta)) {
        found(of_set(inventory, kind, set));
    }
}

/// The one of a kind, namespace and name.
pub fn holder<'a>(
    inventory: &'a Inventory,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Option<Holder<'a>> {
    let tables = &inventory.tables;
    let set = match kind {
        Kind::Gateway => return tables.gateways.get(namespace, name).map(of_gateway),
        Kind::ListenerSet => tables.listener_sets.get(namespace, name),
        Kind::XListenerSet => tables.x_listener_sets.get(namespace, name),
        _ => None,
    };
    Some(of_set(inventory, kind, set?))
}

/// The sets that add listeners to a Gateway.
pub fn added<'a>(
    inventory: &'a Inventory,
    gateway: &'a Object<Gateway>,
) -> impl Iterator<Item = &'a Listener> {
    let sets = sets(inventory).map(|(kind, set)| of_set(inventory, kind, set));
    let own = sets.filter(|set| {
        let by = set.gateway;
        by.is_some_and(|by| std::ptr::eq(by, gateway))
    });
    own.flat_map(|set| set.listeners)
}

/// Whether what a route or a policy names as its parent is there.
pub fn is_there(inventory: &Inventory, parent: &Parent) -> bool {
    let Parent {
        kind,
        namespace,
        name,
        ..
    } = parent;
    let holder = holder(inventory, *kind, namespace, name);
    holder.is_some_and(|holder| holder.gateway.is_some())
}

/// Whether something of a namespace may attach to what lies in another one.
pub fn may_attach(inventory: &Inventory, from: &str, to: &str, which: &RoutesFrom) -> bool {
    match which {
        RoutesFrom::Same => from == to,
        RoutesFrom::All => true,
        RoutesFrom::None => false,
        // A namespace that is not known yet counts: what is not read must not make a listener pass.
        RoutesFrom::Selector(selector) => inventory
            .meta(Kind::Namespace, "", from)
            .is_none_or(|meta| selector.matches(&meta.labels)),
    }
}

fn sets(inventory: &Inventory) -> impl Iterator<Item = (Kind, &Object<ListenerSet>)> {
    let tables = &inventory.tables;
    let sets = tables.listener_sets.iter();
    let older = tables.x_listener_sets.iter();
    sets.map(|set| (Kind::ListenerSet, set))
        .chain(older.map(|set| (Kind::XListenerSet, set)))
}

const fn of_gateway(gateway: &Object<Gateway>) -> Holder<'_> {
    Holder {
        kind: Kind::Gateway,
        meta: &gateway.meta,
        listeners: &gateway.spec.listeners,
        gateway: Some(gateway),
    }
}

fn of_set<'a>(inventory: &'a Inventory, kind: Kind, set: &'a Object<ListenerSet>) -> Holder<'a> {
    let (namespace, name): &(Sym, Sym) = &set.spec.gateway;
    let gateway = inventory.tables.gateways.get(namespace, name);
    let own = &set.meta.namespace;
    Holder {
        kind,
        meta: &set.meta,
        listeners: &set.spec.listeners,
        gateway: gateway
            .filter(|gateway| may_attach(inventory, own, namespace, &gateway.spec.sets_from)),
    }
}
