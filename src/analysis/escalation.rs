//! Who can become cluster administrator, by which steps.
//!
//! ```text
//! Rights ─► steps of each identity ─► edges ─► search backwards from cluster-admin
//!           (aims.rs)                          (reach.rs), one predecessor each ─► words.rs
//! ```
//!
//! A step leads to somebody that one becomes by it, or to rights that one gets. Service accounts
//! are in the groups that they are in by definition; who else is in a group is not visible. Ways
//! through nodes are a class of their own.

mod aims;
mod reach;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use self::{
    aims::{Aim, Climber, Hold, Steps},
    reach::{Edge, Entry, Goal, Graph, Guise, NodeId, Presence, Search, Sort, SpaceId, Way, mix},
};
pub use self::{
    aims::{How, Place, RoleAt},
    words::{Hop, Path},
};
use super::{
    Analyses, Analysis, Derived,
    rbac::accounts_of,
    rights::{self, Grant, Rights, keyed::Keyed},
};
use crate::{
    controls::{Subject, SubjectKind},
    inventory::{Change, Inventory, Kind, Sym, namespace::PSA_ENFORCE},
};

/// Somebody on a path, or a role that somebody on it gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user, group or service account.
    Identity(Subject),
    /// Whoever is bound to a role.
    Role(RoleAt),
}

/// Who can become cluster administrator.
#[derive(Debug, Default)]
pub struct Escalation {
    nodes: Keyed<Who, Entry>,
    spaces: Keyed<Sym, Space>,
    /// Namespaces in which accounts, pods or Pod Security have changed.
    pending: BTreeSet<Sym>,
    /// Up to where the rights are taken in.
    epoch: u64,
    stamps: u64,
    /// Whether the graph has changed since it was searched.
    stale: bool,
    /// Whether it was ever searched.
    settled: bool,
    direct: Search,
    through_nodes: Search,
    signatures: Vec<u64>,
    privileged: BTreeSet<Sym>,
}

/// A namespace of the graph.
#[derive(Debug, Default)]
struct Space {
    /// Its accounts, whether they exist or a binding names them, by name.
    accounts: Vec<NodeId>,
    /// Whether pods in it may take over a node: Pod Security enforces no level that forbids it.
    open: bool,
}

/// Which ways count.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Those through nodes as well.
    pub through_nodes: bool,
    /// Those that begin with what a binding gives which is labelled as Kubernetes' own.
    pub defaults: bool,
}

/// Bindings that EKS creates in every cluster.
const EKS: [&str; 3] = [
    "eks:addon-cluster-admin",
    "eks:addon-manager",
    "eks:node-bootstrapper",
];

impl Analysis for Escalation {
    const READS: &'static [Kind] = &[
        Kind::Role,
        Kind::ClusterRole,
        Kind::RoleBinding,
        Kind::ClusterRoleBinding,
        Kind::ServiceAccount,
        Kind::Namespace,
        Kind::Pod,
    ];
    const RESTS_ON: &'static [Derived] = &[Derived::Rights];

    fn note(&mut self, _: &Inventory, change: &Change) {
        match change.kind {
            Kind::ServiceAccount | Kind::Pod => self.pending.insert(change.namespace.clone()),
            Kind::Namespace => self.pending.insert(change.name.clone()),
            // Roles and bindings are taken in by the rights.
            _ => return,
        };
    }

    fn consult(&mut self, inventory: &Inventory, others: &Analyses) {
        let rights = others.rights();
        let (epoch, changed) = rights.last();
        self.forget_namespaces(inventory);
        let pending = std::mem::take(&mut self.pending);
        let mut moved = false;
        for namespace in &pending {
            moved |= self.populate(inventory, namespace);
        }
        if epoch == self.epoch && !moved {
            return;
        }
        let changed: BTreeSet<Subject> = if epoch == self.epoch {
            BTreeSet::new()
        } else if epoch == self.epoch + 1 && !changed.iter().any(is_everybody) {
            self.with_members(changed)
        } else {
            // Who held something when it was last looked at may hold nothing any more.
            let held = self.nodes.iter().filter_map(|(_, who, entry)| match who {
                Who::Identity(subject) if entry.held => Some(subject),
                _ => None,
            });
            rights.identities().chain(held).cloned().collect()
        };
        self.epoch = epoch;
        self.stale = true;
        let tables = &inventory.tables.cluster_role_bindings;
        let view = View {
            inventory,
            rights,
            eks: EKS.iter().any(|name| tables.get("", name).is_some()),
            crowd: Crowd::of(rights),
        };
        self.rewire(&view, changed);
    }

    fn settle(&mut self, inventory: &Inventory, affected: &mut BTreeSet<Subject>) {
        if !std::mem::take(&mut self.stale) && self.settled {
            return;
        }
        self.settled = true;
        let nobody = Entry::default();
        let graph = self.graph(&nobody);
        let direct = Search::run(&graph, false);
        let through_nodes = Search::run(&graph, true);
        let signatures = self.sign(&direct, &through_nodes);
        let before = std::mem::replace(&mut self.signatures, signatures);
        for (node, who, _) in self.nodes.iter() {
            let node = node as usize;
            if let Who::Identity(subject) = who
                && before.get(node) != self.signatures.get(node)
            {
                affected.insert(subject.clone());
            }
        }
        self.direct = direct;
        self.through_nodes = through_nodes;
        let privileged = self.work_out_privileged(inventory);
        let before = std::mem::replace(&mut self.privileged, privileged);
        let differ = before.symmetric_difference(&self.privileged);
        affected.extend(differ.map(Subject::namespace));
    }
}

