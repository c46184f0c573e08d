//! How well TLS blocks cover a host.

use super::class::{Class, Controller};
use crate::{
    controls::prelude::*,
    inventory::ingress::{Ingress, Tls},
};

/// How well a host is covered, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cover {
    Covered,
    NotReady,
    OtherNames,
    NoSecret,
    Nothing,
}

impl Cover {
    /// Reason and what is wrong with the hosts.
    pub(super) const fn finding(self) -> (&'static str, &'static str) {
        match self {
            Self::Covered => ("TlsDeclared", "has TLS"),
            Self::NotReady => (
                "CertificateNotReady",
                "the cert-manager Certificate is not Ready for",
            ),
            Self::OtherNames => (
                "CertificateForOtherHosts",
                "the cert-manager Certificate does not hold",
            ),
            Self::NoSecret => ("TlsWithoutSecret", "the TLS block names no Secret for"),
            Self::Nothing => ("HostWithoutTls", "no TLS block covers"),
        }
    }
}

/// How well a host is covered by all Ingresses of the class that serve it.
pub(super) fn cover(
    inventory: &Inventory,
    object: &Object<Ingress>,
    class: Class<'_>,
    host: &str,
    secret_needed: bool,
) -> Cover {
    let best = |object: &Object<Ingress>| {
        let blocks = object.spec.tls.iter();
        blocks
            .map(|tls| block(inventory, &object.meta.namespace, tls, host, secret_needed))
            .min()
    };
    // An ALB takes its certificates from elsewhere: blocks don't count.
    if class.controller == Controller::Alb {
        return Cover::Nothing;
    }
    let own = best(object).unwrap_or(Cover::Nothing);
    if own == Cover::Covered || host.is_empty() {
        return own;
    }
    let sharing = inventory.tables.ingresses.iter().filter(|other| {
        other.spec.hosts.iter().any(|served| &**served == host)
            && !other.meta.deleting
            && Class::of(inventory, &other.spec).name == class.name
    });
    sharing
        .filter_map(best)
        .min()
        .map_or(own, |others| others.min(own))
}

/// How well one TLS block covers a host.
pub(super) fn block(
    inventory: &Inventory,
    namespace: &str,
    tls: &Tls,
    host: &str,
    secret_needed: bool,
) -> Cover {
    // Without hosts, whatever the certificate says is served to everybody.
    if !tls.hosts.is_empty() && !tls.hosts.iter().any(|named| covers(named, host)) {
        return Cover::Nothing;
    }
    let Some(secret) = &tls.secret else {
        return if secret_needed {
            Cover::NoSecret
        } else {
            Cover::Covered
        };
    };
    let certificates = inventory.tables.certificates.in_namespace(namespace);
    let filling = certificates.filter(|c| c.spec.secret == *secret && !c.meta.deleting);
    let judged = filling.map(|certificate| {
        // A block without a host rule promises no name.
        let holds = host.is_empty() || certificate.spec.dns_names.iter().any(|n| covers(n, host));
        match (certificate.spec.ready, holds) {
            (_, false) => Cover::OtherNames,
            (false, true) => Cover::NotReady,
            (true, true) => Cover::Covered,
        }
    });
    judged.min().unwrap_or(Cover::Covered)
}

/// Whether a name, or a wildcard for one label, covers a host.
pub(super) fn covers(name: &str, host: &str) -> bool {
    name == host
        || name.strip_prefix("*.").is_some_and(|parent| {
            let label = host.split_once('.').filter(|(label, _)| !label.is_empty());
            label.is_some_and(|(_, rest)| rest == parent)
        })
}
