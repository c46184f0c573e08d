//! How far everybody is from cluster-admin: a search backwards, layer by layer.
//!
//! An edge leads from somebody to a *goal*: a certain identity, or any of a kind of them, such as
//! the accounts of a namespace. A goal is won by the first who is reached and counts for it, so
//! that the search costs one step for each edge however many identities a goal stands for.
//!
//! Whoever impersonates somebody acts as them in all but one thing: a request that impersonates
//! can't do so twice. So everybody is reached in two ways: with what they can do in all, and with
//! what they can do while somebody else acts as them.

use super::aims::{How, Place};

/// Number of a node of the graph.
pub(super) type NodeId = u32;
/// Number of a namespace of the graph.
pub(super) type SpaceId = u32;

/// What an edge leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Everything everywhere.
    Admin,
    /// Any service account that exists.
    AnyAccount,
    /// Any service account that exists or that a binding names.
    AnyImpersonable,
    /// Any service account of pods that have not ended.
    AnyLive,
    /// Any user that a binding names.
    AnyUser,
    /// Any user or group that a binding names and that a certificate may name.
    AnyCertified,
    /// As `AnyLive`, through a node, by a pod in any namespace that may take one over.
    AnyNode,
    /// The same of one namespace.
    Accounts(SpaceId),
    Impersonable(SpaceId),
    Live(SpaceId),
    Node(SpaceId),
    /// Just this node of the graph.
    One(NodeId),
}

/// Goals that belong to no namespace and no node of the graph.
const FIXED: usize = 7;
/// Whether somebody is reached as themselves, or only while somebody else acts as them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guise {
    Own,
    Acted,
}

const GUISES: [Guise; 2] = [Guise::Own, Guise::Acted];

/// Goals of each namespace.
const PER_SPACE: usize = 4;

/// An edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) how: How,
    pub(super) place: Place,
    pub(super) goal: Goal,
    /// Whether it rests on bindings alone that carry the label of Kubernetes' own.
    pub(super) default: bool,
}

impl Edge {
    /// As what it leads to its goal.
    pub(super) fn guise(&self) -> Guise {
        let acts = matches!(self.goal, Goal::AnyImpersonable | Goal::Impersonable(_));
        if acts || self.how == How::Impersonate {
            Guise::Acted
        } else {
            Guise::Own
        }
    }

    /// Whether somebody in this guise can take it.
    fn is_for(&self, guise: Guise) -> bool {
        guise == Guise::Own || self.how != How::Impersonate
    }
}

/// What kind of node it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    User,
    Account(SpaceId),
    /// The group of the accounts of a namespace.
    AccountsOf(SpaceId),
    AllAccounts,
    /// All who are authenticated.
    Everyone,
    Masters,
    #[default]
    Group,
    Role,
}

/// Whether a service account is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Presence {
    /// It does not exist, or it is none.
    #[default]
    Absent,
    /// It exists.
    Idle,
    /// It exists, and pods of it have not ended.
    Live,
}

/// A node of the graph.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) sort: Sort,
    /// Tells it from an earlier one with its number.
    pub(super) stamp: u64,
    /// Whether a binding names it.
    pub(super) held: bool,
    pub(super) presence: Presence,
    /// Whether it holds everything everywhere.
    pub(super) admin: bool,
    /// Whether its edges depend on other objects than its bindings and roles.
    pub(super) fragile: bool,
    pub(super) edges: Box<[Edge]>,
}

/// The graph as the search sees it.
pub(super) struct Graph<'a> {
    /// Nodes by number; numbers that are free have an empty one.
    pub(super) nodes: Vec<&'a Entry>,
    /// Their numbers, in the order of who they are.
    pub(super) order: Vec<NodeId>,
    /// Of each namespace, its accounts.
    pub(super) accounts: Vec<&'a [NodeId]>,
    /// Of each namespace, whether pods in it may take a node over.
    pub(super) open: Vec<bool>,
}

