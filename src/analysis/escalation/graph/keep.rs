//! How the graph is changed: nodes come, are connected anew, and go.

use std::collections::BTreeSet;

use super::{Edge, Entry, Goal, Graph, NodeId, Presence, Sort, Space, SpaceId, Wires};
use crate::{
    analysis::{
        escalation::{Who, aims::Ground},
        rbac::accounts_of,
    },
    controls::{Subject, SubjectKind},
    inventory::Sym,
};

impl Graph {
    /// The number of a namespace.
    pub(in crate::analysis::escalation) fn space(&mut self, namespace: &Sym) -> SpaceId {
        let number = self.spaces.enter(namespace, || Space {
            accounts: Vec::new(),
            group: None,
            exists: false,
            // A namespace that is not there enforces nothing.
            open: true,
        });
        self.emptied.insert(number);
        number
    }

    /// Says whether a namespace is there, and whether pods in it may take over a node.
    pub(in crate::analysis::escalation) fn set_space(
        &mut self,
        number: SpaceId,
        exists: bool,
        open: bool,
    ) {
        let Some(space) = self.spaces.at_mut(number) else {
            return;
        };
        let before = (space.exists, space.open);
        (space.exists, space.open) = (exists, open);
        if before != (exists, open) {
            self.open -= usize::from(before == (true, true));
            self.open += usize::from(exists && open);
            self.news.spaces.insert(number);
        }
        self.emptied.insert(number);
    }

    /// The node of an identity; it is nobody until somebody says that it is there.
    pub(in crate::analysis::escalation) fn node(&mut self, subject: &Subject) -> NodeId {
        let who = Who::Identity(subject.clone());
        if let Some(node) = self.nodes.number(&who) {
            return node;
        }
        let sort = self.sort(subject);
        let node = self.enter(&who, sort);
        match sort {
            Sort::Account(space) => {
                self.homes.insert((subject.name.clone(), space));
                let name = |node: &NodeId| self.nodes.at(*node).map(|(who, _)| who);
                if let Some((_, Space { accounts, .. })) = self.spaces.at(space) {
                    // Mostly they come in their order.
                    let last = accounts.last().is_none_or(|other| name(other) < Some(&who));
                    let place = if last {
                        accounts.len()
                    } else {
                        accounts.partition_point(|other| name(other) < Some(&who))
                    };
                    if let Some(space) = self.spaces.at_mut(space) {
                        space.accounts.insert(place, node);
                    }
                }
            }
            Sort::AccountsOf(space) => {
                if let Some(space) = self.spaces.at_mut(space) {
                    space.group = Some(node);
                }
            }
            Sort::AllAccounts => self.all_accounts = Some(node),
            Sort::Everyone => self.everyone = Some(node),
            Sort::Unauthenticated => self.unauthenticated = Some(node),
            Sort::Anonymous => self.anonymous = Some(node),
            _ => {}
        }
        node
    }

    fn sort(&mut self, subject: &Subject) -> Sort {
        match subject.kind {
            SubjectKind::Object(_) => Sort::Account(self.space(&subject.namespace)),
            SubjectKind::User if *subject.name == *"system:anonymous" => Sort::Anonymous,
            SubjectKind::User => Sort::User,
            _ => match (accounts_of(subject), &*subject.name) {
                (Some(namespace), _) => Sort::AccountsOf(self.space(&namespace.into())),
                (None, "system:serviceaccounts") => Sort::AllAccounts,
                (None, "system:authenticated") => Sort::Everyone,
                (None, "system:unauthenticated") => Sort::Unauthenticated,
                (None, "system:masters") => Sort::Masters,
                (None, _) => Sort::Group,
            },
        }
    }

    fn enter(&mut self, who: &Who, sort: Sort) -> NodeId {
        self.stamps += 1;
        let stamp = self.stamps;
        self.nodes.enter(who, || Entry {
            sort,
            stamp,
            ..Entry::default()
        })
    }