/// Whether it is a group that more than the accounts of one namespace are in by definition.
fn is_everybody(subject: &Subject) -> bool {
    let groups = ["system:authenticated", "system:serviceaccounts"];
    subject.kind == SubjectKind::Group && groups.contains(&&*subject.name)
}

/// What edges are worked out from.
struct View<'a> {
    inventory: &'a Inventory,
    rights: &'a Rights,
    eks: bool,
    crowd: Crowd<'a>,
}

/// What everybody holds.
struct Crowd<'a> {
    authenticated: Vec<Grant<'a>>,
    accounts: Vec<Grant<'a>>,
}

impl<'a> Crowd<'a> {
    fn of(rights: &'a Rights) -> Self {
        let group = |name: &str| {
            let group = Subject::named(SubjectKind::Group, name);
            rights.grants(&group).collect()
        };
        Self {
            authenticated: group("system:authenticated"),
            accounts: group("system:serviceaccounts"),
        }
    }
}

fn hold<'a>(grant: &Grant<'a>) -> Hold<'a> {
    Hold {
        place: Place::of(grant.namespace),
        powers: grant.powers,
        role: Some((grant.role_namespace, grant.role)),
    }
}

impl<'a> View<'a> {
    /// What an identity holds by the groups that it is in by definition.
    fn by_groups(&self, subject: &Subject) -> Vec<Hold<'a>> {
        let Crowd {
            authenticated,
            accounts,
        } = &self.crowd;
        let anonymous = ["system:anonymous", "system:unauthenticated"];
        if anonymous.contains(&&*subject.name) {
            return Vec::new();
        }
        let mut holds: Vec<Hold<'a>> = Vec::new();
        let account = subject.object_kind().is_some();
        if account {
            let group = format!("system:serviceaccounts:{}", subject.namespace);
            let group = Subject::named(SubjectKind::Group, group);
            holds.extend(self.rights.grants(&group).map(|grant| hold(&grant)));
        }
        if account || accounts_of(subject).is_some() {
            holds.extend(accounts.iter().map(hold));
        }
        holds.extend(authenticated.iter().map(hold));
        holds
    }

    fn climb(&self, own: Vec<Hold<'a>>, more: Vec<Hold<'a>>) -> Steps {
        let climber = Climber {
            inventory: self.inventory,
            rights: self.rights,
            eks: self.eks,
            own,
            more,
        };
        climber.steps()
    }
}

