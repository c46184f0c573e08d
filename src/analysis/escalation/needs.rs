//! The right without which there is no step.

use super::How;
use super::climb::{ADMISSION, MAKE, WORKLOADS, WRITE};
use crate::analysis::rights::{Thing, Verbs};

impl How {
    /// The rights of which a step needs one. Where it needs a second beside, these are the rarer ones.
    pub fn needs(self) -> impl Iterator<Item = (Thing, Verbs)> {
        let (things, verbs) = self.needed();
        // A pod on a node comes from a workload, or is created by itself.
        let pod = (self == Self::NodePod).then_some((Thing::Pods, Verbs::CREATE));
        things.iter().map(move |thing| (*thing, verbs)).chain(pod)
    }

    const fn needed(self) -> (&'static [Thing], Verbs) {
        let things: &[Thing] = match self {
            Self::Bind | Self::EditRole | Self::Aggregate => &[Thing::ClusterRoles, Thing::Roles],
            Self::Impersonate => &[Thing::Users, Thing::Groups, Thing::ServiceAccounts],
            Self::RequestToken => &[Thing::Tokens],
            Self::TokenSecret => &[Thing::Secrets],
            Self::CreatePod | Self::PatchPod => &[Thing::Pods],
            Self::Workload | Self::NodePod => &WORKLOADS,
            Self::Exec => &[Thing::PodsExec],
            Self::Ephemeral => &[Thing::EphemeralContainers],
            Self::NodesProxy => &[Thing::NodesProxy],
            Self::Certificate => &[Thing::Signers],
            Self::Admission => &ADMISSION,
            Self::AwsAuth => &[Thing::ConfigMaps],
            Self::NodeNamespace => &[Thing::Namespaces],
            Self::NodeVolume => &[Thing::PersistentVolumes],
            Self::NodeSteal => &[Thing::Nodes, Thing::NodesStatus],
        };
        let verbs = match self {
            Self::Bind => Verbs::BIND,
            Self::EditRole | Self::Aggregate => Verbs::ESCALATE,
            Self::Impersonate => Verbs::IMPERSONATE,
            Self::RequestToken | Self::TokenSecret | Self::CreatePod | Self::NodeVolume => {
                Verbs::CREATE
            }
            Self::Workload | Self::NodePod | Self::Admission => MAKE,
            Self::PatchPod
            | Self::Ephemeral
            | Self::AwsAuth
            | Self::NodeNamespace
            | Self::NodeSteal => WRITE,
            Self::Exec => Verbs::CREATE.or(Verbs::GET),
            Self::NodesProxy => Verbs::ANY,
            Self::Certificate => Verbs::APPROVE,
        };
        (things, verbs)
    }
}
