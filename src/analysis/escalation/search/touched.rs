//! What is to be looked at again after a search.

use std::collections::BTreeSet;

use crate::analysis::escalation::graph::{Graph, NodeId, SpaceId};

/// What a search may have found otherwise.
#[derive(Debug)]
pub(in crate::analysis::escalation) struct Touched {
    /// Nodes whose own ways, or whose values, are not what they were, each once.
    nodes: Vec<NodeId>,
    /// Which nodes these are: most are met again with each edge that leads from them.
    met: Vec<bool>,
    /// Namespaces whose accounts are reached otherwise.
    pub(in crate::analysis::escalation) spaces: BTreeSet<SpaceId>,
}

impl Touched {
    /// Nothing of a graph yet.
    pub(in crate::analysis::escalation) fn new(graph: &Graph) -> Self {
        Self {
            nodes: Vec::new(),
            met: vec![false; graph.bound()],
            spaces: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, node: NodeId) {
        if let Some(met) = self.met.get_mut(node as usize)
            && !std::mem::replace(met, true)
        {
            self.nodes.push(node);
        }
    }

    pub(super) fn add_all(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        nodes.into_iter().for_each(|node| self.add(node));
    }

    /// The nodes, in no order that means anything.
    pub(in crate::analysis::escalation) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }
}
