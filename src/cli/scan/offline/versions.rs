//! Versions of APIs in which objects are read from files.

use crate::inventory::Kind;

/// Older versions of an API, in which objects look as in the one that is read. A server converts;
/// files are taken as they are.
const ALIKE: [(Kind, &str); 9] = [
    (Kind::Gateway, "gateway.networking.k8s.io/v1beta1"),
    (Kind::HttpRoute, "gateway.networking.k8s.io/v1beta1"),
    (Kind::GrpcRoute, "gateway.networking.k8s.io/v1alpha2"),
    (Kind::TlsRoute, "gateway.networking.k8s.io/v1alpha2"),
    (Kind::TlsRoute, "gateway.networking.k8s.io/v1alpha3"),
    (Kind::PeerAuthentication, "security.istio.io/v1beta1"),
    (Kind::IstioAuthorization, "security.istio.io/v1beta1"),
    (Kind::DestinationRule, "networking.istio.io/v1beta1"),
    (Kind::DestinationRule, "networking.istio.io/v1alpha3"),
];

/// Whether objects of a kind are read where they say that they are of this version.
pub(super) fn reads(kind: Kind, version: &str) -> bool {
    kind.info().api_version() == version || ALIKE.contains(&(kind, version))
}
