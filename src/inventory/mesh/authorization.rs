//! What Istio's proxies authorize.

use serde::{Deserialize, de::IgnoredAny};

use crate::inventory::{
    Projected, Projection,
    intern::Interner,
    meta::{Labels, Str, WireMeta},
};

/// An `AuthorizationPolicy` of Istio that allows something: whoever it selects denies the rest.
#[derive(Debug, PartialEq, Eq)]
pub struct IstioAuthorization {
    /// Labels of the pods that it is about; empty for all.
    pub pods: Labels,
    /// Whether it allows something, rather than deny, audit or ask somebody else.
    pub allows: bool,
    /// Whether a rule of it asks for nothing at all.
    pub allows_all: bool,
    /// Whether it is about Gateways or Services rather than pods.
    pub targets: bool,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireAuthorization<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Option<AuthorizationSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationSpec<'a> {
    #[serde(borrow)]
    selector: Option<super::PeerSelector<'a>>,
    #[serde(borrow)]
    action: Option<Str<'a>>,
    rules: Option<Vec<AuthorizationRule>>,
    target_ref: Option<IgnoredAny>,
    target_refs: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
struct AuthorizationRule {
    from: Option<Vec<IgnoredAny>>,
    to: Option<Vec<IgnoredAny>>,
    when: Option<Vec<IgnoredAny>>,
}

impl AuthorizationRule {
    fn is_empty(&self) -> bool {
        let parts = [&self.from, &self.to, &self.when];
        parts
            .into_iter()
            .all(|part| part.as_ref().is_none_or(Vec::is_empty))
    }
}

impl Projection for IstioAuthorization {
    type Wire<'a> = WireAuthorization<'a>;

    fn project(wire: WireAuthorization<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let spec = wire.spec.unwrap_or_default();
        let labels = spec.selector.and_then(|selector| selector.match_labels);
        let rules = spec.rules.unwrap_or_default();
        let policy = Self {
            pods: Labels::project(labels, interner, |_| true),
            allows: matches!(spec.action.as_deref(), None | Some("" | "ALLOW")),
            allows_all: rules.iter().any(AuthorizationRule::is_empty),
            targets: spec.target_ref.is_some()
                || spec.target_refs.is_some_and(|refs| !refs.is_empty()),
        };
        Ok((meta, policy))
    }
}
