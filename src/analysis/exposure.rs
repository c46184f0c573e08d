//! Which Services lead to a workload's pods, and whether anything outside can reach them.

use super::listeners::is_there;
use crate::inventory::{
    Inventory, Kind, Object,
    core::{Service, Target},
    ingress::Route,
    template::Template,
};

/// The Services of `namespace` that select the pods of `template`.
pub fn services<'a>(
    inventory: &'a Inventory,
    namespace: &'a str,
    template: &'a Template,
) -> impl Iterator<Item = &'a Object<Service>> {
    let services = inventory.tables.services.in_namespace(namespace);
    services.filter(|service| {
        let selector = service.spec.selector.as_ref();
        selector.is_some_and(|wanted| {
            let mut pairs = wanted.iter();
            pairs.all(|(key, value)| template.labels.get(key) == Some(value))
        })
    })
}

/// A port by protocol and number; Services of a port count for every protocol.
pub type Declared = (Option<&'static str>, u16);

/// Ports that the containers of `template` or the Services that lead to its pods declare.
/// A Service that names its port by name adds nothing: the name is that of a container port.
pub fn declared_ports(
    inventory: &Inventory,
    namespace: &str,
    template: &Template,
) -> Vec<Declared> {
    let containers = template.ports.iter().filter_map(|port| {
        let protocol = super::network::PROTOCOLS;
        let protocol = protocol.into_iter().find(|p| *p == &*port.protocol)?;
        Some((Some(protocol), port.number))
    });
    let services = services(inventory, namespace, template);
    let targets = services.flat_map(|service| service.spec.targets.iter());
    let targets = targets.filter_map(|target| match target {
        Target::Number(number) => Some((None, *number)),
        Target::Name(_) => None,
    });
    let mut ports: Vec<_> = containers.chain(targets).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What makes the pods of `template` reachable from outside the cluster, in words.
pub fn exposed_by(inventory: &Inventory, namespace: &str, template: &Template) -> Option<String> {
    if template.ports.iter().any(|port| port.host) {
        return Some("a hostPort".to_owned());
    }
    services(inventory, namespace, template).find_map(|service| {
        let name = &service.meta.name;
        if service.spec.outside.is_some() {
            return Some(format!("Service {namespace}/{name}"));
        }
        let mut ingresses = inventory.tables.ingresses.in_namespace(namespace);
        if let Some(ingress) = ingresses.find(|ingress| ingress.spec.services.contains(name)) {
            return Some(format!("Ingress {namespace}/{}", ingress.meta.name));
        }
        let (kind, route) = routes(inventory).find(|(_, route)| {
            let mut services = route.spec.services.iter();
            // A route without a Gateway that exists leads nowhere.
            services.any(|(ns, service)| &**ns == namespace && service == name)
                && route
                    .spec
                    .parents
                    .iter()
                    .any(|parent| is_there(inventory, parent))
        })?;
        let meta = &route.meta;
        let kind = kind.info().kind;
        Some(format!("{kind} {}/{}", meta.namespace, meta.name))
    })
}

/// The routes of all Gateways, with their kinds.
fn routes(inventory: &Inventory) -> impl Iterator<Item = (Kind, &Object<Route>)> {
    let tables = &inventory.tables;
    let http = tables.http_routes.iter();
    let grpc = tables.grpc_routes.iter();
    let tls = tables.tls_routes.iter();
    http.map(|route| (Kind::HttpRoute, route))
        .chain(grpc.map(|route| (Kind::GrpcRoute, route)))
        .chain(tls.map(|route| (Kind::TlsRoute, route)))
}