    /// The node of a role, and whether it has to be connected yet.
    pub(in crate::analysis::escalation) fn role(&mut self, who: &Who) -> (NodeId, bool) {
        let node = match self.nodes.number(who) {
            Some(node) => node,
            None => self.enter(who, Sort::Role),
        };
        let entry = self.nodes.at_mut(node);
        let new = entry.is_some_and(|entry| !std::mem::replace(&mut entry.held, true));
        if new {
            self.news.nodes.insert(node);
        }
        (node, new)
    }

    /// The node of an identity that a binding names.
    pub(in crate::analysis::escalation) fn hold(&mut self, subject: &Subject) -> NodeId {
        let node = self.node(subject);
        self.set_held(node, true);
        node
    }

    /// Says whether a binding names somebody.
    pub(in crate::analysis::escalation) fn set_held(&mut self, node: NodeId, held: bool) {
        self.change(node, |entry| entry.held = held);
    }

    /// Says whether an account exists, and whether pods of it run.
    pub(in crate::analysis::escalation) fn set_presence(
        &mut self,
        node: NodeId,
        presence: Presence,
    ) {
        self.change(node, |entry| entry.presence = presence);
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.nodes.at_mut(node) else {
            return;
        };
        let absent = |entry: &Entry| entry.presence == Presence::Absent;
        let before = (entry.held, entry.presence);
        let was = (entry.is_there(), absent(entry));
        change(entry);
        let is = (entry.is_there(), absent(entry));
        if before != (entry.held, entry.presence) {
            self.news.nodes.insert(node);
        }
        if !is.0 {
            self.loose.insert(node);
        }
        // Where nothing depends on anything yet, it is not worth being noted.
        if was != is
            && !self.grounds.is_empty()
            && let Some((Who::Identity(subject), _)) = self.nodes.at(node)
        {
            if subject.object_kind().is_some() {
                let named = Ground::Named(subject.name.clone());
                self.news.grounds.insert(named);
            }
            self.news.grounds.insert(Ground::Who(subject.clone()));
        }
    }

    /// Gives a node other edges.
    pub(in crate::analysis::escalation) fn connect(&mut self, node: NodeId, wires: Wires) {
        let Some(entry) = self.nodes.at_mut(node) else {
            return;
        };
        let same = entry.admin == wires.admin && *entry.edges == *wires.edges;
        if same && entry.grounds.iter().eq(&wires.grounds) {
            return;
        }
        let (edges, grounds): (Box<[_]>, Box<[_]>) =
            (wires.edges.into(), wires.grounds.into_iter().collect());
        if !same {
            self.news.nodes.insert(node);
        }
        entry.admin = wires.admin;
        let goals =
            |edges: &[_]| -> BTreeSet<Goal> { edges.iter().map(|edge: &Edge| edge.goal).collect() };
        let now = goals(&edges);
        let before = goals(&std::mem::replace(&mut entry.edges, edges));
        let grounds_before = std::mem::replace(&mut entry.grounds, grounds.clone());
        for goal in before.difference(&now) {
            self.part(node, *goal);
        }
        for goal in now.difference(&before) {
            self.sources.entry(*goal).or_default().push(node);
        }
        if grounds != grounds_before {
            for ground in grounds_before {
                if let Some(nodes) = self.grounds.get_mut(&ground) {
                    nodes.remove(&node);
                    if nodes.is_empty() {
                        self.grounds.remove(&ground);
                    }
                }
            }
            for ground in grounds {
                self.grounds.entry(ground).or_default().insert(node);
            }
        }
    }

    /// Takes a node out of the sources of a goal.
    fn part(&mut self, node: NodeId, goal: Goal) {
        if let Some(sources) = self.sources.get_mut(&goal) {
            if let Some(place) = sources.iter().position(|source| *source == node) {
                sources.swap_remove(place);
            }
            if sources.is_empty() {
                self.sources.remove(&goal);
            }
        }
        match goal {
            Goal::One(node) => drop(self.loose.insert(node)),
            Goal::Accounts(space)
            | Goal::Impersonable(space)
            | Goal::Live(space)
            | Goal::Node(space) => drop(self.emptied.insert(space)),
            _ => {}
        }
    }

