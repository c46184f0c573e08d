//! Steps by pods, by what belongs to the cluster as a whole, and through nodes.

use super::{ADMISSION, Climber, MAKE, WORKLOADS, WRITE};
use crate::{
    analysis::{
        escalation::aims::{Aim, Ground, How, Place, Steps},
        rights::{Thing, Verbs},
        webhooks,
    },
    inventory::Sym,
};

impl Climber<'_> {
    /// By pods, which run as a service account of their namespace.
    pub(super) fn pods(&self, steps: &mut Steps) {
        let places = |thing, verbs| self.held(true, thing, verbs).into_iter();
        for found in places(Thing::Pods, MAKE) {
            let place = found.place.namespaces();
            if found.verbs.has(Verbs::CREATE) {
                steps.push(How::CreatePod, &place, Aim::Accounts(place.clone()));
            } else {
                steps.push(How::PatchPod, &place, Aim::Live(place.clone()));
            }
        }
        for thing in WORKLOADS {
            for found in places(thing, MAKE) {
                let place = found.place.namespaces();
                steps.push(How::Workload, &place, Aim::Accounts(place.clone()));
            }
        }
        for (thing, verbs, how) in [
            (Thing::PodsExec, Verbs::CREATE.or(Verbs::GET), How::Exec),
            (Thing::EphemeralContainers, WRITE, How::Ephemeral),
        ] {
            for found in places(thing, verbs) {
                let place = found.place.namespaces();
                steps.push(how, &place, Aim::Live(place.clone()));
            }
        }
        for found in places(Thing::Secrets, Verbs::CREATE) {
            let place = found.place.namespaces();
            steps.push(How::TokenSecret, &place, Aim::Accounts(place.clone()));
        }
    }

    /// By what belongs to the cluster as a whole.
    pub(super) fn cluster(&self, steps: &mut Steps) {
        for _ in self.held(true, Thing::NodesProxy, Verbs::ANY) {
            steps.push(
                How::NodesProxy,
                &Place::Cluster,
                Aim::Live(Place::Everywhere),
            );
        }
        for thing in ADMISSION {
            for found in self.held(true, thing, MAKE) {
                if !self.is_own(steps, thing, found.names) {
                    steps.push(How::Admission, &Place::Cluster, Aim::Admin);
                }
            }
        }
        for found in self.held(true, Thing::ConfigMaps, WRITE) {
            let system = Place::In("kube-system".into());
            if found.is_for("aws-auth") && system.is_within(&found.place) {
                // Whether it is EKS depends on other bindings.
                steps.rest_on(Ground::Eks);
                if self.scene.eks {
                    steps.push(How::AwsAuth, &system, Aim::Admin);
                }
            }
        }
    }

    /// Whether a right on webhook configurations is about the account's own ones only.
    fn is_own(&self, steps: &mut Steps, thing: Thing, names: &[Sym]) -> bool {
        let (Some(home), Some(kind)) = (self.scene.home, webhooks::kind(thing)) else {
            return false;
        };
        for name in names {
            steps.rest_on(Ground::Webhooks(kind, name.clone()));
        }
        webhooks::are_own(self.scene.inventory, thing, names, home)
    }

    /// Through nodes: a class of their own.
    pub(super) fn nodes(&self, steps: &mut Steps) {
        for thing in std::iter::once(Thing::Pods).chain(WORKLOADS) {
            let verbs = if thing == Thing::Pods {
                Verbs::CREATE
            } else {
                MAKE
            };
            for found in self.held(true, thing, verbs) {
                let place = found.place.namespaces();
                steps.push(How::NodePod, &place, Aim::Node(place.clone()));
            }
            let pair = |other| self.anywhere((thing, verbs), other);
            let anywhere = || Aim::Live(Place::Everywhere);
            for _ in pair((Thing::PersistentVolumes, Verbs::CREATE)) {
                steps.push(How::NodeVolume, &Place::Cluster, anywhere());
            }
            for (made, patched) in pair((Thing::Namespaces, WRITE)) {
                // A namespace is its own namespace when it is asked for.
                let place = made.place.and(&patched.place);
                let named = match &place {
                    Some(Place::In(namespace)) => patched.is_for(namespace),
                    Some(_) => true,
                    None => false,
                };
                if let Some(place) = place.filter(|_| named) {
                    steps.push(How::NodeNamespace, &place, anywhere());
                }
            }
        }
        let delete = (Thing::Pods, Verbs::DELETE.or(Verbs::DELETE_ALL));
        for thing in [Thing::Nodes, Thing::NodesStatus] {
            for _ in self.anywhere((thing, WRITE), delete) {
                let aim = Aim::Live(Place::Everywhere);
                steps.push(How::NodeSteal, &Place::Cluster, aim);
            }
        }
    }
}
