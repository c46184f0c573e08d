//! `net-exposure-inventory`

mod entry;

use serde_json::json;

use self::entry::{Entry, Reach};
use crate::{
    analysis::{Derived, listeners::SETS},
    controls::{prelude::*, restricted::command, workloads},
};

/// Every entry point into the cluster is known, and each that the public can reach is approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposureInventory {
    /// Entry points that may be public, beside those that carry a label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub approved: Vec<ApprovedEntry>,

    /// A `LoadBalancer` that is approved as internal only, and that no annotation makes internal,
    /// must limit its sources by loadBalancerSourceRanges.
    #[serde(default = "yes")]
    pub require_source_ranges: bool,

    /// Classes of load balancers, Ingresses and Gateways that only the inside can reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub internal_classes: Vec<String>,

    /// Annotations by which load balancers of Services are internal, beside those of the clouds
    /// that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub internal_annotations: Vec<InternalAnnotation>,
}

/// An annotation that makes the load balancer of a Service internal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InternalAnnotation {
    /// Its key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,

    /// Its value, in whatever case.
    #[schemars(length(min = 1, max = 253))]
    pub value: String,
}

/// An entry point that may be public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedEntry {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Its kind, such as `Service`; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,

    /// The one port that may be; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,

    /// Who answers for it, or why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reason: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Default for ExposureInventory {
    fn default() -> Self {
        Self {
            approved: Vec::new(),
            require_source_ranges: true,
            internal_classes: Vec::new(),
            internal_annotations: Vec::new(),
        }
    }
}

/// Label that approves an entry point.
const LABEL: &str = "probity.dev/exposure";
/// Annotation that says why.
const REASON: &str = "probity.dev/exposure-reason";
/// What a proposed command has in place of the reason: none, if nobody replaces it.
const PLACEHOLDER: &str = "WHO NEEDS IT AND WHY";

/// What the label and the parameters say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    None,
    WithoutReason,
    Internal,
    Public,
}

impl ExposureInventory {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-exposure-inventory",
        field: "netExposureInventory",
        title: "Every public entry point is approved",
        family: Family::Network,
        criteria: &["CC6.6"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 6,
        reads: &[
            Kind::Service,
            Kind::Ingress,
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::XListenerSet,
            Kind::Namespace,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
        ],
        subjects: &[
            Kind::Service,
            Kind::Ingress,
            Kind::Gateway,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::CronJob,
            Kind::Job,
            Kind::ReplicaSet,
            Kind::Pod,
        ],
        derives: &[Derived::OnNode],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "The entry points are Services of type LoadBalancer or NodePort or with externalIPs, \
               Ingresses, Gateways, and workloads with a hostPort, which each declared port of a \
               pod in the node's network is. Each that the public may reach \
               is approved: by the parameter `approved`, or by its label `probity.dev/exposure: \
               approved-public` with a reason in the annotation `probity.dev/exposure-reason`. \
               NodePorts and hostPorts need an approval (`approved-internal` is enough), a \
               LoadBalancer that an annotation of the cloud (or of `internalAnnotations`) or its class makes internal, or whose \
               `loadBalancerSourceRanges` leave the internet out, needs none; nor does a waypoint or \
               a ClusterIP gateway of Istio, or a hostPort on a loopback address. externalIPs always \
               fail.",
        why: "What nobody knows of, nobody patches, watches or takes down. An externalIP lets its \
              author catch traffic that is meant for others.",
        fix: "Proposed: the label and annotation to set, or what to change. Exposure is never \
              changed.",
        by_hand: "Take the entry point down, limit its sources, make it internal by the cloud's \
                  annotation, or have it approved by label and annotation.",
        prevention: "A ValidatingAdmissionPolicy can refuse externalIPs, NodePorts, and \
                     LoadBalancers without loadBalancerSourceRanges; the approved list can be its \
                     parameter.",
        limits: "hostPorts are those of templates and of live pods. Who can reach an address is decided by networks that the cluster does not show: \
                 what is not known to be internal counts as public. Internal by default, as with \
                 some load balancer controllers, is not known. A LoadBalancer opens a port on each \
                 node as well unless `allocateLoadBalancerNodePorts` is false: the message says \
                 so. A Service that a Gateway owns is judged by its Gateway, and so are the listeners \
                 that ListenerSets add to it. Whether a controller \
                 serves an Ingress or a Gateway is not asked.",
    };

    fn approval(&self, subject: &Subject, entry: &Entry<'_>) -> Approval {
        let listed = |port: Option<u16>| {
            self.approved.iter().any(|approved| {
                approved.namespace == *subject.object_namespace()
                    && approved.name == *subject.name
                    && approved
                        .kind
                        .as_deref()
                        .is_none_or(|kind| kind == subject.kind_name())
                    && approved.port.is_none_or(|wanted| Some(wanted) == port)
            })
        };
        let all_listed = !entry.ports.is_empty() && entry.ports.iter().all(|p| listed(Some(*p)));
        if all_listed || listed(None) {
            return Approval::Public;
        }
        let reason = entry.meta.annotations.get(REASON).unwrap_or_default();
        let none = matches!(reason.trim(), "" | PLACEHOLDER);
        match (entry.meta.labels.get(LABEL), none) {
            (Some("approved-public" | "approved-internal"), true) => Approval::WithoutReason,
            (Some("approved-public"), _) => Approval::Public,
            (Some("approved-internal"), _) => Approval::Internal,
            _ => Approval::None,
        }
    }