impl Escalation {
    /// Takes in the accounts and pods of a namespace; whether the graph is another one now.
    fn populate(&mut self, inventory: &Inventory, namespace: &Sym) -> bool {
        let tables = &inventory.tables;
        let exists: BTreeSet<&Sym> = {
            let accounts = tables.service_accounts.in_namespace(namespace);
            accounts.map(|account| &account.meta.name).collect()
        };
        let pods = tables.pods.in_namespace(namespace);
        let pods = pods.filter(|pod| !pod.spec.ended);
        let live: BTreeSet<&str> = pods.map(|pod| pod.spec.template.account()).collect();
        let labels = inventory.meta(Kind::Namespace, "", namespace);
        let level = labels.and_then(|meta| meta.labels.get(PSA_ENFORCE));
        let open = !matches!(level, Some("baseline" | "restricted"));
        let number = self.space(namespace);
        let mut moved = false;
        if let Some(space) = self.spaces.at_mut(number) {
            moved |= space.open != open;
            space.open = open;
        }
        for name in &exists {
            self.node(&Subject::object(Kind::ServiceAccount, namespace, name));
        }
        let accounts = self
            .spaces
            .at(number)
            .map(|(_, space)| space.accounts.clone());
        for node in accounts.into_iter().flatten() {
            let Some((Who::Identity(subject), _)) = self.nodes.at(node) else {
                continue;
            };
            let subject = subject.clone();
            let presence = match exists.contains(&subject.name) {
                false => Presence::Absent,
                true if live.contains(&*subject.name) => Presence::Live,
                true => Presence::Idle,
            };
            if let Some(entry) = self.nodes.at_mut(node) {
                moved |= entry.presence != presence;
                entry.presence = presence;
            }
            self.forget_if_unused(&subject);
        }
        moved
    }

    /// Identities, and the accounts that are in the groups among them: what a group holds may be
    /// the other half of a step.
    fn with_members(&self, changed: &BTreeSet<Subject>) -> BTreeSet<Subject> {
        let spaces = changed.iter().filter_map(accounts_of);
        let spaces = spaces.filter_map(|namespace| self.spaces.get(&namespace.into()));
        let accounts = spaces.flat_map(|space| &space.accounts);
        let members = accounts.filter_map(|node| match self.nodes.at(*node)?.0 {
            Who::Identity(subject) => Some(subject),
            Who::Role(_) => None,
        });
        changed.iter().chain(members).cloned().collect()
    }

    /// Begins anew where most namespaces that were ever seen are gone: they come and go for
    /// months.
    fn forget_namespaces(&mut self, inventory: &Inventory) {
        let tables = &inventory.tables;
        if self.spaces.bound() < 2 * tables.namespaces.len() + 1024 {
            return;
        }
        let accounts = tables.service_accounts.iter();
        let accounts = accounts.map(|account| account.meta.namespace.clone());
        let namespaces = tables.namespaces.iter();
        let namespaces = namespaces.map(|namespace| namespace.meta.name.clone());
        *self = Self {
            pending: accounts.chain(namespaces).collect(),
            stamps: self.stamps,
            privileged: std::mem::take(&mut self.privileged),
            ..Self::default()
        };
    }

    /// The number of a namespace.
    fn space(&mut self, namespace: &Sym) -> SpaceId {
        self.spaces.enter(namespace, || Space {
            accounts: Vec::new(),
            // A namespace that is not there enforces nothing.
            open: true,
        })
    }

    /// The number of an identity's node.
    fn node(&mut self, subject: &Subject) -> NodeId {
        let who = Who::Identity(subject.clone());
        if let Some(node) = self.nodes.number(&who) {
            return node;
        }
        let sort = match subject.kind {
            SubjectKind::Object(_) => Sort::Account(self.space(&subject.namespace)),
            SubjectKind::User => Sort::User,
            _ => match (accounts_of(subject), &*subject.name) {
                (Some(namespace), _) => Sort::AccountsOf(self.space(&namespace.into())),
                (None, "system:serviceaccounts") => Sort::AllAccounts,
                (None, "system:authenticated") => Sort::Everyone,
                (None, "system:masters") => Sort::Masters,
                (None, _) => Sort::Group,
            },
        };
        self.stamps += 1;
        let stamp = self.stamps;
        let node = self.nodes.enter(&who, || Entry {
            sort,
            stamp,
            ..Entry::default()
        });
        if let Sort::Account(space) = sort {
            let Self { nodes, spaces, .. } = self;
            if let Some(space) = spaces.at_mut(space) {
                let name = |node: &NodeId| nodes.at(*node).map(|(who, _)| who);
                let place = space
                    .accounts
                    .partition_point(|other| name(other) < Some(&who));
                space.accounts.insert(place, node);
            }
        }
        node
    }

    fn forget_if_unused(&mut self, subject: &Subject) {
        let who = Who::Identity(subject.clone());
        let Some(node) = self.nodes.number(&who) else {
            return;
        };
        let unused = self
            .nodes
            .at(node)
            .is_some_and(|(_, entry)| !entry.held && entry.presence == Presence::Absent);
        if !unused {
            return;
        }
        if let Some(entry) = self.nodes.remove(&who)
            && let Sort::Account(space) = entry.sort
            && let Some(space) = self.spaces.at_mut(space)
        {
            space.accounts.retain(|other| *other != node);
        }
    }

