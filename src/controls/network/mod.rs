//! Network controls.

mod cluster_baseline;
mod common;
mod cross_namespace_explicit;
mod default_deny;
mod egress_internet_restricted;
mod exposure_inventory;
#[cfg(test)]
mod fixtures;
mod host_network;
mod isolated;
#[cfg(test)]
mod live_pods;
mod metadata_endpoint_blocked;
mod namespace_default_deny;
mod no_allow_all;
mod pod_egress_isolated;
mod pod_ingress_isolated;
mod policy_dead;
mod policy_enforced;
mod reach;

pub use cluster_baseline::ClusterBaseline;
pub use cross_namespace_explicit::CrossNamespaceExplicit;
pub use egress_internet_restricted::EgressInternetRestricted;
pub use exposure_inventory::{ApprovedEntry, ExposureInventory};
pub use host_network::{AllowedWorkload, HostNetwork};
pub use metadata_endpoint_blocked::MetadataEndpointBlocked;
pub use namespace_default_deny::NamespaceDefaultDeny;
pub use no_allow_all::NoAllowAll;
pub use pod_egress_isolated::PodEgressIsolated;
pub use pod_ingress_isolated::PodIngressIsolated;
pub use policy_dead::PolicyDead;
pub use policy_enforced::{NodeLabels, PolicyEnforced};