    fn rule(&self, subject: &Subject, entry: &Entry<'_>) -> Verdict {
        let fail = |reason, message: String| Verdict::fail(Strength::Declared, reason, message);
        let pass = |reason, message: String| Verdict::pass(Strength::Declared, reason, message);
        let what = &entry.what;
        let approval = self.approval(subject, entry);
        match (&entry.reach, approval) {
            (Reach::ByGateway(gateway), _) => Verdict::not_applicable(
                "PartOfGateway",
                format!("{gateway} made it: that is the entry point"),
            ),
            (Reach::ExternalIps, _) => fail("ExternalIPs", what.clone()).propose(format!(
                "expose the Service by a load balancer or a Gateway where it has to be, and remove its \
                 externalIPs: {}",
                command::set(
                    Kind::Service,
                    subject.object_namespace(),
                    &subject.name,
                    &json!({ "spec": { "externalIPs": null } })
                )
            )),
            (Reach::Internal, _) => pass("Internal", what.clone()),
            (_, Approval::WithoutReason) => fail(
                "ApprovalWithoutReason",
                format!("{what}; it is labelled {LABEL}, but annotation {REASON} gives no reason"),
            )
            .propose(format!(
                "say who needs it and why: {}",
                because(subject).unwrap_or_default()
            )),
            (_, Approval::Public) => pass("ApprovedPublic", what.clone()),
            (Reach::Node, Approval::Internal) => pass("ApprovedInternal", what.clone()),
            (Reach::Balancer, Approval::Internal) if !self.require_source_ranges => {
                pass("ApprovedInternal", what.clone())
            }
            (Reach::Balancer, Approval::Internal) => fail(
                "LoadBalancerWithoutSourceRanges",
                format!("{what}; it is approved as internal, and open to the public"),
            )
            .propose(
                "set spec.loadBalancerSourceRanges, or the annotation by which the cloud makes it \
                 internal",
            ),
            (Reach::Http, Approval::Internal) => fail(
                "PublicNotApproved",
                format!("{what}; it is approved as internal, and its class is not known to be"),
            )
            .propose("add its class to internalClasses, or have it approved as public"),
            (reach, Approval::None) => {
                let reason = match reach {
                    Reach::Node => "NodePortNotApproved",
                    _ => "PublicNotApproved",
                };
                fail(reason, format!("{what}, and nobody has approved it")).propose(take_down_or_approve(subject))
            }
        }
    }
}

/// The command that says who needs an entry point, and why.
fn because(subject: &Subject) -> Option<String> {
    let (namespace, name) = (subject.object_namespace(), &*subject.name);
    let reason = format!("{REASON}={PLACEHOLDER}");
    Some(command::annotate(
        subject.object_kind()?,
        namespace,
        name,
        &reason,
    ))
}

/// What to do about an entry point of which nobody knows: both are decisions, and each is a command.
fn take_down_or_approve(subject: &Subject) -> String {
    let Some((kind, because)) = subject.object_kind().zip(because(subject)) else {
        return format!(
            "have it approved by label {LABEL} and annotation {REASON}, or take it down"
        );
    };
    let (namespace, name) = (subject.object_namespace(), &*subject.name);
    let down = match kind {
        Kind::Service => {
            // The API server refuses ranges of sources on what is no load balancer.
            let inside =
                json!({ "spec": { "type": "ClusterIP", "loadBalancerSourceRanges": null } });
            format!(
                "keep it inside the cluster (`{}`)",
                command::set(kind, namespace, name, &inside)
            )
        }
        Kind::Ingress | Kind::Gateway => {
            format!(
                "take it down (`{}`)",
                command::delete(kind, namespace, name)
            )
        }
        _ => "take its hostPorts away".to_owned(),
    };
    let approved = command::label(kind, namespace, name, &format!("{LABEL}=approved-public"));
    format!(
        "{down}; or have it approved, as approved-internal where the public can't reach it: \
         {because} && {approved}"
    )
}

impl Control for ExposureInventory {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        // What adds listeners to a Gateway changes what that opens.
        if SETS.contains(&change.kind) || change.kind == Kind::Namespace {
            return Touched::All;
        }
        Touched::Subject(Subject::object(
            change.kind,
            &change.namespace,
            &change.name,
        ))
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        Touched::Subject(subject.clone())
    }

    /// What a workload opens is an entry point of its own, and closes no other.
    fn fails_whatever(&self, subject: &Subject, _: &str, kind: Kind) -> bool {
        let entries = [Kind::Service, Kind::Ingress, Kind::Gateway].map(SubjectKind::Object);
        entries.contains(&subject.kind) && Derived::OnNode.reads().contains(&kind)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let tables = &context.inventory.tables;
        tables.services.within(namespace, |object| {
            if object.spec.outside.is_some() {
                found(Subject::of(Kind::Service, &object.meta));
            }
        });
        subject::objects(Kind::Ingress, &tables.ingresses, namespace, found);
        subject::objects(Kind::Gateway, &tables.gateways, namespace, found);
        workloads::each(context.inventory, namespace, &mut |subject| {
            if !entry::host_ports(context, &subject).is_empty() {
                found(subject);
            }
        });
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let entry = Entry::of(context, subject, self)?;
        Some(self.rule(subject, &entry))
    }
}

#[cfg(test)]
mod tests;
