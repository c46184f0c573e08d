//! How far everybody is from cluster-admin, kept up to date as the graph changes.
//!
//! What is known of a node or goal follows from its neighbours alone: the least that one of them
//! offers, the first of equals. Where that is no longer what is held, the node is *due*, at the
//! distance that it had or now has, whichever is less. Due nodes are mended in the order of these
//! distances, as in Ramalingam and Reps' algorithm for shortest paths: a node that came nearer
//! takes its new value at once; one whose way is gone first loses it, so that nobody who is reached
//! through it can be its new way, and is due again at what is left. Only what a change reaches is
//! looked at, and the result is the same in whatever order changes come.
//!
//! Whoever impersonates somebody acts as them in all but one thing: a request that impersonates
//! can't do so twice. So everybody is reached in two ways: with what they can do in all, and with
//! what they can do while somebody else acts as them.

mod touched;

use std::collections::BTreeMap;

pub(super) use self::touched::Touched;
use super::{
    aims::Place,
    graph::{Edge, Entry, GUISES, Goal, Graph, Guise, NodeId, Presence, Sort, SpaceId, mix},
};

/// A distance from cluster-admin. Each step counts four, so that what is reached by the same number
/// of steps has an order: an edge or cluster-admin itself, a membership, a goal, a goal that is
/// the best of the goals of all namespaces.
type Distance = u32;

const NEVER: Distance = Distance::MAX;
const STEP: Distance = 4;
const BY_EDGE: Distance = 0;
const BY_GROUP: Distance = 1;
const GOAL: Distance = 2;
const WIDE: Distance = 3;

/// The same number of steps, as something else.
const fn same(distance: Distance, what: Distance) -> Distance {
    if distance == NEVER {
        return NEVER;
    }
    distance / STEP * STEP + what
}

/// One step more.
const fn step(distance: Distance) -> Distance {
    if distance == NEVER {
        return NEVER;
    }
    (distance / STEP + 1) * STEP
}

/// How a node is reached, or by whom a goal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Nothing,
    /// It is cluster-admin.
    Admin,
    /// By this edge of its own.
    Edge(u32),
    /// As a member of this group, or by this node.
    Node(NodeId),
}

/// What is known of a node, or of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    at: Distance,
    pub(super) by: By,
    /// What tells its way from others.
    pub(super) signature: u64,
}

const UNREACHED: Reached = Reached {
    at: NEVER,
    by: By::Nothing,
    signature: 0,
};

/// Cluster-admin itself.
const ADMIN: Reached = Reached {
    at: GOAL,
    by: By::Admin,
    signature: 7,
};

impl Reached {
    pub(super) const fn is_reached(&self) -> bool {
        self.at != NEVER
    }
}

/// What the search found.
#[derive(Debug)]
pub(super) struct Search {
    through_nodes: bool,
    nodes: [Vec<Reached>; 2],
    goals: [Vec<Reached>; 2],
    due: BTreeMap<Distance, Vec<(Vertex, Guise)>>,
    /// At what distance a node was last said to be due: each edge says so again.
    said: [Vec<Distance>; 2],
}

/// Something that has a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Vertex {
    Node(NodeId),
    Goal(Goal),
}

/// Goals of the cluster that have a value of their own, and such goals of each namespace.
const FIXED: usize = 5;
const PER_SPACE: usize = 3;

/// Where the value of a goal is held.
fn place(goal: Goal) -> usize {
    let of = |space: SpaceId, at: usize| FIXED + PER_SPACE * space as usize + at;
    match goal {
        Goal::AnyAccount => 0,
        Goal::AnyImpersonable => 1,
        Goal::AnyLive => 2,
        Goal::AnyUser => 3,
        Goal::AnyCertified => 4,
        Goal::Accounts(space) => of(space, 0),
        Goal::Impersonable(space) => of(space, 1),
        Goal::Live(space) => of(space, 2),
        // These are other goals in other words, and are held nowhere.
        Goal::Admin | Goal::AnyNode | Goal::Node(_) | Goal::One(_) => usize::MAX,
    }
}

/// The goal that is the best of these of all namespaces.
const fn wide(goal: Goal) -> Option<Goal> {
    match goal {
        Goal::Accounts(_) => Some(Goal::AnyAccount),
        Goal::Impersonable(_) => Some(Goal::AnyImpersonable),
        Goal::Live(_) => Some(Goal::AnyLive),
        _ => None,
    }
}