    /// Works the edges out of everyone whose rights have changed, and of everyone whose edges
    /// depend on more than that.
    fn rewire(&mut self, view: &View<'_>, changed: BTreeSet<Subject>) {
        let roles = self
            .nodes
            .iter()
            .filter(|(_, who, _)| matches!(who, Who::Role(_)));
        let roles: Vec<Who> = roles.map(|(_, who, _)| who.clone()).collect();
        for role in roles {
            self.nodes.remove(&role);
        }
        let fragile = self.nodes.iter().filter(|(_, _, entry)| entry.fragile);
        let fragile = fragile.filter_map(|(_, who, _)| match who {
            Who::Identity(subject) => Some(subject.clone()),
            Who::Role(_) => None,
        });
        let todo: BTreeSet<Subject> = fragile.chain(changed).collect();
        let mut present = Vec::new();
        for subject in todo {
            let mut grants = view.rights.grants(&subject).peekable();
            if grants.peek().is_none() {
                if let Some(node) = self.nodes.number(&Who::Identity(subject.clone()))
                    && let Some(entry) = self.nodes.at_mut(node)
                {
                    entry.held = false;
                    entry.admin = false;
                    entry.fragile = false;
                    entry.edges = Box::default();
                }
                self.forget_if_unused(&subject);
                continue;
            }
            let admin = grants.any(|grant| grant.is_cluster_admin());
            let node = self.node(&subject);
            if let Some(entry) = self.nodes.at_mut(node) {
                entry.held = true;
                entry.admin = admin;
            }
            present.push((node, subject));
        }
        let mut roles = Vec::new();
        for (node, subject) in present {
            self.connect(view, node, &subject, &mut roles);
        }
        // The roles that may be bound by name, and what these lead to in turn.
        while let Some(role) = roles.pop() {
            let Some(powers) = view.rights.role(&role.home, &role.name) else {
                continue;
            };
            let own = Hold {
                place: role.place.clone(),
                powers,
                role: Some((&role.home, &role.name)),
            };
            let who = Who::Role(role.clone());
            let admin = own.is_cluster_admin();
            let steps = if admin {
                Steps::default()
            } else {
                view.climb(vec![own], Vec::new())
            };
            let edges = self.edges(view, steps, false, &mut roles);
            if let Some(node) = self.nodes.number(&who)
                && let Some(entry) = self.nodes.at_mut(node)
            {
                entry.admin = admin;
                entry.edges = edges.into();
            }
        }
    }

    /// Works out the edges of one identity.
    fn connect(
        &mut self,
        view: &View<'_>,
        node: NodeId,
        subject: &Subject,
        roles: &mut Vec<RoleAt>,
    ) {
        let all: Vec<Grant<'_>> = view.rights.grants(subject).collect();
        let mut edges = Vec::new();
        let mut fragile = false;
        // Cluster administrators have nothing to climb.
        let admin = all.iter().any(Grant::is_cluster_admin);
        if !admin && aims::may_matter(view.rights.things(subject)) {
            let groups = view.by_groups(subject);
            let (marked, custom): (Vec<_>, Vec<_>) = all.iter().partition(|grant| grant.marked);
            for (own, rest, default) in [(&custom, &marked, false), (&marked, &custom, true)] {
                if own.is_empty() {
                    continue;
                }
                let own = own.iter().map(|grant| hold(grant)).collect();
                let rest = rest.iter().map(|grant| hold(grant));
                let steps = view.climb(own, rest.chain(groups.iter().cloned()).collect());
                fragile |= steps.fragile;
                edges.extend(self.edges(view, steps, default, roles));
            }
        }
        if let Some(entry) = self.nodes.at_mut(node) {
            entry.edges = edges.into();
            entry.fragile = fragile;
        }
    }

