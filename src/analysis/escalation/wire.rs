//! Whose edges are worked out anew, and what they are.

use std::collections::BTreeSet;

use super::{
    Who,
    aims::{Aim, Ground, Hold, How, Place, Steps},
    climb::{Climber, Scene, may_matter},
    graph::{Edge, Goal, Graph, NodeId, Presence, Sort, Wires},
};
use crate::{
    analysis::{
        rbac::accounts_of,
        rights::{Grant, Rights},
    },
    controls::{Subject, SubjectKind},
    inventory::{Inventory, Sym},
};

/// Whose rights have changed.
pub(super) enum Changed {
    These(BTreeSet<Subject>),
    Everyones,
}

/// What edges are worked out from.
pub(super) struct View<'a> {
    inventory: &'a Inventory,
    rights: &'a Rights,
    eks: bool,
    /// What everybody holds who is authenticated, and every account.
    authenticated: Vec<Grant<'a>>,
    accounts: Vec<Grant<'a>>,
}

/// Bindings that EKS creates in every cluster.
pub(super) const EKS: [&str; 3] = [
    "eks:addon-cluster-admin",
    "eks:addon-manager",
    "eks:node-bootstrapper",
];

/// Whether it is a group that more than the accounts of one namespace are in by definition.
pub(super) fn is_everybody(subject: &Subject) -> bool {
    let groups = ["system:authenticated", "system:serviceaccounts"];
    subject.kind == SubjectKind::Group && groups.contains(&&*subject.name)
}

fn hold<'a>(grant: &Grant<'a>) -> Hold<'a> {
    Hold {
        place: Place::of(grant.namespace),
        powers: grant.powers,
        role: Some((grant.role_namespace, grant.role)),
    }
}

/// Works the edges out of everyone whose rights have changed, and of everyone whose edges depend on
/// something else that has.
pub(super) fn rewire(
    graph: &mut Graph,
    view: &View<'_>,
    changed: Changed,
    shaken: &BTreeSet<Ground>,
) {
    let mut open: Vec<NodeId> = Vec::new();
    let subjects = match changed {
        Changed::These(subjects) => with_members(graph, subjects),
        Changed::Everyones => {
            // In whatever order: to keep one while thousands come takes longer than all the rest.
            open.extend(graph.there().map(|(node, _, _)| node));
            let held = held(graph);
            for subject in view.rights.everyone() {
                open.push(graph.hold(subject));
            }
            held
        }
    };
    // Who is there is known before any edge is made: edges lead only to whoever is.
    for subject in subjects {
        if view.rights.names(&subject) {
            open.push(graph.hold(&subject));
        } else if let Some(node) = graph.find(&Who::Identity(subject)) {
            graph.set_held(node, false);
            graph.connect(node, Wires::default());
        }
    }
    open.extend(graph.take_shaken(shaken));
    open.sort_unstable();
    open.dedup();
    // The roles that may be bound by name, and what these lead to in turn, are found on the way.
    while let Some(node) = open.pop() {
        let Some((who, entry)) = graph.at(node) else {
            continue;
        };
        let sort = entry.sort;
        let wires = match who.clone() {
            Who::Identity(subject) => view.identity(graph, (&subject, sort), &mut open),
            role @ Who::Role(_) => view.role(graph, &role, &mut open),
        };
        graph.connect(node, wires);
    }
    graph.drop_loose_roles();
}

/// Identities, and the accounts that are in the groups among them: what a group holds may be the
/// other half of a step.
fn with_members(graph: &Graph, changed: BTreeSet<Subject>) -> Vec<Subject> {
    let spaces = changed.iter().filter_map(accounts_of);
    let spaces = spaces.filter_map(|namespace| graph.find_space(&namespace.into()));
    let accounts = spaces.flat_map(|space| graph.accounts(space));
    let members = accounts.filter_map(|node| match graph.at(*node)?.0 {
        Who::Identity(subject) => Some(subject.clone()),
        Who::Role(_) => None,
    });
    let members: Vec<Subject> = members.collect();
    changed.into_iter().chain(members).collect()
}

/// Everyone whom a binding was known to name.
fn held(graph: &Graph) -> Vec<Subject> {
    let held = graph.there().filter_map(|(_, who, entry)| match who {
        Who::Identity(subject) if entry.held => Some(subject.clone()),
        _ => None,
    });
    held.collect()
}

impl<'a> View<'a> {
    pub(super) fn new(inventory: &'a Inventory, rights: &'a Rights) -> Self {
        let tables = &inventory.tables.cluster_role_bindings;
        let group = |name: &str| {
            let group = Subject::named(SubjectKind::Group, name);
            rights.grants(&group).collect()
        };
        Self {
            inventory,
            rights,
            eks: EKS.iter().any(|name| tables.get("", name).is_some()),
            authenticated: group("system:authenticated"),
            accounts: group("system:serviceaccounts"),
        }
    }

