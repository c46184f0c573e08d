//! The graph: who there is, and whom or what each can become in one step.
//!
//! An edge leads from somebody to a *goal*: a certain identity, or any of a kind of them, such as
//! the accounts of a namespace. So there is one edge for each right, however many identities it
//! leads to. The graph remembers what has changed since it was last searched.

mod keep;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Who,
    aims::{Ground, How, Place},
};
use crate::{
    analysis::rights::keyed::Keyed,
    controls::Subject,
    inventory::{Kind, Sym},
};

/// Number of a node.
pub(super) type NodeId = u32;
/// Number of a namespace.
pub(super) type SpaceId = u32;

/// What an edge leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Whether somebody is reached as themselves, or only while somebody else acts as them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guise {
    Own,
    Acted,
}

pub(super) const GUISES: [Guise; 2] = [Guise::Own, Guise::Acted];

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
    pub(super) fn is_for(&self, guise: Guise) -> bool {
        guise == Guise::Own || self.how != How::Impersonate
    }
}

/// What kind of node it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    User,
    /// The user that everybody is who is not authenticated.
    Anonymous,
    Account(SpaceId),
    /// The group of the accounts of a namespace.
    AccountsOf(SpaceId),
    AllAccounts,
    /// All who are authenticated.
    Everyone,
    /// All who are not.
    Unauthenticated,
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

/// A node.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) sort: Sort,
    /// Tells it from an earlier one with its number.
    pub(super) stamp: u64,
    /// Whether a binding names it; of a role, whether somebody may bind it.
    pub(super) held: bool,
    pub(super) presence: Presence,
    /// Whether it holds everything everywhere.
    pub(super) admin: bool,
    pub(super) edges: Box<[Edge]>,
    /// What its edges depend on beside its bindings and their roles.
    grounds: Box<[Ground]>,
}

impl Entry {
    /// Whether it is anybody. Nodes that are nobody any more are removed after the next search.
    pub(super) fn is_there(&self) -> bool {
        self.held || self.presence != Presence::Absent
    }
}

/// A namespace.
#[derive(Debug)]
pub(super) struct Space {
    /// Its accounts, whether they exist or a binding names them, by name.
    pub(super) accounts: Vec<NodeId>,
    /// The group of its accounts, where a binding names it.
    pub(super) group: Option<NodeId>,
    /// Whether the namespace itself, or an object in it, exists.
    pub(super) exists: bool,
    /// Whether pods in it may take over a node: Pod Security enforces no level that forbids it.
    pub(super) open: bool,
}

/// What somebody's edges are made of.
#[derive(Debug, Default)]
pub(super) struct Wires {
    pub(super) admin: bool,
    pub(super) edges: Vec<Edge>,
    pub(super) grounds: BTreeSet<Ground>,
}

/// The graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Keyed<Who, Entry>,
    spaces: Keyed<Sym, Space>,
    /// Who has an edge to a goal.
    sources: BTreeMap<Goal, Vec<NodeId>>,
    /// Whose edges depend on what.
    grounds: BTreeMap<Ground, BTreeSet<NodeId>>,
    /// In which namespaces there is an account of a name: most names are in many, so that to look
    /// through all accounts for one takes milliseconds.
    homes: BTreeSet<(Sym, SpaceId)>,
    everyone: Option<NodeId>,
    all_accounts: Option<NodeId>,
    unauthenticated: Option<NodeId>,
    anonymous: Option<NodeId>,
    /// How many namespaces exist whose pods may take over a node.
    open: usize,
    stamps: u64,
    news: News,
    /// Nodes and namespaces that may be needed no more.
    loose: BTreeSet<NodeId>,
    emptied: BTreeSet<SpaceId>,
}

/// What has changed since the graph was last searched.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Nodes that hold something else, or are there or not.
    pub(super) nodes: BTreeSet<NodeId>,
    /// Namespaces that pods may now, or no longer, take over nodes from.
    pub(super) spaces: BTreeSet<SpaceId>,
    /// What edges may depend on.
    grounds: BTreeSet<Ground>,
}

impl Graph {
    /// Who a node is, and what is known of them.
    pub(super) fn at(&self, node: NodeId) -> Option<(&Who, &Entry)> {
        self.nodes.at(node)
    }

    /// The node of somebody who is there.
    pub(super) fn find(&self, who: &Who) -> Option<NodeId> {
        let node = self.nodes.number(who)?;
        self.nodes.at(node)?.1.is_there().then_some(node)
    }

    /// All that are there, in no order that means anything.
    pub(super) fn there(&self) -> impl Iterator<Item = (NodeId, &Who, &Entry)> {
        self.nodes
            .unordered()
            .filter(|(_, _, entry)| entry.is_there())
    }

