//! Roles, bindings and service accounts.

use serde::Deserialize;

use super::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{ManagedFields, Str, WireMeta},
    selector::{Selector, WireSelector},
};

/// A Role or `ClusterRole`.
#[derive(Debug, PartialEq, Eq)]
pub struct Role {
    /// What it allows.
    pub rules: Box<[Rule]>,
    /// Selectors of the roles that it aggregates; `None` where it is not an aggregate.
    pub aggregates: Option<Box<[Selector]>>,
}

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Verbs.
    pub verbs: Box<[Sym]>,
    /// API groups.
    pub groups: Box<[Sym]>,
    /// Resources, with their subresource.
    pub resources: Box<[Sym]>,
    /// Names that it is limited to; empty means all.
    pub names: Box<[Sym]>,
    /// Paths that are no resources.
    pub urls: Box<[Sym]>,
}

/// A `RoleBinding` or `ClusterRoleBinding`.
#[derive(Debug, PartialEq, Eq)]
pub struct Binding {
    /// `Role` or `ClusterRole`.
    pub role_kind: Sym,
    /// Name of the role.
    pub role: Sym,
    /// Who gets it.
    pub subjects: Box<[Holder]>,
}

/// Who holds a binding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: Sym,
    /// Namespace of a service account, else empty.
    pub namespace: Sym,
    /// Name.
    pub name: Sym,
}

/// A service account.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Whether pods mount its token, unless they say otherwise; none means that they do.
    pub automount: Option<bool>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireRole<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    rules: Option<Vec<WireRule<'a>>>,
    #[serde(borrow)]
    aggregation_rule: Option<WireAggregation<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAggregation<'a> {
    #[serde(borrow)]
    cluster_role_selectors: Option<Vec<WireSelector<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRule<'a> {
    #[serde(borrow)]
    verbs: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    api_groups: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    resources: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    resource_names: Option<Vec<Str<'a>>>,
    #[serde(borrow, rename = "nonResourceURLs")]
    urls: Option<Vec<Str<'a>>>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireBinding<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    #[serde(borrow)]
    role_ref: WireRef<'a>,
    #[serde(borrow)]
    subjects: Option<Vec<WireHolder<'a>>>,
}

#[derive(Debug, Deserialize)]
struct WireRef<'a> {
    #[serde(borrow)]
    kind: Str<'a>,
    #[serde(borrow)]
    name: Str<'a>,
}

#[derive(Debug, Deserialize)]
struct WireHolder<'a> {
    #[serde(borrow)]
    kind: Str<'a>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    name: Str<'a>,
}

fn syms(list: Option<Vec<Str<'_>>>, interner: &mut Interner) -> Box<[Sym]> {
    let list = list.unwrap_or_default();
    list.iter().map(|text| interner.string(text)).collect()
}

impl Projection for Role {
    type Wire<'a> = WireRole<'a>;

    fn keeps_annotation(key: &str) -> bool {
        key == "rbac.authorization.kubernetes.io/autoupdate" || super::ours(key)
    }

    fn project(wire: WireRole<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let rules = wire.rules.unwrap_or_default().into_iter();
        let aggregates = wire.aggregation_rule.map(|rule| {
            let selectors = rule.cluster_role_selectors.unwrap_or_default().into_iter();
            selectors
                .map(|s| s.project(interner))
                .collect::<Result<Box<[_]>, _>>()
        });
        let role = Self {
            aggregates: aggregates.transpose()?,
            rules: rules
                .map(|rule| Rule {
                    verbs: syms(rule.verbs, interner),
                    groups: syms(rule.api_groups, interner),
                    resources: syms(rule.resources, interner),
                    names: syms(rule.resource_names, interner),
                    urls: syms(rule.urls, interner),
                })
                .collect(),
        };
        Ok((meta, role))
    }
}

impl Projection for Binding {
    type Wire<'a> = WireBinding<'a>;
    // A binding is deleted as a whole: whoever owns its subjects or its role owns it.
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&["f:subjects"], &["f:roleRef"]];

    fn project(wire: WireBinding<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let subjects = wire.subjects.unwrap_or_default();
        let binding = Self {
            role_kind: interner.string(&wire.role_ref.kind),
            role: interner.string(&wire.role_ref.name),
            subjects: subjects
                .iter()
                .map(|holder| Holder {
                    kind: interner.string(&holder.kind),
                    namespace: interner.string(holder.namespace.as_deref().unwrap_or_default()),
                    name: interner.string(&holder.name),
                })
                .collect(),
        };
        Ok((meta, binding))
    }
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireAccount<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a, ManagedFields<'a>>,
    automount_service_account_token: Option<bool>,
}

impl Projection for ServiceAccount {
    type Wire<'a> = WireAccount<'a>;
    const OWNED_PATHS: &'static [&'static [&'static str]] = &[&["f:automountServiceAccountToken"]];

    fn project(wire: WireAccount<'_>, interner: &mut Interner) -> Projected<Self> {
        let account = Self {
            automount: wire.automount_service_account_token,
        };
        Ok((Self::meta(wire.metadata, interner)?, account))
    }
}