    /// What an identity holds by the groups that it is in by definition; `grouped` says whether a
    /// binding names that of the accounts of its namespace.
    fn by_groups(&self, subject: &Subject, grouped: bool) -> Vec<Hold<'a>> {
        let anonymous = ["system:anonymous", "system:unauthenticated"];
        if anonymous.contains(&&*subject.name) {
            return Vec::new();
        }
        let mut holds: Vec<Hold<'a>> = Vec::new();
        let account = subject.object_kind().is_some();
        if account && grouped {
            let group = format!("system:serviceaccounts:{}", subject.namespace);
            let group = Subject::named(SubjectKind::Group, group);
            holds.extend(self.rights.grants(&group).map(|grant| hold(&grant)));
        }
        if account || accounts_of(subject).is_some() {
            holds.extend(self.accounts.iter().map(hold));
        }
        holds.extend(self.authenticated.iter().map(hold));
        holds
    }

    fn climb<'b>(
        &'b self,
        graph: &'b Graph,
        home: Option<&'b Sym>,
        own: Vec<Hold<'b>>,
        more: Vec<Hold<'b>>,
    ) -> Steps {
        let scene = Scene {
            inventory: self.inventory,
            rights: self.rights,
            graph,
            eks: self.eks,
            home,
        };
        Climber::new(scene, own, more).steps()
    }

    /// The edges of an identity.
    fn identity(
        &self,
        graph: &mut Graph,
        (subject, sort): (&Subject, Sort),
        open: &mut Vec<NodeId>,
    ) -> Wires {
        let (things, all) = self.rights.holdings(subject);
        let mut wires = Wires {
            admin: all.iter().any(Grant::is_cluster_admin),
            ..Wires::default()
        };
        // Cluster administrators have nothing to climb.
        if wires.admin || !may_matter(things) {
            return wires;
        }
        let groups = self.by_groups(subject, graph.is_grouped(sort));
        let home = subject.object_kind().map(|_| &subject.namespace);
        let (marked, custom): (Vec<_>, Vec<_>) = all.iter().partition(|grant| grant.marked);
        for (own, rest, default) in [(&custom, &marked, false), (&marked, &custom, true)] {
            if own.is_empty() {
                continue;
            }
            let own = own.iter().map(|grant| hold(grant)).collect();
            let rest = rest.iter().map(|grant| hold(grant));
            let more = rest.chain(groups.iter().cloned()).collect();
            let steps = self.climb(graph, home, own, more);
            self.wire(graph, steps, default, (&mut wires, open));
        }
        wires
    }

    /// The edges of whoever is bound to a role.
    fn role(&self, graph: &mut Graph, who: &Who, open: &mut Vec<NodeId>) -> Wires {
        let mut wires = Wires::default();
        let Who::Role(role) = who else {
            return wires;
        };
        let ground = Ground::Role(role.home.clone(), role.name.clone());
        wires.grounds.insert(ground);
        let Some(powers) = self.rights.role(&role.home, &role.name) else {
            return wires;
        };
        let own = Hold {
            place: role.place.clone(),
            powers,
            role: Some((&role.home, &role.name)),
        };
        wires.admin = own.is_cluster_admin();
        if !wires.admin {
            let steps = self.climb(graph, None, vec![own], Vec::new());
            self.wire(graph, steps, false, (&mut wires, open));
        }
        wires
    }

    fn wire(
        &self,
        graph: &mut Graph,
        steps: Steps,
        default: bool,
        (wires, open): (&mut Wires, &mut Vec<NodeId>),
    ) {
        wires.grounds.extend(steps.grounds);
        for step in steps.list {
            let Some(goal) = self.goal(graph, &step.aim, (&mut wires.grounds, open)) else {
                continue;
            };
            // Tokens are made of accounts that exist only.
            let exists = |node| {
                let entry = graph.at(node).map(|(_, entry)| entry);
                entry.is_some_and(|entry| entry.presence != Presence::Absent)
            };
            if step.how == How::RequestToken
                && let Goal::One(node) = goal
                && !exists(node)
            {
                continue;
            }
            wires.edges.push(Edge {
                how: step.how,
                place: step.place,
                goal,
                default,
            });
        }
    }

    /// What an aim is in the graph; `None` where nobody is there.
    fn goal(
        &self,
        graph: &mut Graph,
        aim: &Aim,
        (grounds, open): (&mut BTreeSet<Ground>, &mut Vec<NodeId>),
    ) -> Option<Goal> {
        Some(match aim {
            Aim::Admin => Goal::Admin,
            Aim::AnyUser => Goal::AnyUser,
            Aim::AnyCertified => Goal::AnyCertified,
            Aim::Accounts(Place::In(namespace)) => Goal::Accounts(graph.space(namespace)),
            Aim::Accounts(_) => Goal::AnyAccount,
            Aim::Impersonable(Place::In(namespace)) => Goal::Impersonable(graph.space(namespace)),
            Aim::Impersonable(_) => Goal::AnyImpersonable,
            Aim::Live(Place::In(namespace)) => Goal::Live(graph.space(namespace)),
            Aim::Live(_) => Goal::AnyLive,
            Aim::Node(Place::In(namespace)) => Goal::Node(graph.space(namespace)),
            Aim::Node(_) => Goal::AnyNode,
            Aim::Identity(subject) => {
                grounds.insert(Ground::Who(subject.clone()));
                Goal::One(graph.find(&Who::Identity(subject.clone()))?)
            }
            Aim::Role(role) => {
                grounds.insert(Ground::Role(role.home.clone(), role.name.clone()));
                self.rights.role(&role.home, &role.name)?;
                let (node, new) = graph.role(&Who::Role(Box::new(role.clone())));
                if new {
                    open.push(node);
                }
                Goal::One(node)
            }
        })
    }
}
