//! `enc-ingress-tls`

mod class;
mod cover;
mod handshake;
mod listener;
mod put_back;
#[cfg(test)]
mod tests;

use serde_json::json;

use self::class::{Class, Redirect, served};
use self::cover::{Cover, cover, covers};
pub use self::handshake::{HANDSHAKE_INTERVAL, handshake_targets};
use super::MinVersion;
use crate::{analysis::listeners::holders, controls::prelude::*, inventory::ingress::Ingress};

/// Each host of an Ingress is served with TLS and redirects plain HTTP; each listener of a
/// Gateway ends TLS, hands it through, or only redirects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Hosts that may be served by plain HTTP: names, or `*.` and a name for one label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        )
    )]
    pub allow_http_hosts: Vec<String>,

    /// Whether plain HTTP to a host with TLS must be redirected or refused.
    #[serde(default = "yes")]
    pub require_redirect: bool,

    /// Ingress classes behind a load balancer that ends TLS and redirects: their Ingresses pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub controllers_terminating_upstream: Vec<String>,

    /// Ingress classes whose controller has a default certificate: in their Ingresses a TLS block
    /// without `secretName` counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub default_certificate_classes: Vec<String>,

    /// Whether to connect to the address of each entry point, as a client does, and to judge the
    /// certificate that it shows for each host.
    #[serde(default)]
    pub handshake: bool,

    /// The oldest version of TLS that may be taken, where `handshake` is set.
    #[serde(default)]
    pub min_version: MinVersion,

    /// Certificates (PEM) of authorities that clients trust beside the public ones, where
    /// `handshake` is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 65536))]
    pub trusted_authorities: String,
}

const fn yes() -> bool {
    true
}

impl Default for IngressTls {
    fn default() -> Self {
        Self {
            allow_http_hosts: Vec::new(),
            require_redirect: true,
            controllers_terminating_upstream: Vec::new(),
            default_certificate_classes: Vec::new(),
            handshake: false,
            min_version: MinVersion::default(),
            trusted_authorities: String::new(),
        }
    }
}

/// The reason of a failure that a redirect would mend.
const NO_REDIRECT: &str = "NoRedirect";

impl IngressTls {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-ingress-tls",
        field: "encIngressTls",
        title: "Everything that enters by Ingress or Gateway is encrypted",
        family: Family::Encryption,
        criteria: &["CC6.6", "CC6.7"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 4,
        reads: &[
            Kind::Namespace,
            Kind::Ingress,
            Kind::IngressClass,
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::XListenerSet,
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::Certificate,
        ],
        subjects: &[
            Kind::Ingress,
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::XListenerSet,
        ],
        derives: &[],
        observes: &[Observation::TlsHandshakes],
        writes: &[Write::patch(Kind::Ingress)],
        scope: ScopeUse::BySubject,
        what: "Each host of an Ingress is covered by a TLS block with a Secret (exactly or by a \
               wildcard for one label; TLS of all Ingresses of one class counts together for a \
               host that they share), or its controller takes a certificate by annotation, or \
               hands TLS through; `defaultBackend` beside rules serves every other host, except by \
               the controllers of nginx and Traefik; where a cert-manager Certificate fills the Secret, it is Ready \
               and holds the host. Plain HTTP is redirected or refused, as far as the class shows \
               it. Each Gateway listener ends TLS with a certificate (on GKE also of the annotation \
               `networking.gke.io/certmap`), hands it through, is HBONE of Istio, or is plain HTTP to which nothing but redirects to https is attached. With `handshake`, \
               the addresses in their status are connected to, and the certificate that is shown \
               for each host holds it, is valid and strong, and leads to an authority that clients \
               trust, without old versions of TLS.",
        why: "What crosses a network in the clear can be read and changed on the way, passwords \
              and session cookies included.",
        fix: "TLS blocks and redirect annotations that an Ingress had when it last passed are put \
              back, merged host by host: newer blocks stay, and hosts that no rule serves any \
              more don't come back. An Ingress that never passed gets a proposal, with a ready \
              patch where a Ready Certificate holds its hosts: inventing certificates breaks sites.",
        by_hand: "Give each host a `tls` entry with a certificate (cert-manager issues them from an \
               annotation), keep the redirect of the class on, and let HTTP listeners of a \
               Gateway serve redirects only.",
        prevention: "A ValidatingAdmissionPolicy can demand that `tls` covers every rule's host; it \
               can't see whether the Secret exists.",
        limits: "Secrets are never read: without `handshake` the verdict rests on what is \
                 declared. With it, the network must let Probity reach the entry points; an \
                 address that does not answer is Unknown, a wildcard is asked for by one name, and \
                 512 handshakes are made at most, hourly. Global \
                 settings of controllers (ConfigMaps, flags, IngressClassParams, FrontendConfigs, \
                 Middlewares) are not read either: where they decide, the verdict is Unknown, or \
                 name the class in `controllersTerminatingUpstream`. The redirect that nginx and \
                 HAProxy make by default can be switched off globally. Attachments are computed \
                 from specs, of HTTPRoutes and GRPCRoutes. A listener of a ListenerSet is named \
                 `listenerset/SET/LISTENER`, and not applicable where its Gateway takes none. Ingresses with the label of an ACME solver, \
                 which anyone may set, are not judged.",
    };

