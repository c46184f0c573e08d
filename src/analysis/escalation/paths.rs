//! What is asked of the graph: ways to cluster-admin, and whether there is one.

use std::collections::BTreeSet;

use super::{
    Escalation, Hop, Path, RoleAt, Ways, Who,
    aims::{Aim, Hold, Place},
    climb::{Climber, Scene},
    graph::{Goal, Guise},
    search::By,
};
use crate::{
    analysis::rights::{self, Rights},
    controls::{Subject, SubjectKind},
    inventory::{Inventory, Sym},
};

impl Escalation {
    /// Whether an identity is, or can become, cluster administrator, as a member of its groups
    /// too. Not through nodes.
    pub fn reaches(&self, subject: &Subject) -> bool {
        if subject.kind == SubjectKind::Group && *subject.name == *"system:masters" {
            return true;
        }
        let reached = |subject: Subject| {
            let node = self.graph.find(&Who::Identity(subject));
            node.is_some_and(|node| self.direct.node(node, Guise::Own).is_reached())
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
        let scene = Scene {
            inventory,
            rights,
            graph: &self.graph,
            eks: false,
            home: None,
        };
        let climber = Climber::new(scene, vec![own], Vec::new());
        let steps = climber.steps().list.into_iter();
        let mut steps = steps.filter(|step| !step.how.is_node());
        steps.any(|step| match &step.aim {
            Aim::Admin => true,
            Aim::Identity(subject) => self.reaches(subject),
            Aim::Role(next) => self.leads(inventory, rights, next, seen),
            aim => self.known(aim).is_some_and(|goal| self.leads_on(goal)),
        })
    }

    /// The goal of an aim that is no single identity or role.
    fn known(&self, aim: &Aim) -> Option<Goal> {
        let space = |namespace: &Sym| self.graph.find_space(namespace);
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

    fn leads_on(&self, goal: Goal) -> bool {
        let reached = self.direct.goal(&self.graph, goal, Guise::Own);
        reached.is_reached()
    }

    /// The shortest way of an identity that begins with what it holds itself. Holding
    /// cluster-admin is none.
    pub fn path(&self, subject: &Subject, ways: Ways) -> Option<Path> {
        let Self { graph, .. } = self;
        let search = if ways.through_nodes {
            &self.through_nodes
        } else {
            &self.direct
        };
        let node = graph.find(&Who::Identity(subject.clone()))?;
        let (who, entry) = graph.at(node)?;
        let mut edge = search.own(graph, entry, ways.defaults)?;
        let mut hop: (&Who, Option<&Who>) = (who, None);
        let mut steps = Vec::new();
        loop {
            steps.push(Hop {
                who: hop.0.clone(),
                how: edge.how,
                place: edge.place.clone(),
                group: hop.1.cloned(),
            });
            let guise = edge.guise();
            let By::Node(next) = search.goal(graph, edge.goal, guise).by else {
                return Some(Path { steps, end: None });
            };
            let (who, mut entry) = graph.at(next)?;
            let mut way = search.node(next, guise).by;
            let mut group = None;
            if let By::Node(number) = way {
                let (group_who, group_entry) = graph.at(number)?;
                (entry, group) = (group_entry, Some(group_who));
                way = search.node(number, guise).by;
            }
            let By::Edge(number) = way else {
                let end = Some(who.clone());
                return Some(Path { steps, end });
            };
            edge = entry.edges.get(number as usize)?;
            hop = (who, group);
        }
    }
}