    /// All that are there, in the order of who they are.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Who, &Entry)> {
        self.nodes.iter().filter(|(_, _, entry)| entry.is_there())
    }

    /// Users and groups that are there, in their order: they stand before whoever has a namespace.
    pub(super) fn named(&self) -> impl Iterator<Item = (NodeId, &Entry)> {
        let outside = |who: &Who| matches!(who, Who::Identity(s) if s.namespace.is_empty());
        let all = self.nodes().take_while(move |(_, who, _)| outside(who));
        all.map(|(node, _, entry)| (node, entry))
    }

    /// Numbers of nodes are below this.
    pub(super) const fn bound(&self) -> usize {
        self.nodes.bound()
    }

    /// Namespaces, in order.
    pub(super) fn spaces(&self) -> impl Iterator<Item = (SpaceId, &Space)> {
        self.spaces.iter().map(|(number, _, space)| (number, space))
    }

    /// Name and content of a namespace.
    pub(super) fn space_at(&self, number: SpaceId) -> Option<(&Sym, &Space)> {
        self.spaces.at(number)
    }

    /// The number of a namespace that is known.
    pub(super) fn find_space(&self, namespace: &Sym) -> Option<SpaceId> {
        self.spaces.number(namespace)
    }

    /// Numbers of namespaces are below this.
    pub(super) const fn spaces_bound(&self) -> usize {
        self.spaces.bound()
    }

    /// Whether pods of a namespace, or of any where it is `None`, may take over a node.
    pub(super) fn is_open(&self, space: Option<SpaceId>) -> bool {
        match space {
            Some(space) => self.spaces.at(space).is_some_and(|(_, space)| space.open),
            None => self.open > 0,
        }
    }

    /// The accounts of a namespace that is known.
    pub(super) fn accounts(&self, space: SpaceId) -> &[NodeId] {
        self.spaces
            .at(space)
            .map_or(&[], |(_, space)| &space.accounts)
    }

    /// The namespaces in which an account of this name exists or is named by a binding.
    pub(super) fn homes(&self, name: &Sym) -> impl Iterator<Item = &Sym> {
        let (first, last) = ((name.clone(), 0), (name.clone(), SpaceId::MAX));
        let homes = self.homes.range(first..=last);
        let names = homes.filter_map(|(_, space)| Some(self.space_at(*space)?.0));
        let there = move |namespace: &&Sym| {
            let account = Subject::object(Kind::ServiceAccount, namespace, name);
            self.find(&Who::Identity(account)).is_some()
        };
        names.filter(there)
    }

    /// Who has an edge to a goal.
    pub(super) fn sources(&self, goal: Goal) -> &[NodeId] {
        self.sources.get(&goal).map_or(&[], Vec::as_slice)
    }

    /// Who has an edge to a goal from one to the other, both included.
    pub(super) fn sources_between(
        &self,
        first: Goal,
        last: Goal,
    ) -> impl Iterator<Item = (Goal, &[NodeId])> {
        let all = self.sources.range(first..=last);
        all.map(|(goal, sources)| (*goal, sources.as_slice()))
    }

    /// The groups that somebody is in by definition and that a binding names, the widest first.
    pub(super) fn groups(&self, sort: Sort) -> impl Iterator<Item = NodeId> {
        let groups = match sort {
            Sort::User => [self.everyone, None, None],
            Sort::Anonymous => [self.unauthenticated, None, None],
            Sort::Account(space) => {
                let group = self.spaces.at(space).and_then(|(_, space)| space.group);
                [self.everyone, self.all_accounts, group]
            }
            _ => [None; 3],
        };
        groups.into_iter().flatten()
    }

    /// Whether a binding may name the group of the accounts of somebody's namespace.
    pub(super) fn is_grouped(&self, sort: Sort) -> bool {
        match sort {
            Sort::Account(space) => {
                let space = self.spaces.at(space);
                space.is_some_and(|(_, space)| space.group.is_some())
            }
            _ => false,
        }
    }

    /// Who is in a group by definition.
    pub(super) fn members(&self, sort: Sort) -> Vec<NodeId> {
        let accounts = || self.spaces.iter().flat_map(|(_, _, space)| &space.accounts);
        match sort {
            Sort::Unauthenticated => self.anonymous.into_iter().collect(),
            Sort::AccountsOf(space) => self.accounts(space).to_vec(),
            Sort::AllAccounts => accounts().copied().collect(),
            Sort::Everyone => {
                let named = self.named();
                let users = named.filter(|(_, entry)| entry.sort == Sort::User);
                users
                    .map(|(node, _)| node)
                    .chain(accounts().copied())
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The groups that everybody is in who is in this one.
    pub(super) fn wider(&self, sort: Sort) -> impl Iterator<Item = NodeId> {
        let groups = match sort {
            Sort::AccountsOf(_) => [self.everyone, self.all_accounts],
            Sort::AllAccounts => [self.everyone, None],
            _ => [None; 2],
        };
        groups.into_iter().flatten()
    }

    /// The groups of which everybody is in this one.
    pub(super) fn narrower(&self, sort: Sort) -> Vec<NodeId> {
        let accounts = || self.spaces.iter().filter_map(|(_, _, space)| space.group);
        match sort {
            Sort::AllAccounts => accounts().collect(),
            Sort::Everyone => accounts().chain(self.all_accounts).collect(),
            _ => Vec::new(),
        }
    }

    /// What has changed since the graph was last searched.
    pub(super) const fn news(&self) -> &News {
        &self.news
    }
}

impl Sort {
    /// The goals that somebody of this sort may count for, beside being just them.
    pub(super) fn goals(self) -> impl Iterator<Item = Goal> {
        let goals = match self {
            Self::User | Self::Anonymous => [Some(Goal::AnyUser), Some(Goal::AnyCertified), None],
            Self::Account(space) => [
                Some(Goal::Impersonable(space)),
                Some(Goal::Accounts(space)),
                Some(Goal::Live(space)),
            ],
            Self::Group
            | Self::AccountsOf(_)
            | Self::AllAccounts
            | Self::Everyone
            | Self::Unauthenticated => [Some(Goal::AnyCertified), None, None],
            Self::Masters | Self::Role => [None; 3],
        };
        goals.into_iter().flatten()
    }
}

/// Adds a word to a hash; equal words don't cancel each other out. Signatures live no longer than
/// the process.
pub(super) const fn mix(all: u64, word: u64) -> u64 {
    (all.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}