    fn ingress(&self, context: &Context<'_>, object: &Object<Ingress>) -> Verdict {
        let (spec, annotations) = (&object.spec, &object.meta.annotations);
        let class = Class::of(context.inventory, spec);
        let listed = |list: &[String]| class.name.is_some_and(|n| list.iter().any(|l| l == n));
        if class::is_solver(&object.meta.labels) {
            return Verdict::not_applicable(
                "AcmeSolver",
                "it answers an ACME challenge for a moment",
            );
        }
        if listed(&self.controllers_terminating_upstream) {
            let message = "a load balancer in front of its class ends TLS, says the policy";
            return Verdict::pass(Strength::Declared, "TerminatedUpstream", message);
        }
        let hosts = served(class, spec);
        if class::passthrough(class, annotations) && !hosts.is_empty() && !hosts.contains(&"") {
            let message = "TLS is handed through to the pods; their certificate was not seen";
            return Verdict::pass(Strength::Declared, "Passthrough", message);
        }
        let secret_needed = !listed(&self.default_certificate_classes);
        if let Some(verdict) = self.uncovered(context, object, class, secret_needed) {
            return verdict;
        }
        if !hosts.is_empty() && hosts.iter().all(|host| self.allows_http(host)) {
            return Verdict::not_applicable("HttpAllowed", "the policy lets its hosts stay plain");
        }
        self.redirected(context.inventory, object, class)
    }

    /// The verdict where not all hosts are covered by TLS.
    fn uncovered(
        &self,
        context: &Context<'_>,
        object: &Object<Ingress>,
        class: Class<'_>,
        secret_needed: bool,
    ) -> Option<Verdict> {
        if class::certified(class, &object.meta.annotations) || class::tls_is_for_all(class, object)
        {
            return None;
        }
        if object.spec.hosts.is_empty() {
            let message = "it has a default backend only, which is served without TLS of its own";
            return Some(Verdict::fail(
                Strength::Declared,
                "OnlyDefaultBackend",
                message,
            ));
        }
        let covers: Vec<(&str, Cover)> = served(class, &object.spec)
            .into_iter()
            .filter(|host| !self.allows_http(host))
            .map(|host| {
                (
                    host,
                    cover(context.inventory, object, class, host, secret_needed),
                )
            })
            .collect();
        let worst = covers.iter().map(|(_, cover)| *cover).max()?;
        if worst == Cover::Covered {
            return None;
        }
        if class.may_certify() {
            let message = "no annotation names a certificate; the IngressClassParams of its class, \
                           which are not read, may name some for all its Ingresses";
            return Some(Verdict::unknown("CertificateNotVisible", message));
        }
        let bare = |host: &str| {
            if host.is_empty() {
                "requests for any other host"
            } else {
                host
            }
            .to_owned()
        };
        let mut lacking: Vec<String> = covers
            .iter()
            .filter(|(_, cover)| *cover == worst)
            .map(|(host, _)| bare(host))
            .collect();
        lacking.sort();
        lacking.dedup();
        let (reason, what) = worst.finding();
        Some(Verdict::fail(
            Strength::Declared,
            reason,
            format!("{what} {}", list(&lacking)),
        ))
    }

