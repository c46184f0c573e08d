//! Which policies apply to the pods of a template.

use super::{Applying, Direction, Doubt, Grant, Policy, Step, calico};
use crate::inventory::{
    Inventory, Kind, Object,
    cilium::{CiliumPolicy, Section, Side},
    meta::Labels,
    network_policy::{NetworkPolicy, Peer, Rule},
    selector::Selector,
    template::{Template, is_pod_only_label},
    tiers::{Act, Tier, TierPolicy, TierRule},
};

/// Whether something isolates the pods of a template in one direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolated {
    /// A policy does.
    Yes,
    /// Something that can't be judged may.
    Unclear,
    /// Nothing does.
    #[default]
    No,
}

impl NetworkPolicy {
    fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

impl Section {
    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// What is said of a policy whose selector speaks of labels that no template has.
const SINGLE_PODS: &str = "selects single pods by labels that a template lacks";

/// Whether `selector` selects pods with `labels`, of which those that only tell pods apart are
/// not known.
fn selects(selector: &Selector, labels: &Labels) -> Option<bool> {
    selector.judge(labels, is_pod_only_label)
}

/// Whether the pods of `template` are isolated for ingress and for egress.
pub fn isolation(inventory: &Inventory, namespace: &str, template: &Template) -> [Isolated; 2] {
    Direction::BOTH.map(|direction| {
        let mut policies = inventory.tables.network_policies.in_namespace(namespace);
        // Nearly always one of the namespace's own policies decides.
        let own = policies.any(|policy| {
            policy.spec.rules(direction).is_some()
                && selects(&policy.spec.pods, &template.labels) == Some(true)
        });
        if own {
            return Isolated::Yes;
        }
        let applying = Applying::gather(inventory, namespace, template, direction);
        if applying.is_isolated() {
            Isolated::Yes
        } else if applying.doubt(|doubt| doubt.isolates).is_some() {
            Isolated::Unclear
        } else {
            Isolated::No
        }
    })
}

impl<'a> Applying<'a> {
    /// Collects what applies to the pods of `template` in `namespace`.
    pub fn gather(
        inventory: &'a Inventory,
        namespace: &'a str,
        template: &Template,
        direction: Direction,
    ) -> Self {
        let mut applying = Self {
            direction,
            namespace,
            isolating: Vec::new(),
            grants: Vec::new(),
            denied: Vec::new(),
            admin: Vec::new(),
            baseline: Vec::new(),
            doubts: Vec::new(),
        };
        applying.network_policies(inventory, &template.labels);
        applying.cilium(inventory, &template.labels);
        applying.tiers(inventory, &template.labels);
        applying.calico(inventory, template);
        applying
    }

    fn network_policies(&mut self, inventory: &'a Inventory, labels: &Labels) {
        for object in inventory
            .tables
            .network_policies
            .in_namespace(self.namespace)
        {
            let Some(rules) = object.spec.rules(self.direction) else {
                continue;
            };
            let policy = of(Kind::NetworkPolicy, object);
            match selects(&object.spec.pods, labels) {
                Some(true) => {
                    self.isolating.push(policy);
                    self.grants
                        .extend(rules.iter().map(|rule| Grant { policy, rule }));
                }
                Some(false) => {}
                None => self.doubts.push(Doubt {
                    kind: policy.kind,
                    what: format!("{policy} {SINGLE_PODS}"),
                    isolates: true,
                    opens: !rules.is_empty(),
                    denies: false,
                }),
            }
        }
    }

    fn cilium(&mut self, inventory: &'a Inventory, labels: &Labels) {
        let tables = &inventory.tables;
        let everywhere = tables.cilium_clusterwide_network_policies.iter();
        for object in tables.cilium_network_policies.in_namespace(self.namespace) {
            self.cilium_policy(Kind::CiliumNetworkPolicy, object, None, labels);
        }
        for object in everywhere {
            let space = inventory.meta(Kind::Namespace, "", self.namespace);
            let space = space.map(|meta| &*meta.labels);
            let kind = Kind::CiliumClusterwideNetworkPolicy;
            self.cilium_policy(kind, object, space, labels);
        }
    }

    fn cilium_policy(
        &mut self,
        kind: Kind,
        object: &'a Object<CiliumPolicy>,
        space: Option<&Labels>,
        labels: &Labels,
    ) {
        let policy = of(kind, object);
        for section in &object.spec.sections {
            let side = section.side(self.direction);
            if side.is_silent() {
                continue;
            }
            let selected = section.pods.as_ref().and_then(|(namespaces, pods)| {
                let here = kind == Kind::CiliumNetworkPolicy
                    || namespaces.is_empty()
                    || space.is_some_and(|labels| namespaces.matches(labels));
                if here {
                    selects(pods, labels)
                } else {
                    Some(false)
                }
            });
            match selected {
                Some(true) => self.cilium_side(policy, side),
                Some(false) => {}
                None => self.doubts.push(Doubt {
                    kind,
                    what: format!("{policy} selects pods by labels that are not seen"),
                    isolates: side.isolates != Some(false),
                    opens: side.unclear || !side.rules.is_empty(),
                    denies: side.denies || !side.denied.is_empty(),
                }),
            }
        }
    }

    fn cilium_side(&mut self, policy: Policy<'a>, side: &'a Side) {
        if side.isolates == Some(true) {
            self.isolating.push(policy);
        }
        self.grants
            .extend(side.rules.iter().map(|rule| Grant { policy, rule }));
        self.denied.extend(&side.denied);
        if side.unclear || side.denies || side.isolates.is_none() {
            self.doubts.push(Doubt {
                kind: policy.kind,
                what: format!("{policy} has rules that only Cilium can judge"),
                isolates: side.isolates.is_none(),
                opens: side.unclear,
                denies: side.denies,
            });
        }
    }