    fn edges(
        &mut self,
        view: &View<'_>,
        steps: Steps,
        default: bool,
        roles: &mut Vec<RoleAt>,
    ) -> Vec<Edge> {
        let mut edges = Vec::with_capacity(steps.list.len());
        for step in steps.list {
            let Some(goal) = self.goal(view, &step.aim, roles) else {
                continue;
            };
            // Tokens are made of accounts that exist only.
            if step.how == How::RequestToken
                && let Goal::One(node) = goal
                && self
                    .nodes
                    .at(node)
                    .is_none_or(|(_, e)| e.presence == Presence::Absent)
            {
                continue;
            }
            let edge = Edge {
                how: step.how,
                place: step.place,
                goal,
                default,
            };
            edges.push(edge);
        }
        edges
    }

    /// What an aim is in the graph; `None` where nobody is there.
    fn goal(&mut self, view: &View<'_>, aim: &Aim, roles: &mut Vec<RoleAt>) -> Option<Goal> {
        Some(match aim {
            Aim::Admin => Goal::Admin,
            Aim::AnyUser => Goal::AnyUser,
            Aim::AnyCertified => Goal::AnyCertified,
            Aim::Accounts(Place::In(namespace)) => Goal::Accounts(self.space(namespace)),
            Aim::Accounts(_) => Goal::AnyAccount,
            Aim::Impersonable(Place::In(namespace)) => Goal::Impersonable(self.space(namespace)),
            Aim::Impersonable(_) => Goal::AnyImpersonable,
            Aim::Live(Place::In(namespace)) => Goal::Live(self.space(namespace)),
            Aim::Live(_) => Goal::AnyLive,
            Aim::Node(Place::In(namespace)) => Goal::Node(self.space(namespace)),
            Aim::Node(_) => Goal::AnyNode,
            Aim::Identity(subject) => {
                Goal::One(self.nodes.number(&Who::Identity(subject.clone()))?)
            }
            Aim::Role(role) => {
                view.rights.role(&role.home, &role.name)?;
                let who = Who::Role(role.clone());
                if let Some(node) = self.nodes.number(&who) {
                    return Some(Goal::One(node));
                }
                self.stamps += 1;
                let stamp = self.stamps;
                roles.push(role.clone());
                Goal::One(self.nodes.enter(&who, || Entry {
                    sort: Sort::Role,
                    stamp,
                    ..Entry::default()
                }))
            }
        })
    }

    fn graph<'a>(&'a self, nobody: &'a Entry) -> Graph<'a> {
        let mut order = Vec::new();
        let mut nodes = vec![nobody; self.nodes.bound()];
        for (node, _, entry) in self.nodes.iter() {
            nodes[node as usize] = entry;
            order.push(node);
        }
        let (mut accounts, mut open): (Vec<&[NodeId]>, Vec<bool>) = Default::default();
        accounts.resize(self.spaces.bound(), &[]);
        open.resize(self.spaces.bound(), false);
        for (number, _, space) in self.spaces.iter() {
            accounts[number as usize] = &space.accounts;
            open[number as usize] = space.open;
        }
        Graph {
            nodes,
            order,
            accounts,
            open,
        }
    }

    /// What tells the paths of each node from others.
    fn sign(&self, direct: &Search, through_nodes: &Search) -> Vec<u64> {
        let mut signatures = vec![0; self.nodes.bound()];
        for (node, _, entry) in self.nodes.iter() {
            let mut all = mix(entry.stamp, u64::from(entry.admin));
            for search in [direct, through_nodes] {
                all = mix(all, search.signature(node));
                for defaults in [false, true] {
                    let way = search.own(entry, defaults);
                    let edge = way.and_then(|way| entry.edges.get(way.by));
                    let edge = edge.map_or(0, |edge| search.edge_signature(edge));
                    all = mix(all, edge);
                }
            }
            signatures[node as usize] = all;
        }
        signatures
    }

    /// `kube-system`, and every namespace with an account that can become cluster administrator.
    fn work_out_privileged(&self, inventory: &Inventory) -> BTreeSet<Sym> {
        let mut privileged = BTreeSet::from([Sym::from("kube-system")]);
        let tables = &inventory.tables;
        let spaces = self.spaces.iter().filter(|(space, name, _)| {
            tables.service_accounts.in_namespace(name).next().is_some()
                && self
                    .direct
                    .goal(Goal::Accounts(*space), Guise::Own)
                    .is_some()
        });
        privileged.extend(spaces.map(|(_, name, _)| name.clone()));
        privileged
    }

    /// Whether a namespace holds what leads to cluster-admin.
    pub fn is_privileged(&self, namespace: &str) -> bool {
        self.privileged.contains(namespace)
    }