    /// The verdict where all hosts are covered by TLS.
    fn redirected(
        &self,
        inventory: &Inventory,
        object: &Object<Ingress>,
        class: Class<'_>,
    ) -> Verdict {
        let redirect = class::redirect(inventory, class, object);
        match redirect {
            Redirect::Absent(key, value) if self.require_redirect => Verdict::fail(
                Strength::Declared,
                NO_REDIRECT,
                "its hosts have TLS, and are served by plain HTTP as well",
            )
            .propose(format!("Set the annotation {key} to \"{value}\".")),
            Redirect::NotVisible(why) if self.require_redirect => Verdict::unknown(
                "RedirectNotVisible",
                format!(
                    "its hosts have TLS; whether plain HTTP is redirected can't be seen: {why}"
                ),
            ),
            _ => Verdict::pass(
                Strength::Declared,
                "TlsDeclared",
                "TLS is declared for every host; the certificate itself was not seen",
            ),
        }
    }

    /// Whether the policy lets a host stay plain.
    fn allows_http(&self, host: &str) -> bool {
        self.allow_http_hosts
            .iter()
            .any(|allowed| covers(allowed, host))
    }
}

/// The first few of a list, in words.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Puts back what was kept of this very object.
fn remedy(context: &Context<'_>, object: &Object<Ingress>, reason: &str) -> Option<Remedy> {
    let kept = context
        .kept
        .filter(|kept| kept.uid == object.meta.uid && !object.meta.deleting)?;
    if reason == NO_REDIRECT {
        let class = Class::of(context.inventory, &object.spec);
        return put_back::redirect(object, class.controller, kept);
    }
    put_back::tls(object, kept)
}

/// What a person can do about hosts without TLS.
fn proposal(inventory: &Inventory, object: &Object<Ingress>) -> String {
    let (namespace, name) = (&object.meta.namespace, &object.meta.name);
    let mut blocks = put_back::blocks(&object.spec);
    let known = blocks.len();
    for host in object.spec.hosts.iter().filter(|host| !host.is_empty()) {
        let mut ready = inventory
            .tables
            .certificates
            .in_namespace(namespace)
            .filter(|c| c.spec.ready);
        let holding = ready.find(|c| c.spec.dns_names.iter().any(|name| covers(name, host)));
        let block = holding.map(|c| json!({ "hosts": [**host], "secretName": *c.spec.secret }));
        blocks.extend(block.filter(|block| !blocks.contains(block)));
    }
    if blocks.len() == known {
        return "Give the Ingress a tls block that names, for each host, the Secret of a \
                certificate; or list hosts that may stay plain in allowHttpHosts."
            .to_owned();
    }
    let patch = json!({ "spec": { "tls": blocks } });
    format!(
        "A Ready Certificate holds the host: kubectl -n {namespace} patch ingress {name} --type=merge -p '{patch}'"
    )
}

impl Control for IngressTls {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn fails_whatever(&self, subject: &Subject, _: &str, kind: Kind) -> bool {
        // No Ingress has a say in a Gateway.
        subject.kind == SubjectKind::Listener && matches!(kind, Kind::Ingress | Kind::IngressClass)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let inventory = context.inventory;
        let wanted = |of: &str| namespace.is_none_or(|namespace| namespace == of);
        for object in inventory
            .tables
            .ingresses
            .iter()
            .filter(|o| wanted(&o.meta.namespace))
        {
            found(Subject::object(
                Kind::Ingress,
                &object.meta.namespace,
                &object.meta.name,
            ));
        }
        holders(inventory, namespace, &mut |holder| {
            for listener in holder.listeners {
                found(listener::subject(&holder, listener));
            }
        });
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        if subject.kind == SubjectKind::Listener {
            return listener::judge(self, context, subject);
        }
        let object = context
            .inventory
            .tables
            .ingresses
            .get(&subject.namespace, &subject.name)?;
        let mut verdict = self.ingress(context, object);
        if self.handshake && verdict.outcome == Outcome::Pass {
            verdict = handshake::ingress(self, context, object);
        }
        Some(match verdict.outcome {
            Outcome::Pass => {
                let class = Class::of(context.inventory, &object.spec);
                verdict.keeping(put_back::keep(object, class.controller))
            }
            Outcome::Fail => match remedy(context, object, verdict.reason) {
                Some(remedy) => verdict.remedy(remedy),
                None if verdict.proposal.is_some() => verdict,
                None => verdict.propose(proposal(context.inventory, object)),
            },
            _ => verdict,
        })
    }
}