    fn tiers(&mut self, inventory: &'a Inventory, labels: &Labels) {
        let mut policies = tier_policies(inventory);
        if policies.is_empty() {
            return;
        }
        policies.sort_by_key(|(kind, object)| {
            (
                object.spec.tier,
                object.spec.priority,
                *kind,
                &object.meta.name,
            )
        });
        let space = inventory.meta(Kind::Namespace, "", self.namespace);
        let mut last: Option<(&Object<TierPolicy>, Policy<'_>)> = None;
        for (kind, object) in policies {
            let spec = &object.spec;
            let rules = match self.direction {
                Direction::Ingress => &spec.ingress,
                Direction::Egress => &spec.egress,
            };
            let here = space.is_some_and(|meta| spec.namespaces.matches(&meta.labels));
            if !here || rules.is_empty() {
                continue;
            }
            let policy = of(kind, object);
            match selects(&spec.pods, labels) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    self.either(kind, format!("{policy} {SINGLE_PODS}"));
                    continue;
                }
            }
            if let Some((before, first)) = last
                && (before.spec.tier, before.spec.priority) == (spec.tier, spec.priority)
            {
                let what = "have the same priority: either may come first";
                self.either(kind, format!("{first} and {policy} {what}"));
            }
            last = Some((object, policy));
            let steps = rules.iter().map(|TierRule { act, rule }| Step {
                policy,
                act: *act,
                rule,
            });
            match spec.tier {
                Tier::Admin => self.admin.extend(steps),
                Tier::Baseline => self.baseline.extend(steps),
            }
        }
        let steps = self.admin.iter().chain(&self.baseline);
        let isolating = steps.filter(|step| step.act == Act::Deny && denies_all(step.rule));
        self.isolating.extend(isolating.map(|step| step.policy));
    }

    /// A policy of a tier that may or may not decide.
    fn either(&mut self, kind: Kind, what: String) {
        self.doubts.push(Doubt {
            kind,
            what,
            isolates: false,
            opens: true,
            denies: true,
        });
    }
}

/// Policies of the tiers, of every API that brings some.
pub(super) fn tier_policies(inventory: &Inventory) -> Vec<(Kind, &Object<TierPolicy>)> {
    let tables = &inventory.tables;
    let newer = tables.cluster_network_policies.iter();
    let admin = tables.admin_network_policies.iter();
    let baseline = tables.baseline_admin_network_policies.iter();
    newer
        .map(|object| (Kind::ClusterNetworkPolicy, object))
        .chain(admin.map(|object| (Kind::AdminNetworkPolicy, object)))
        .chain(baseline.map(|object| (Kind::BaselineAdminNetworkPolicy, object)))
        .collect()
}

/// Whether a rule means everything: every address, and with that every pod, on every port.
fn denies_all(rule: &Rule) -> bool {
    let whole = |v4: bool| {
        rule.peers.iter().any(|peer| match peer {
            Peer::Block { cidr, .. } => cidr.prefix == 0 && cidr.address.is_ipv4() == v4,
            _ => false,
        })
    };
    // A rule without peers is one that can't be read in full: it denies, but isolates nobody.
    rule.is_every_port() && whole(true) && whole(false)
}

pub(super) const fn of<P>(kind: Kind, object: &Object<P>) -> Policy<'_> {
    Policy {
        kind,
        meta: &object.meta,
    }
}

impl Policy<'_> {
    /// Whether it selects pods by nothing that a pod says of itself. Where it does not exist any
    /// more, or is a kind without such a selector, it does not.
    pub fn selects_every_pod(&self, inventory: &Inventory) -> bool {
        let tables = &inventory.tables;
        let (namespace, name) = (&*self.meta.namespace, &*self.meta.name);
        let tier = |object: Option<&Object<TierPolicy>>| {
            object.is_some_and(|object| object.spec.pods.is_empty())
        };
        let cilium = |object: Option<&Object<CiliumPolicy>>| {
            let mut pods = object
                .into_iter()
                .flat_map(|object| object.spec.sections.iter());
            pods.all(|section| {
                section
                    .pods
                    .as_ref()
                    .is_some_and(|(_, pods)| pods.is_empty())
            })
        };
        match self.kind {
            kind if calico::KINDS.contains(&kind) => {
                calico::selects_every_pod(inventory, kind, namespace, name)
            }
            Kind::NetworkPolicy => {
                let policy = tables.network_policies.get(namespace, name);
                policy.is_some_and(|policy| policy.spec.pods.is_empty())
            }
            Kind::ClusterNetworkPolicy => tier(tables.cluster_network_policies.get("", name)),
            Kind::AdminNetworkPolicy => tier(tables.admin_network_policies.get("", name)),
            Kind::BaselineAdminNetworkPolicy => {
                tier(tables.baseline_admin_network_policies.get("", name))
            }
            Kind::CiliumNetworkPolicy => {
                cilium(tables.cilium_network_policies.get(namespace, name))
            }
            Kind::CiliumClusterwideNetworkPolicy => {
                cilium(tables.cilium_clusterwide_network_policies.get("", name))
            }
            _ => false,
        }
    }

    fn key(&self) -> (Kind, &str, &str) {
        (self.kind, &self.meta.namespace, &self.meta.name)
    }
}

impl PartialEq for Policy<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Policy<'_> {}

impl PartialOrd for Policy<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Policy<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::fmt::Display for Policy<'_> {
    /// `Kind namespace/name`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, meta) = (self.kind.info().kind, self.meta);
        if meta.namespace.is_empty() {
            write!(f, "{kind} {}", meta.name)
        } else {
            write!(f, "{kind} {}/{}", meta.namespace, meta.name)
        }
    }
}