/// How a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is cluster-admin.
    Admin,
    /// By this edge of its own.
    Edge(usize),
    /// As a member of this group.
    Member(NodeId),
}

/// A distance in edges, and how it comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached<T> {
    pub(super) hops: u32,
    pub(super) by: T,
}

/// What the search found.
#[derive(Debug, Default)]
pub(super) struct Search {
    through_nodes: bool,
    spaces: usize,
    goals: [Vec<Option<Reached<Option<NodeId>>>>; 2],
    nodes: [Vec<Option<Reached<Way>>>; 2],
    /// What tells one way to be reached from another.
    signatures: [Vec<u64>; 2],
}

/// Somebody in a guise.
type Met = (NodeId, Guise);

impl Search {
    fn number(&self, goal: Goal) -> usize {
        let of = |space: SpaceId, at: usize| FIXED + PER_SPACE * space as usize + at;
        match goal {
            Goal::Admin => 0,
            Goal::AnyAccount => 1,
            Goal::AnyImpersonable => 2,
            Goal::AnyLive => 3,
            Goal::AnyUser => 4,
            Goal::AnyCertified => 5,
            Goal::AnyNode => 6,
            Goal::Accounts(space) => of(space, 0),
            Goal::Impersonable(space) => of(space, 1),
            Goal::Live(space) => of(space, 2),
            Goal::Node(space) => of(space, 3),
            Goal::One(node) => FIXED + PER_SPACE * self.spaces + node as usize,
        }
    }

    /// By whom the goal of an edge is won; `Some(None)` is cluster-admin itself.
    pub(super) fn goal(&self, goal: Goal, guise: Guise) -> Option<Reached<Option<NodeId>>> {
        let goals = &self.goals[guise as usize];
        goals.get(self.number(goal)).copied().flatten()
    }

    /// How a node is reached, its groups included.
    pub(super) fn node(&self, node: NodeId, guise: Guise) -> Option<Reached<Way>> {
        let nodes = &self.nodes[guise as usize];
        nodes.get(node as usize).copied().flatten()
    }

    /// What tells the ways of a node from others.
    pub(super) fn signature(&self, node: NodeId) -> u64 {
        let signature = |guise| self.signatures[guise as usize][node as usize];
        mix(signature(Guise::Own), signature(Guise::Acted))
    }

    /// The shortest way by an edge of the node's own.
    pub(super) fn own(&self, entry: &Entry, defaults: bool) -> Option<Reached<usize>> {
        let edges = entry.edges.iter().enumerate();
        let open = edges.filter(|(_, edge)| self.follows(edge) && (defaults || !edge.default));
        let ways = open.filter_map(|(by, edge)| {
            let hops = self.goal(edge.goal, edge.guise())?.hops + 1;
            Some(Reached { hops, by })
        });
        ways.min_by_key(|way| (way.hops, way.by))
    }

    fn follows(&self, edge: &Edge) -> bool {
        self.through_nodes || !edge.how.is_node()
    }