    /// The privileged namespaces.
    pub const fn privileged(&self) -> &BTreeSet<Sym> {
        &self.privileged
    }

    /// Whether an identity is, or can become, cluster administrator, as a member of its groups
    /// too. Not through nodes.
    pub fn reaches(&self, subject: &Subject) -> bool {
        if subject.kind == SubjectKind::Group && *subject.name == *"system:masters" {
            return true;
        }
        let reached = |subject: Subject| {
            let node = self.nodes.number(&Who::Identity(subject));
            node.is_some_and(|node| self.direct.node(node, Guise::Own).is_some())
        };
        reached(subject.clone()) || rights::groups(subject).any(reached)
    }

    /// Whether somebody who were bound to a role there could become cluster administrator.
    pub fn role_reaches(&self, inventory: &Inventory, rights: &Rights, role: &RoleAt) -> bool {
        self.leads(inventory, rights, role, &mut BTreeSet::new())
    }

    fn leads(
        &self,
        inventory: &Inventory,
        rights: &Rights,
        role: &RoleAt,
        seen: &mut BTreeSet<RoleAt>,
    ) -> bool {
        let Some(powers) = rights.role(&role.home, &role.name) else {
            return false;
        };
        if !seen.insert(role.clone()) {
            return false;
        }
        let own = Hold {
            place: role.place.clone(),
            powers,
            role: Some((&role.home, &role.name)),
        };
        if own.is_cluster_admin() {
            return true;
        }
        let climber = Climber {
            inventory,
            rights,
            eks: false,
            own: vec![own],
            more: Vec::new(),
        };
        let steps = climber.steps().list.into_iter();
        let mut steps = steps.filter(|step| !step.how.is_node());
        steps.any(|step| match &step.aim {
            Aim::Admin => true,
            Aim::Identity(subject) => self.reaches(subject),
            Aim::Role(next) => self.leads(inventory, rights, next, seen),
            aim => self
                .known(aim)
                .is_some_and(|goal| self.direct.goal(goal, Guise::Own).is_some()),
        })
    }

    /// The goal of an aim that is no single identity or role.
    fn known(&self, aim: &Aim) -> Option<Goal> {
        let space = |namespace: &Sym| self.spaces.number(namespace);
        Some(match aim {
            Aim::Accounts(Place::In(namespace)) => Goal::Accounts(space(namespace)?),
            Aim::Impersonable(Place::In(namespace)) => Goal::Impersonable(space(namespace)?),
            Aim::Live(Place::In(namespace)) => Goal::Live(space(namespace)?),
            Aim::Accounts(_) => Goal::AnyAccount,
            Aim::Impersonable(_) => Goal::AnyImpersonable,
            Aim::Live(_) => Goal::AnyLive,
            Aim::AnyUser => Goal::AnyUser,
            Aim::AnyCertified => Goal::AnyCertified,
            _ => return None,
        })
    }

    /// The shortest way of an identity that begins with what it holds itself. Holding
    /// cluster-admin is none.
    pub fn path(&self, subject: &Subject, ways: Ways) -> Option<Path> {
        let search = if ways.through_nodes {
            &self.through_nodes
        } else {
            &self.direct
        };
        let node = self.nodes.number(&Who::Identity(subject.clone()))?;
        let (who, entry) = self.nodes.at(node)?;
        let first = search.own(entry, ways.defaults)?;
        let mut edge = entry.edges.get(first.by)?;
        let mut hop: (&Who, Option<&Who>) = (who, None);
        let mut steps = Vec::new();
        loop {
            steps.push(Hop {
                who: hop.0.clone(),
                how: edge.how,
                place: edge.place.clone(),
                group: hop.1.cloned(),
            });
            let Some(next) = search.goal(edge.goal, edge.guise())?.by else {
                return Some(Path { steps, end: None });
            };
            let (who, entry) = self.nodes.at(next)?;
            let (entry, way, group) = match search.node(next, edge.guise())?.by {
                Way::Member(group) => {
                    let (group_who, group_entry) = self.nodes.at(group)?;
                    (
                        group_entry,
                        search.node(group, edge.guise())?.by,
                        Some(group_who),
                    )
                }
                way => (entry, way, None),
            };
            let Way::Edge(number) = way else {
                let end = Some(who.clone());
                return Some(Path { steps, end });
            };
            edge = entry.edges.get(number)?;
            hop = (who, group);
        }
    }
}
