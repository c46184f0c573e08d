//! How far everybody is from cluster-admin: a search backwards, layer by layer.
//!
//! An edge leads from somebody to a *goal*: a certain identity, or any of a kind of them, such as
//! the accounts of a namespace. A goal is won by the first who is reached and counts for it, so
//! that the search costs one step for each edge however many identities a goal stands for.

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
    goals: Vec<Option<Reached<Option<NodeId>>>>,
    nodes: Vec<Option<Reached<Way>>>,
    /// What tells one way to be reached from another.
    pub(super) signatures: Vec<u64>,
}

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

    /// By whom a goal is won; `Some(None)` is cluster-admin itself.
    pub(super) fn goal(&self, goal: Goal) -> Option<Reached<Option<NodeId>>> {
        self.goals.get(self.number(goal)).copied().flatten()
    }

    /// How a node is reached, its groups included.
    pub(super) fn node(&self, node: NodeId) -> Option<Reached<Way>> {
        self.nodes.get(node as usize).copied().flatten()
    }

    /// The shortest way by an edge of the node's own.
    pub(super) fn own(&self, entry: &Entry, defaults: bool) -> Option<Reached<usize>> {
        let edges = entry.edges.iter().enumerate();
        let open = edges.filter(|(_, edge)| self.follows(edge) && (defaults || !edge.default));
        let ways = open.filter_map(|(by, edge)| {
            let hops = self.goal(edge.goal)?.hops + 1;
            Some(Reached { hops, by })
        });
        ways.min_by_key(|way| (way.hops, way.by))
    }

    fn follows(&self, edge: &Edge) -> bool {
        self.through_nodes || !edge.how.is_node()
    }

    /// Searches the whole graph.
    pub(super) fn run(graph: &Graph<'_>, through_nodes: bool) -> Self {
        let mut search = Self {
            through_nodes,
            spaces: graph.accounts.len(),
            ..Self::default()
        };
        let goals = FIXED + PER_SPACE * search.spaces + graph.nodes.len();
        search.goals = vec![None; goals];
        search.nodes = vec![None; graph.nodes.len()];
        search.signatures = vec![0; graph.nodes.len()];
        let sources = Sources::of(graph, &search);
        let mut rank = vec![0; graph.nodes.len()];
        for (place, node) in graph.order.iter().enumerate() {
            rank[*node as usize] = place;
        }
        let admins = graph.order.iter().copied();
        let mut layer: Vec<NodeId> = admins.filter(|node| graph.node(*node).admin).collect();
        for node in &layer {
            search.nodes[*node as usize] = Some(Reached {
                hops: 0,
                by: Way::Admin,
            });
        }
        let mut hops = 0;
        let mut won = search
            .win(0, Goal::Admin, None)
            .into_iter()
            .collect::<Vec<_>>();
        while !layer.is_empty() || !won.is_empty() {
            search.join(graph, hops, &mut layer);
            search.sign(graph, &layer);
            layer.sort_unstable_by_key(|node| rank[*node as usize]);
            for node in &layer {
                search.count(graph, hops, *node, &mut won);
            }
            layer = search.follow(graph, &sources, hops, &won);
            layer.sort_unstable_by_key(|node| rank[*node as usize]);
            won.clear();
            hops += 1;
        }
        search
    }

    fn win(&mut self, hops: u32, goal: Goal, by: Option<NodeId>) -> Option<Goal> {
        let number = self.number(goal);
        let slot = self.goals.get_mut(number)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(Reached { hops, by });
        Some(goal)
    }

    /// Whoever is in a group that is reached is reached with it.
    fn join(&mut self, graph: &Graph<'_>, hops: u32, layer: &mut Vec<NodeId>) {
        let mut next = 0;
        while let Some(group) = layer.get(next).copied() {
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
                let slot = &mut self.nodes[member as usize];
                if slot.is_none() {
                    let by = Way::Member(group);
                    *slot = Some(Reached { hops, by });
                    layer.push(member);
                }
            }
        }
    }

    /// Counts somebody who is reached for the goals that they stand for.
    fn count(&mut self, graph: &Graph<'_>, hops: u32, node: NodeId, won: &mut Vec<Goal>) {
        let entry = graph.node(node);
        let mut win = |search: &mut Self, goal| won.extend(search.win(hops, goal, Some(node)));
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
                    if self.goal(Goal::AnyLive).is_none() {
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
        won: &[Goal],
    ) -> Vec<NodeId> {
        let mut next = Vec::new();
        for goal in won {
            for node in sources.to(self.number(*goal)) {
                if self.nodes[*node as usize].is_none() {
                    // The edge is the first that leads to this layer, whatever goal came first.
                    let mut edges = graph.node(*node).edges.iter();
                    let edge = edges.position(|edge| {
                        let goal = self.goal(edge.goal);
                        self.follows(edge) && goal.is_some_and(|goal| goal.hops == hops)
                    });
                    self.nodes[*node as usize] = edge.map(|edge| Reached {
                        hops: hops + 1,
                        by: Way::Edge(edge),
                    });
                    next.push(*node);
                }
            }
        }
        next
    }

    /// Works out what tells the ways of a layer from others; groups stand before their members.
    fn sign(&mut self, graph: &Graph<'_>, layer: &[NodeId]) {
        for node in layer {
            let entry = graph.node(*node);
            let signature = match self.node(*node).map(|reached| reached.by) {
                None | Some(Way::Admin) => mix(entry.stamp, 1),
                Some(Way::Member(group)) => mix(entry.stamp, self.signatures[group as usize]),
                Some(Way::Edge(edge)) => {
                    let edge = entry.edges.get(edge);
                    edge.map_or(0, |edge| mix(entry.stamp, self.edge_signature(edge)))
                }
            };
            self.signatures[*node as usize] = signature;
        }
    }

    /// What tells one way from another that begins with an edge.
    pub(super) fn edge_signature(&self, edge: &Edge) -> u64 {
        let place = match &edge.place {
            Place::Cluster => 1,
            Place::Everywhere => 2,
            Place::In(namespace) => namespace.bytes().fold(3, |all, byte| mix(all, byte.into())),
        };
        let goal = self.goal(edge.goal).and_then(|goal| goal.by);
        let goal = goal.map_or(7, |node| self.signatures[node as usize]);
        mix(mix(place, edge.how as u64), goal)
    }
}

/// A step of FNV-1a, on words: signatures live no longer than the process.
pub(super) const fn mix(all: u64, word: u64) -> u64 {
    (all ^ word)
        .wrapping_mul(0x0000_0100_0000_01b3)
        .rotate_left(23)
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
    fn of(graph: &Graph<'_>, search: &Search) -> Self {
        let edges = || {
            graph.order.iter().flat_map(|node| {
                let edges = graph.node(*node).edges.iter();
                edges
                    .filter(|edge| search.follows(edge))
                    .map(|edge| (*node, search.number(edge.goal)))
            })
        };
        let mut starts = vec![0; search.goals.len() + 1];
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