impl Search {
    /// One that has found nothing yet.
    pub(super) fn new(through_nodes: bool) -> Self {
        Self {
            through_nodes,
            nodes: Default::default(),
            goals: Default::default(),
            due: BTreeMap::new(),
            said: Default::default(),
        }
    }

    /// By whom a goal is reached.
    pub(super) fn goal(&self, graph: &Graph, goal: Goal, guise: Guise) -> Reached {
        match goal {
            Goal::Admin => ADMIN,
            Goal::One(node) => {
                let by = By::Node(node);
                let reached = self.node(node, guise);
                Reached { by, ..reached }
            }
            Goal::AnyNode if graph.is_open(None) => self.held(Goal::AnyLive, guise),
            Goal::Node(space) if graph.is_open(Some(space)) => self.held(Goal::AnyLive, guise),
            goal => self.held(goal, guise),
        }
    }

    fn held(&self, goal: Goal, guise: Guise) -> Reached {
        let goals = &self.goals[guise as usize];
        goals.get(place(goal)).copied().unwrap_or(UNREACHED)
    }

    /// How a node is reached, its groups included.
    pub(super) fn node(&self, node: NodeId, guise: Guise) -> Reached {
        let nodes = &self.nodes[guise as usize];
        nodes.get(node as usize).copied().unwrap_or(UNREACHED)
    }

    fn value(&self, vertex: Vertex, guise: Guise) -> Reached {
        match vertex {
            Vertex::Node(node) => self.node(node, guise),
            Vertex::Goal(goal) => self.held(goal, guise),
        }
    }