    /// Whose edges depend on something that has changed.
    pub(in crate::analysis::escalation) fn take_shaken(
        &mut self,
        changed: &BTreeSet<Ground>,
    ) -> BTreeSet<NodeId> {
        let own = std::mem::take(&mut self.news.grounds);
        let grounds = changed.iter().chain(&own);
        let nodes = grounds.filter_map(|ground| self.grounds.get(ground));
        nodes.flatten().copied().collect()
    }

    /// Lets go of roles that nobody may bind any more.
    pub(in crate::analysis::escalation) fn drop_loose_roles(&mut self) {
        let mut open: Vec<NodeId> = self.loose.iter().copied().collect();
        while let Some(node) = open.pop() {
            let role = self
                .nodes
                .at(node)
                .is_some_and(|(_, entry)| entry.sort == Sort::Role && entry.held);
            if !role || self.is_led_to(node) {
                continue;
            }
            let ends = self.nodes.at(node).map(|(_, entry)| entry.edges.to_vec());
            self.connect(node, Wires::default());
            self.set_held(node, false);
            open.extend(
                ends.into_iter()
                    .flatten()
                    .filter_map(|edge| match edge.goal {
                        Goal::One(next) => Some(next),
                        _ => None,
                    }),
            );
        }
    }

    /// Whether an identity leads to a role, through other roles or at once.
    fn is_led_to(&self, role: NodeId) -> bool {
        let mut seen = BTreeSet::from([role]);
        let mut open = vec![role];
        while let Some(node) = open.pop() {
            for source in self.sources(Goal::One(node)) {
                match self.nodes.at(*source) {
                    Some((Who::Identity(_), _)) => return true,
                    Some(_) if seen.insert(*source) => open.push(*source),
                    _ => {}
                }
            }
        }
        false
    }

    /// Forgets the news, and removes who is nobody any more: nothing leads there.
    pub(in crate::analysis::escalation) fn sweep(&mut self) {
        self.news.nodes.clear();
        self.news.spaces.clear();
        for node in std::mem::take(&mut self.loose) {
            let gone = self.nodes.at(node).filter(|(_, entry)| !entry.is_there());
            if gone.is_some() && self.sources(Goal::One(node)).is_empty() {
                self.remove(node);
            }
        }
        for number in std::mem::take(&mut self.emptied) {
            let Some((name, space)) = self.spaces.at(number) else {
                continue;
            };
            let goals = [
                Goal::Accounts(number),
                Goal::Impersonable(number),
                Goal::Live(number),
                Goal::Node(number),
            ];
            let led_to = goals.iter().any(|goal| self.sources.contains_key(goal));
            if !space.exists && space.accounts.is_empty() && space.group.is_none() && !led_to {
                let name = name.clone();
                self.spaces.remove(&name);
            }
        }
    }

    fn remove(&mut self, node: NodeId) {
        self.connect(node, Wires::default());
        let Some((who, entry)) = self.nodes.at(node) else {
            return;
        };
        let (who, sort) = (who.clone(), entry.sort);
        match sort {
            Sort::Account(number) => {
                if let Some(space) = self.spaces.at_mut(number) {
                    space.accounts.retain(|other| *other != node);
                }
                if let Who::Identity(Subject { name, .. }) = &who {
                    self.homes.remove(&(name.clone(), number));
                }
                self.emptied.insert(number);
            }
            Sort::AccountsOf(number) => {
                if let Some(space) = self.spaces.at_mut(number) {
                    space.group = None;
                }
                self.emptied.insert(number);
            }
            Sort::AllAccounts => self.all_accounts = None,
            Sort::Everyone => self.everyone = None,
            Sort::Unauthenticated => self.unauthenticated = None,
            Sort::Anonymous => self.anonymous = None,
            _ => {}
        }
        self.nodes.remove(&who);
        self.news.nodes.remove(&node);
    }
}