    /// Searches the whole graph.
    pub(super) fn run(graph: &Graph<'_>, through_nodes: bool) -> Self {
        let (nodes, spaces) = (graph.nodes.len(), graph.accounts.len());
        let goals = FIXED + PER_SPACE * spaces + nodes;
        let mut search = Self {
            through_nodes,
            spaces,
            goals: GUISES.map(|_| vec![None; goals]),
            nodes: GUISES.map(|_| vec![None; nodes]),
            signatures: GUISES.map(|_| vec![0; nodes]),
        };
        let sources = Sources::of(graph, &search, goals);
        let mut rank = vec![0; nodes];
        for (place, node) in graph.order.iter().enumerate() {
            rank[*node as usize] = place;
        }
        let by_rank = |met: &Met| (rank[met.0 as usize], met.1 as usize);
        let admins = graph.order.iter().filter(|node| graph.node(**node).admin);
        let both = |node: &NodeId| GUISES.map(|guise| (*node, guise));
        let mut layer: Vec<Met> = admins.flat_map(both).collect();
        for (node, guise) in &layer {
            let by = Way::Admin;
            search.nodes[*guise as usize][*node as usize] = Some(Reached { hops: 0, by });
        }
        let mut won: Vec<(Goal, Guise)> = Vec::new();
        won.extend(search.win(0, Goal::Admin, (None, Guise::Own)));
        won.extend(search.win(0, Goal::Admin, (None, Guise::Acted)));
        let mut hops = 0;
        while !layer.is_empty() || !won.is_empty() {
            search.join(graph, hops, &mut layer);
            search.sign(graph, &layer);
            layer.sort_unstable_by_key(by_rank);
            for met in &layer {
                search.count(graph, hops, *met, &mut won);
            }
            layer = search.follow(graph, &sources, hops, &won);
            layer.sort_unstable_by_key(by_rank);
            won.clear();
            hops += 1;
        }
        search
    }

    fn win(
        &mut self,
        hops: u32,
        goal: Goal,
        (by, guise): (Option<NodeId>, Guise),
    ) -> Option<(Goal, Guise)> {
        let number = self.number(goal);
        let slot = self.goals[guise as usize].get_mut(number)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(Reached { hops, by });
        Some((goal, guise))
    }

    /// Whoever is in a group that is reached is reached with it.
    fn join(&mut self, graph: &Graph<'_>, hops: u32, layer: &mut Vec<Met>) {
        let mut next = 0;
        while let Some((group, guise)) = layer.get(next).copied() {
            next += 1;
            let members: Vec<NodeId> = match graph.node(group).sort {
                Sort::AccountsOf(space) => graph.accounts[space as usize].to_vec(),
                Sort::AllAccounts => graph.accounts.iter().copied().flatten().copied().collect(),
                Sort::Everyone => {
                    let all = graph.order.iter().copied();
                    let users = |node: &NodeId| {
                        matches!(graph.node(*node).sort, Sort::User | Sort::Account(_))
                    };
                    all.filter(users).collect()
                }
                _ => continue,
            };
            for member in members {
                let slot = &mut self.nodes[guise as usize][member as usize];
                if slot.is_none() {
                    let by = Way::Member(group);
                    *slot = Some(Reached { hops, by });
                    layer.push((member, guise));
                }
            }
        }
    }

    /// Counts somebody who is reached for the goals that they stand for.
    fn count(
        &mut self,
        graph: &Graph<'_>,
        hops: u32,
        (node, guise): Met,
        won: &mut Vec<(Goal, Guise)>,
    ) {
        let entry = graph.node(node);
        let by = (Some(node), guise);
        let mut win = |search: &mut Self, goal| won.extend(search.win(hops, goal, by));
        win(self, Goal::One(node));
        match entry.sort {
            Sort::User => {
                win(self, Goal::AnyUser);
                win(self, Goal::AnyCertified);
            }
            Sort::Account(space) => {
                win(self, Goal::Impersonable(space));
                win(self, Goal::AnyImpersonable);
                if entry.presence >= Presence::Idle {
                    win(self, Goal::Accounts(space));
                    win(self, Goal::AnyAccount);
                }
                if entry.presence == Presence::Live {
                    win(self, Goal::Live(space));
                    if self.goal(Goal::AnyLive, guise).is_none() {
                        win(self, Goal::AnyLive);
                        let open = (0..).zip(&graph.open).filter(|(_, open)| **open);
                        for (space, _) in open {
                            win(self, Goal::Node(space));
                            win(self, Goal::AnyNode);
                        }
                    }
                }
            }
            Sort::Group | Sort::AccountsOf(_) | Sort::AllAccounts | Sort::Everyone => {
                win(self, Goal::AnyCertified);
            }
            Sort::Masters | Sort::Role => {}
        }
    }