    /// The shortest way by an edge of the node's own.
    pub(super) fn own<'a>(
        &self,
        graph: &Graph,
        entry: &'a Entry,
        defaults: bool,
    ) -> Option<&'a Edge> {
        let open = |edge: &&Edge| self.follows(edge) && (defaults || !edge.default);
        let ways = entry.edges.iter().filter(open).filter_map(|edge| {
            let reached = self.goal(graph, edge.goal, edge.guise());
            reached.is_reached().then_some((step(reached.at), edge))
        });
        // The first of equals.
        ways.min_by_key(|(at, _)| *at).map(|(_, edge)| edge)
    }

    fn follows(&self, edge: &Edge) -> bool {
        self.through_nodes || !edge.how.is_node()
    }

    /// What tells one way from another that begins with an edge.
    pub(super) fn edge_signature(&self, graph: &Graph, edge: &Edge) -> u64 {
        let place = match &edge.place {
            Place::Cluster => 1,
            Place::Everywhere => 2,
            Place::In(namespace) => namespace.bytes().fold(3, |all, byte| mix(all, byte.into())),
        };
        let goal = self.goal(graph, edge.goal, edge.guise());
        mix(mix(place, edge.how as u64), goal.signature)
    }

    /// What tells the ways of a node from others.
    pub(super) fn signature(&self, node: NodeId) -> u64 {
        let signature = |guise| self.node(node, guise).signature;
        mix(signature(Guise::Own), signature(Guise::Acted))
    }

    /// Takes in what has changed in the graph.
    pub(super) fn follow(&mut self, graph: &Graph, touched: &mut Touched) {
        for guise in GUISES {
            let goals = FIXED + PER_SPACE * graph.spaces_bound();
            let bound = self.goals[guise as usize].len().max(goals);
            self.goals[guise as usize].resize(bound, UNREACHED);
            let bound = self.nodes[guise as usize].len().max(graph.bound());
            self.nodes[guise as usize].resize(bound, UNREACHED);
            self.said[guise as usize].resize(bound, NEVER);
        }
        let news = graph.news();
        let mut open: Vec<Vertex> = Vec::new();
        let mut met = vec![false; FIXED + PER_SPACE * graph.spaces_bound()];
        for node in &news.nodes {
            touched.add(*node);
            open.push(Vertex::Node(*node));
            let goals = graph.at(*node).map(|(_, entry)| entry.sort.goals());
            for goal in goals.into_iter().flatten() {
                let met = met.get_mut(place(goal));
                if met.is_none_or(|met| !std::mem::replace(met, true)) {
                    open.push(Vertex::Goal(goal));
                }
            }
        }
        if self.through_nodes && !news.spaces.is_empty() {
            let spaces = news.spaces.iter().map(|space| Goal::Node(*space));
            for goal in spaces.chain([Goal::AnyNode]) {
                let sources = graph.sources(goal);
                touched.add_all(sources.iter().copied());
                open.extend(sources.iter().map(|node| Vertex::Node(*node)));
            }
        }
        open.sort_unstable();
        open.dedup();
        for vertex in open {
            for guise in GUISES {
                let (held, found) = (self.value(vertex, guise), self.find(graph, vertex, guise));
                if held != found {
                    self.put(held.at.min(found.at), vertex, guise);
                }
            }
        }
        while let Some((at, mut due)) = self.due.pop_first() {
            due.sort_unstable();
            due.dedup();
            for (vertex, guise) in &due {
                if let Vertex::Node(node) = vertex
                    && let Some(said) = self.said[*guise as usize].get_mut(*node as usize)
                {
                    *said = NEVER;
                }
            }
            for (vertex, guise) in due {
                self.mend(graph, at, (vertex, guise), touched);
            }
        }
    }

    fn put(&mut self, at: Distance, vertex: Vertex, guise: Guise) {
        if let Vertex::Node(node) = vertex
            && let Some(said) = self.said[guise as usize].get_mut(node as usize)
            && std::mem::replace(said, at) == at
        {
            return;
        }
        self.due.entry(at).or_default().push((vertex, guise));
    }

    /// Brings what is held of a vertex nearer to what its neighbours say.
    fn mend(
        &mut self,
        graph: &Graph,
        at: Distance,
        (vertex, guise): (Vertex, Guise),
        touched: &mut Touched,
    ) {
        let (held, found) = (self.value(vertex, guise), self.find(graph, vertex, guise));
        if held == found {
            return;
        }
        let due = held.at.min(found.at);
        if due > at {
            self.put(due, vertex, guise);
            return;
        }
        let now = if found.at > held.at { UNREACHED } else { found };
        if found.at > held.at && found.is_reached() {
            self.put(found.at, vertex, guise);
        }
        match vertex {
            Vertex::Node(node) => {
                touched.add(node);
                self.nodes[guise as usize][node as usize] = now;
                self.pass_on_node(graph, due, (node, guise), touched);
                self.pass_on(graph, due, Goal::One(node), touched);
            }
            Vertex::Goal(goal) => {
                self.goals[guise as usize][place(goal)] = now;
                if let Goal::Accounts(space) = goal {
                    touched.spaces.insert(space);
                }
                if let Some(wide) = wide(goal) {
                    self.mark(same(due, WIDE), Vertex::Goal(wide), guise);
                }
                self.pass_on(graph, due, goal, touched);
                if goal == Goal::AnyLive && self.through_nodes {
                    self.pass_on(graph, due, Goal::AnyNode, touched);
                    let spaces = (Goal::Node(0), Goal::Node(SpaceId::MAX));
                    let spaces = graph.sources_between(spaces.0, spaces.1);
                    for goal in spaces.map(|(goal, _)| goal) {
                        self.pass_on(graph, due, goal, touched);
                    }
                }
            }
        }
    }

    /// Who is in a group, and what somebody counts for, follows.
    fn pass_on_node(
        &mut self,
        graph: &Graph,
        due: Distance,
        (node, guise): (NodeId, Guise),
        touched: &mut Touched,
    ) {
        let Some((_, entry)) = graph.at(node) else {
            return;
        };
        touched.add_all(graph.narrower(entry.sort));
        for member in graph.members(entry.sort) {
            self.mark(same(due, BY_GROUP), Vertex::Node(member), guise);
        }
        for goal in entry.sort.goals() {
            self.mark(same(due, GOAL), Vertex::Goal(goal), guise);
        }
    }

    /// Whoever has an edge to a goal follows.
    fn pass_on(&mut self, graph: &Graph, due: Distance, goal: Goal, touched: &mut Touched) {
        let sources = graph.sources(goal);
        touched.add_all(sources.iter().copied());
        for node in sources {
            for guise in GUISES {
                self.mark(step(due), Vertex::Node(*node), guise);
            }
        }
    }

    /// A neighbour changed that was, or is, worth this distance: nothing where another is nearer.
    fn mark(&mut self, at: Distance, vertex: Vertex, guise: Guise) {
        if at <= self.value(vertex, guise).at {
            self.put(at, vertex, guise);
        }
    }

    /// What the neighbours of a vertex say of it.
    fn find(&self, graph: &Graph, vertex: Vertex, guise: Guise) -> Reached {
        match vertex {
            Vertex::Node(node) => self.find_node(graph, node, guise),
            Vertex::Goal(goal) => self.find_goal(graph, goal, guise),
        }
    }

    fn find_node(&self, graph: &Graph, node: NodeId, guise: Guise) -> Reached {
        let Some((_, entry)) = graph.at(node).filter(|(_, entry)| entry.is_there()) else {
            return UNREACHED;
        };
        let mut best = UNREACHED;
        if entry.admin {
            best.at = BY_EDGE;
            best.by = By::Admin;
            best.signature = mix(entry.stamp, 1);
            return best;
        }
        for (number, edge) in (0..).zip(&entry.edges) {
            if self.follows(edge) && edge.is_for(guise) {
                let at = step(self.goal(graph, edge.goal, edge.guise()).at);
                if at < best.at {
                    (best.at, best.by) = (at, By::Edge(number));
                }
            }
        }
        for group in graph.groups(entry.sort) {
            let reached = self.node(group, guise);
            let at = same(reached.at, BY_GROUP);
            if at < best.at {
                (best.at, best.by) = (at, By::Node(group));
                best.signature = mix(entry.stamp, reached.signature);
            }
        }
        if let By::Edge(number) = best.by
            && let Some(edge) = entry.edges.get(number as usize)
        {
            best.signature = mix(entry.stamp, self.edge_signature(graph, edge));
        }
        best
    }

    /// The nearest of those who count for a goal, in their order.
    fn find_goal(&self, graph: &Graph, goal: Goal, guise: Guise) -> Reached {
        let of = |space| Self::accounts(graph, space);
        match goal {
            Goal::Accounts(space) => {
                let exist = of(space).filter(|(_, entry)| entry.presence >= Presence::Idle);
                self.nearest(exist, guise)
            }
            Goal::Impersonable(space) => {
                self.nearest(of(space).filter(|(_, entry)| entry.is_there()), guise)
            }
            Goal::Live(space) => {
                let live = of(space).filter(|(_, entry)| entry.presence == Presence::Live);
                self.nearest(live, guise)
            }
            Goal::AnyUser => {
                let user = |entry: &Entry| matches!(entry.sort, Sort::User | Sort::Anonymous);
                self.nearest(graph.named().filter(|(_, entry)| user(entry)), guise)
            }
            Goal::AnyCertified => {
                let named = graph.named();
                let named = named.filter(|(_, entry)| entry.sort != Sort::Masters);
                self.nearest(named, guise)
            }
            Goal::AnyAccount => self.widest(graph, Goal::Accounts, guise),
            Goal::AnyImpersonable => self.widest(graph, Goal::Impersonable, guise),
            Goal::AnyLive => self.widest(graph, Goal::Live, guise),
            Goal::Admin | Goal::AnyNode | Goal::Node(_) | Goal::One(_) => UNREACHED,
        }
    }

    fn accounts(graph: &Graph, space: SpaceId) -> impl Iterator<Item = (NodeId, &Entry)> {
        let accounts = graph.accounts(space).iter();
        accounts.filter_map(|node| Some((*node, graph.at(*node)?.1)))
    }

    fn nearest<'a>(
        &self,
        nodes: impl Iterator<Item = (NodeId, &'a Entry)>,
        guise: Guise,
    ) -> Reached {
        let mut best = UNREACHED;
        for (node, _) in nodes {
            let reached = self.node(node, guise);
            let at = same(reached.at, GOAL);
            if at < best.at {
                let by = By::Node(node);
                best = Reached { at, by, ..reached };
            }
        }
        best
    }

    fn widest(&self, graph: &Graph, goal: impl Fn(SpaceId) -> Goal, guise: Guise) -> Reached {
        let mut best = UNREACHED;
        for (space, _) in graph.spaces() {
            let reached = self.held(goal(space), guise);
            let at = same(reached.at, WIDE);
            if at < best.at {
                best = Reached { at, ..reached };
            }
        }
        best
    }
}
