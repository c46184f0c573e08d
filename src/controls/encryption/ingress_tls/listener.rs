//! Listeners of Gateways, and of the sets that add some to them.

#[cfg(test)]
mod tests;

use super::{IngressTls, class, list};
use crate::{
    analysis::listeners::{self, Holder, SETS, may_attach},
    controls::{Context, Subject, SubjectKind, Verdict},
    inventory::{
        Inventory, Kind, Object,
        ingress::{CERTIFICATE_MAP, Gateway, Listener, Route},
    },
    verdict::{Outcome, Strength},
};

/// Judges a listener by the subject's name: `gateway/listener`, `listenerset/set/listener` or
/// `xlistenerset/set/listener`.
pub(super) fn judge(
    control: &IngressTls,
    context: &Context<'_>,
    subject: &Subject,
) -> Option<Verdict> {
    let (kind, name) = SETS
        .into_iter()
        .find_map(|kind| Some((kind, subject.name.strip_prefix(prefix(kind))?)))
        .unwrap_or((Kind::Gateway, &subject.name));
    let (holder, name) = name.split_once('/')?;
    let holder = listeners::holder(context.inventory, kind, &subject.namespace, holder)?;
    let listener = holder.listeners.iter().find(|l| &*l.name == name)?;
    let Some(gateway) = holder.gateway else {
        return Some(Verdict::not_applicable(
            "SetNotAttached",
            "its Gateway is not there, or takes no listeners from its namespace",
        ));
    };
    Some(match &*listener.protocol {
        "HTTPS" | "TLS" => match encrypted(gateway, listener) {
            declared if control.handshake && declared.outcome == Outcome::Pass => {
                super::handshake::listener(control, context, &holder, listener)
            }
            declared => declared,
        },
        "HTTP" => plain(control, context.inventory, &holder, listener),
        // Istio's own: HTTP/2 in the mutual TLS of the mesh, never without.
        "HBONE" => Verdict::pass(
            Strength::Declared,
            "MutualTls",
            "HBONE carries everything in the mutual TLS of the mesh",
        ),
        "TCP" | "UDP" => Verdict::not_applicable(
            "NotHttp",
            "the listener takes raw connections, whose content this control does not judge",
        ),
        other => Verdict::unknown(
            "ProtocolNotKnown",
            format!("whether protocol {other} encrypts is not known"),
        ),
    })
}

/// What the names of listeners begin with that a set adds: those of a Gateway have one part less.
const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::ListenerSet => "listenerset/",
        Kind::XListenerSet => "xlistenerset/",
        _ => "",
    }
}

/// The subject that a listener is.
pub(super) fn subject(holder: &Holder<'_>, listener: &Listener) -> Subject {
    let (prefix, name) = (prefix(holder.kind), &holder.meta.name);
    Subject {
        namespace: holder.meta.namespace.clone(),
        kind: SubjectKind::Listener,
        name: format!("{prefix}{name}/{}", listener.name).into(),
    }
}

fn encrypted(gateway: &Object<Gateway>, listener: &Listener) -> Verdict {
    match &listener.tls {
        Some(tls) if tls.passthrough => Verdict::pass(
            Strength::Declared,
            "Passthrough",
            "TLS is handed through to the pods; their certificate was not seen",
        ),
        Some(tls) if tls.certificates > 0 => Verdict::pass(
            Strength::Declared,
            "TlsDeclared",
            "the listener names a certificate; the certificate itself was not seen",
        ),
        _ if has_certificate_map(gateway, listener) => by_certificate_map(&gateway.spec.class),
        Some(tls) if tls.unknown_options => Verdict::unknown(
            "CertificateNotVisible",
            "the listener names no certificate, and options of which its controller knows whether \
             they do",
        ),
        _ => Verdict::fail(
            Strength::Declared,
            "ListenerWithoutCertificate",
            "the listener should end TLS and names no certificate",
        )
        .propose("Name a certificate in the listener's tls.certificateRefs."),
    }
}

fn has_certificate_map(gateway: &Object<Gateway>, listener: &Listener) -> bool {
    let map = gateway.meta.annotations.get(CERTIFICATE_MAP);
    &*listener.protocol == "HTTPS" && map.is_some_and(|map| !map.trim().is_empty())
}

/// GKE takes the certificates of all HTTPS listeners from the map; they name none themselves.
fn by_certificate_map(class: &str) -> Verdict {
    if class.starts_with("gke-l7-") {
        let message = "the Gateway names a certificate map of Certificate Manager; the \
                       certificates themselves were not seen";
        return Verdict::pass(Strength::Declared, "TlsDeclared", message);
    }
    let message = format!(
        "the Gateway names a certificate map in {CERTIFICATE_MAP}, which only GKE reads: whether \
         class {class} is one of GKE its GatewayClass says"
    );
    Verdict::unknown("CertificateNotVisible", message)
}

/// The kinds of routes that a listener for HTTP, encrypted or not, takes.
const ROUTES: [Kind; 2] = [Kind::HttpRoute, Kind::GrpcRoute];