    /// Everyone with an edge to a goal that was just won.
    fn follow(
        &mut self,
        graph: &Graph<'_>,
        sources: &Sources,
        hops: u32,
        won: &[(Goal, Guise)],
    ) -> Vec<Met> {
        let mut next = Vec::new();
        for (goal, _) in won {
            for node in sources.to(self.number(*goal)) {
                for guise in GUISES {
                    if self.node(*node, guise).is_some() {
                        continue;
                    }
                    // The edge is the first that leads to this layer, whatever goal came first.
                    let mut edges = graph.node(*node).edges.iter();
                    let edge = edges.position(|edge| {
                        let goal = self.goal(edge.goal, edge.guise());
                        let leads = goal.is_some_and(|goal| goal.hops == hops);
                        leads && self.follows(edge) && edge.is_for(guise)
                    });
                    if let Some(edge) = edge {
                        let by = Way::Edge(edge);
                        let reached = Reached { hops: hops + 1, by };
                        self.nodes[guise as usize][*node as usize] = Some(reached);
                        next.push((*node, guise));
                    }
                }
            }
        }
        next
    }

    /// Works out what tells the ways of a layer from others; groups stand before their members.
    fn sign(&mut self, graph: &Graph<'_>, layer: &[Met]) {
        for (node, guise) in layer {
            let entry = graph.node(*node);
            let signature = match self.node(*node, *guise).map(|reached| reached.by) {
                None | Some(Way::Admin) => mix(entry.stamp, 1),
                Some(Way::Member(group)) => mix(
                    entry.stamp,
                    self.signatures[*guise as usize][group as usize],
                ),
                Some(Way::Edge(edge)) => {
                    let edge = entry.edges.get(edge);
                    edge.map_or(0, |edge| mix(entry.stamp, self.edge_signature(edge)))
                }
            };
            self.signatures[*guise as usize][*node as usize] = signature;
        }
    }

    /// What tells one way from another that begins with an edge.
    pub(super) fn edge_signature(&self, edge: &Edge) -> u64 {
        let place = match &edge.place {
            Place::Cluster => 1,
            Place::Everywhere => 2,
            Place::In(namespace) => namespace.bytes().fold(3, |all, byte| mix(all, byte.into())),
        };
        let guise = edge.guise();
        let goal = self.goal(edge.goal, guise).and_then(|goal| goal.by);
        let goal = goal.map_or(7, |node| self.signatures[guise as usize][node as usize]);
        mix(mix(place, edge.how as u64), goal)
    }
}

/// Adds a word to a hash; equal words don't cancel each other out. Signatures live no longer than
/// the process.
pub(super) const fn mix(all: u64, word: u64) -> u64 {
    (all.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Graph<'_> {
    /// Numbers come from the graph itself.
    fn node(&self, node: NodeId) -> &Entry {
        self.nodes[node as usize]
    }
}

/// Who has an edge to each goal.
struct Sources {
    starts: Vec<usize>,
    nodes: Vec<NodeId>,
}

impl Sources {
    fn of(graph: &Graph<'_>, search: &Search, goals: usize) -> Self {
        let edges = || {
            graph.order.iter().flat_map(|node| {
                let edges = graph.node(*node).edges.iter();
                edges
                    .filter(|edge| search.follows(edge))
                    .map(|edge| (*node, search.number(edge.goal)))
            })
        };
        let mut starts = vec![0; goals + 1];
        for (_, goal) in edges() {
            starts[goal + 1] += 1;
        }
        for goal in 1..starts.len() {
            starts[goal] += starts[goal - 1];
        }
        let mut nodes = vec![0; starts.last().copied().unwrap_or_default()];
        let mut next = starts.clone();
        for (node, goal) in edges() {
            nodes[next[goal]] = node;
            next[goal] += 1;
        }
        Self { starts, nodes }
    }

    fn to(&self, goal: usize) -> &[NodeId] {
        &self.nodes[self.starts[goal]..self.starts[goal + 1]]
    }
}