/// The routes of HTTP that attach to a listener, with their kinds.
pub(super) fn attached<'a>(
    inventory: &'a Inventory,
    holder: &'a Holder<'a>,
    listener: &'a Listener,
) -> impl Iterator<Item = (Kind, &'a Object<Route>)> {
    let tables = &inventory.tables;
    let http = tables.http_routes.iter();
    let http = http.map(|route| (Kind::HttpRoute, route));
    let grpc = tables.grpc_routes.iter();
    let all = http.chain(grpc.map(|route| (Kind::GrpcRoute, route)));
    let all = all.filter(move |(kind, route)| !route.meta.deleting && takes(listener, *kind));
    all.filter(move |(_, route)| attaches(inventory, route, holder, listener))
}

/// Whether a listener takes routes of a kind.
fn takes(listener: &Listener, kind: Kind) -> bool {
    let mut kinds = listener.kinds.iter();
    listener.kinds.is_empty() || kinds.any(|taken| **taken == *kind.info().kind)
}

/// A listener for plain HTTP may only redirect.
fn plain(
    control: &IngressTls,
    inventory: &Inventory,
    holder: &Holder<'_>,
    listener: &Listener,
) -> Verdict {
    let attached = || attached(inventory, holder, listener);
    let serving: Vec<String> = attached()
        .filter(|(_, route)| !route.spec.redirects_only && !class::is_solver(&route.meta.labels))
        .filter(|(_, route)| !only_allowed(control, &route.spec, listener))
        .map(|(kind, route)| {
            let (kind, meta) = (kind.info().kind, &route.meta);
            format!("{kind} {}/{}", meta.namespace, meta.name)
        })
        .collect();
    if !serving.is_empty() {
        return Verdict::fail(
            Strength::Effective,
            "PlainHttpRoute",
            format!("plain HTTP is served by {}", list(&serving)),
        )
        .propose(
            "Attach these routes to an HTTPS listener by parentRefs.sectionName, and give this \
             listener one route whose only rule is a RequestRedirect filter with scheme https.",
        );
    }
    let taken = ROUTES.into_iter().filter(|kind| takes(listener, *kind));
    let mut unread = taken.flat_map(|kind| {
        let names = inventory.broken_names(kind).into_iter();
        names.map(move |(namespace, name)| (kind, namespace, name))
    });
    let unread = unread.find(|(_, namespace, _)| {
        may_attach(inventory, namespace, &holder.meta.namespace, &listener.from)
    });
    if let Some((kind, namespace, name)) = unread {
        let kind = kind.info().kind;
        return Verdict::unknown(
            "RouteNotReadable",
            format!("{kind} {namespace}/{name} can't be decoded and might be attached"),
        );
    }
    if attached().next().is_none() {
        return Verdict::pass(Strength::Effective, "NoRoutes", "no route is attached");
    }
    Verdict::pass(
        Strength::Effective,
        "RedirectsOnly",
        "every attached route redirects to https, or is allowed to stay plain",
    )
}

/// Whether a route attaches to a listener, computed from the specs of both.
fn attaches(
    inventory: &Inventory,
    route: &Object<Route>,
    holder: &Holder<'_>,
    listener: &Listener,
) -> bool {
    let is_parent = route.spec.parents.iter().any(|parent| {
        parent.kind == holder.kind
            && parent.namespace == holder.meta.namespace
            && parent.name == holder.meta.name
            && parent
                .section
                .as_ref()
                .is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port)
    });
    is_parent
        && may_attach(
            inventory,
            &route.meta.namespace,
            &holder.meta.namespace,
            &listener.from,
        )
        && listener.hostname.as_ref().is_none_or(|own| {
            let mut names = route.spec.hostnames.iter();
            route.spec.hostnames.is_empty() || names.any(|name| intersects(own, name))
        })
}

/// Whether every host that a route serves on this listener may stay plain.
fn only_allowed(control: &IngressTls, route: &Route, listener: &Listener) -> bool {
    let own = listener.hostname.as_deref();
    if route.hostnames.is_empty() {
        return own.is_some_and(|own| control.allows_http(own));
    }
    let is_served = |name: &str| own.is_none_or(|own| intersects(own, name));
    let mut hosts = route.hostnames.iter().filter(|name| is_served(name));
    // Of the two names, the narrower one is what is served.
    hosts.all(|name| control.allows_http(name) || own.is_some_and(|own| control.allows_http(own)))
}

/// Whether two host names have a host in common. Unlike those of an Ingress, wildcards of a
/// Gateway stand for any number of labels.
fn intersects(a: &str, b: &str) -> bool {
    let inside = |host: &str, pattern: &str| {
        let suffix = pattern.strip_prefix('*');
        let host = host.strip_prefix('*').unwrap_or(host);
        suffix.is_some_and(|suffix| host.ends_with(suffix))
    };
    a == b || inside(a, b) || inside(b, a)
}
