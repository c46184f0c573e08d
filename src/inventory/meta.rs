//! Object metadata: the part of an object that every kind has, decoded once and alike.

mod uid;

use std::{borrow::Cow, fmt, ops::Deref, sync::Arc};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

pub use self::uid::Uid;
use super::intern::{Interner, Sym};

/// A string of the wire that borrows from the input where it has no escapes.
///
/// serde borrows a `Cow` only where it stands directly in a field, not inside an `Option` or a
/// `Vec`; this wrapper makes it borrow there too.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Str<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// A string map of the wire, in the order of the input; `null` values count as empty.
#[derive(Debug, Default)]
pub struct StrMap<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for StrMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = StrMap<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((key, value)) = map.next_entry::<Str<'de>, Option<Str<'de>>>()? {
                    pairs.push((key.0, value.unwrap_or_default().0));
                }
                Ok(StrMap(pairs))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// Sorted labels or annotations of an object.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<[(Sym, Sym)]>);

impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .binary_search_by(|(k, _)| (**k).cmp(key))
            .ok()
            .map(|i| &*self.0[i].1)
    }

    /// All pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the pairs whose key `keep` wants.
    pub fn project(
        map: Option<StrMap<'_>>,
        interner: &mut Interner,
        keep: fn(&str) -> bool,
    ) -> Self {
        let pairs = map
            .unwrap_or_default()
            .0
            .iter()
            .filter(|(key, _)| keep(key))
            .map(|(key, value)| (interner.string(key), interner.string(value)))
            .collect();
        Self::from_pairs(pairs)
    }

    /// Sorts pairs. Of several with one key the last wins, as in the API server's decoder.
    pub fn from_pairs(mut pairs: Vec<(Sym, Sym)>) -> Self {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = Arc::clone(&later.1);
            }
            same
        });
        Self(pairs.into())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Sym, Sym)> = pairs
            .into_iter()
            .map(|(k, v)| (Sym::from(k), Sym::from(v)))
            .collect();
        pairs.sort();
        Self(pairs.into())
    }
}

/// Who else looks after an object: a reason to propose rather than to write.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owners {
    /// The controller among the owner references, as `Kind/name`; `Kind.group/name` where
    /// another API's kind only sounds like a workload of Kubernetes.
    pub controller: Option<Sym>,
    /// The `GitOps` or packaging tool whose mark the object carries: `Argo CD`, `Flux`, `Helm`.
    pub tool: Option<&'static str>,
    /// Whether the object carries the mark of things that we created.
    pub ours: bool,
    /// Field managers (not of status), oldest change first.
    pub managers: Box<[Manager]>,
}

/// One field manager of an object, and which of the fields that we might put back it owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Manager {
    /// Name, such as `kubectl-edit`.
    pub name: Sym,
    /// When it last changed something, in seconds since the epoch.
    pub time: i64,
    /// Bit i is set where it owns the i-th of [`super::Projection::OWNED_PATHS`].
    pub paths: u8,
}

/// The label that marks the objects that Probity created.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`] on the objects that Probity created, and our field manager.
pub const MANAGER: &str = "probity";

/// Metadata of an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Meta {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: Sym,
    /// Name.
    pub name: Sym,
    /// Uid.
    pub uid: Uid,
    /// Resource version. Numeric on every built-in API server; comparable since 1.35.
    pub rv: u64,
    /// Creation, in seconds since the epoch: enough until 2106, and nothing is older than that.
    pub created: u32,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Labels.
    pub labels: Arc<Labels>,
    /// Those annotations that a control reads.
    pub annotations: Arc<Labels>,
    /// Owners and field managers.
    pub owners: Arc<Owners>,
}

impl Meta {
    /// Creation time.
    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_second(self.created.into()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether a workload controls it.
    pub fn is_part(&self) -> bool {
        let controller = self.owners.controller.as_deref();
        let kind = controller.and_then(|controller| controller.split('/').next());
        kind.is_some_and(super::kind::is_workload)
    }
}

/// Metadata on the wire. `F` is what to make of `managedFields`: they are half of an object's
/// bytes, so that kinds which we never write skip them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireMeta<'a, F = IgnoredAny> {
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    uid: Str<'a>,
    #[serde(borrow)]
    resource_version: Str<'a>,
    #[serde(borrow)]
    creation_timestamp: Option<Str<'a>>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow)]
    labels: Option<StrMap<'a>>,
    #[serde(borrow)]
    annotations: Option<StrMap<'a>>,
    #[serde(borrow)]
    owner_references: Option<Vec<WireOwner<'a>>>,
    #[serde(default = "Option::default")]
    managed_fields: Option<F>,
}

/// `managedFields` of kinds that Probity may write.
pub type ManagedFields<'a> = Vec<WireManager<'a>>;

/// One entry of `managedFields`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireManager<'a> {
    #[serde(borrow)]
    manager: Option<Str<'a>>,
    #[serde(borrow)]
    time: Option<Str<'a>>,
    #[serde(borrow)]
    subresource: Option<Str<'a>>,
    #[serde(borrow)]
    fields_v1: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOwner<'a> {
    #[serde(borrow)]
    api_version: Option<Str<'a>>,
    #[serde(borrow)]
    kind: Str<'a>,
    #[serde(borrow)]
    name: Str<'a>,
    controller: Option<bool>,
}

impl WireOwner<'_> {
    fn display(&self) -> String {
        let (kind, name) = (&*self.kind, &*self.name);
        let version = self.api_version.as_deref().unwrap_or_default();
        match version.split_once('/') {
            // Other projects reuse names such as StatefulSet; their groups have a dot.
            Some((group, _)) if group.contains('.') && super::kind::is_workload(kind) => {
                format!("{kind}.{group}/{name}")
            }
            _ => format!("{kind}/{name}"),
        }
    }
}

/// Makes the managers of an object out of `managedFields`.
pub trait Managers {
    /// Managers of the main resource with the watched paths that they own, oldest first.
    fn managers(self, paths: &[&[&str]], interner: &mut Interner) -> Box<[Manager]>;
}

impl Managers for IgnoredAny {
    fn managers(self, _: &[&[&str]], _: &mut Interner) -> Box<[Manager]> {
        Box::default()
    }
}

impl Managers for ManagedFields<'_> {
    fn managers(self, paths: &[&[&str]], interner: &mut Interner) -> Box<[Manager]> {
        let mut managers: Vec<Manager> = self
            .iter()
            .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
            .map(|entry| Manager {
                name: interner.string(entry.manager.as_deref().unwrap_or_default()),
                time: seconds(entry.time.as_deref()),
                paths: paths.iter().enumerate().fold(0, |bits, (i, path)| {
                    let owned = entry.fields_v1.is_some_and(|f| owns(f.get(), path));
                    bits | (u8::from(owned) << i)
                }),
            })
            .collect();
        managers.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
        managers.into()
    }
}

/// Whether a `fieldsV1` tree holds `path`, such as `["f:spec", "f:tls"]`.
fn owns(fields: &str, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    serde_json::from_str::<RawMap<'_>>(fields)
        .ok()
        .and_then(|map| map.0.into_iter().find(|(key, _)| key == first))
        .is_some_and(|(_, value)| owns(value.get(), rest))
}

struct RawMap<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = RawMap<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
                    pairs.push((key.0, value));
                }
                Ok(RawMap(pairs))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|text| text.parse::<Timestamp>().ok())
        .map_or(0, Timestamp::as_second)
}

impl<F: Managers> WireMeta<'_, F> {
    /// The projection of this metadata, or what is wrong with it.
    pub fn project(
        self,
        interner: &mut Interner,
        paths: &[&[&str]],
        keep_label: fn(&str) -> bool,
        keep_annotation: fn(&str) -> bool,
    ) -> Result<Meta, &'static str> {
        let owners = Owners {
            controller: self
                .owner_references
                .iter()
                .flatten()
                .find(|owner| owner.controller == Some(true))
                .map(|owner| interner.string(&owner.display())),
            tool: tool(self.labels.as_ref(), self.annotations.as_ref()),
            ours: value(self.labels.as_ref(), MANAGED_BY) == Some(MANAGER),
            managers: self
                .managed_fields
                .map(|fields| fields.managers(paths, interner))
                .unwrap_or_default(),
        };
        let labels = Labels::project(self.labels, interner, keep_label);
        let annotations = Labels::project(self.annotations, interner, keep_annotation);
        Ok(Meta {
            namespace: interner.string(self.namespace.as_deref().unwrap_or_default()),
            // Names are nearly unique: sharing them would only cost a look-up.
            name: Sym::from(&*self.name),
            uid: Uid::parse(&self.uid).ok_or("metadata.uid is not a UUID")?,
            rv: self
                .resource_version
                .parse()
                .map_err(|_| "metadata.resourceVersion is not a number")?,
            created: u32::try_from(seconds(self.creation_timestamp.as_deref()).max(0))
                .unwrap_or(u32::MAX),
            deleting: self.deletion_timestamp.is_some(),
            labels: interner.labels(labels),
            annotations: interner.labels(annotations),
            owners: interner.owners(owners),
        })
    }
}

fn value<'a>(map: Option<&'a StrMap<'_>>, key: &str) -> Option<&'a str> {
    let pair = map?.0.iter().find(|(k, _)| k == key)?;
    Some(&pair.1)
}

/// The tool whose tracking mark the object carries.
fn tool(labels: Option<&StrMap<'_>>, annotations: Option<&StrMap<'_>>) -> Option<&'static str> {
    if value(annotations, "argocd.argoproj.io/tracking-id").is_some()
        || value(labels, "argocd.argoproj.io/instance").is_some()
    {
        Some("Argo CD")
    } else if value(labels, "kustomize.toolkit.fluxcd.io/name").is_some()
        || value(labels, "helm.toolkit.fluxcd.io/name").is_some()
    {
        Some("Flux")
    } else if value(labels, MANAGED_BY) == Some("Helm") {
        Some("Helm")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(json: &str) -> Result<Meta, String> {
        let wire: WireMeta<'_, ManagedFields<'_>> =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        wire.project(
            &mut Interner::default(),
            &[&["f:spec", "f:tls"]],
            |_| true,
            |_| true,
        )
        .map_err(str::to_owned)
    }

    const UID: &str = "0f6f1a5e-3b1f-4a86-9d2c-6a0b6a4b9f10";

    #[test]
    fn uids_survive_the_round_trip() {
        assert_eq!(Uid::parse(UID).unwrap().to_string(), UID);
        assert_eq!(Uid::parse("not-a-uid"), None);
        assert_eq!(Uid::parse("0f6f1a5e3b1f4a869d2c6a0b6a4b9f10"), None);
    }

    #[test]
    fn null_maps_and_lists_are_empty() {
        let meta = decode(&format!(
            r#"{{"name":"a","uid":"{UID}","resourceVersion":"7","labels":null,"ownerReferences":null,"managedFields":null}}"#
        ))
        .unwrap();
        assert!(meta.labels.is_empty() && meta.owners.managers.is_empty());
    }

    #[test]
    fn a_manager_owns_only_the_paths_in_its_tree() {
        let meta = decode(&format!(
            r#"{{"name":"a","uid":"{UID}","resourceVersion":"7","managedFields":[
                {{"manager":"kubectl-edit","time":"2026-01-01T00:00:00Z","fieldsV1":{{"f:spec":{{"f:tls":{{}}}}}}}},
                {{"manager":"controller","subresource":"status","fieldsV1":{{"f:status":{{}}}}}},
                {{"manager":"other","time":"2025-01-01T00:00:00Z","fieldsV1":{{"f:spec":{{"f:rules":{{}}}}}}}}]}}"#
        ))
        .unwrap();
        let managers: Vec<_> = meta
            .owners
            .managers
            .iter()
            .map(|m| (&*m.name, m.paths))
            .collect();
        assert_eq!(managers, [("other", 0), ("kubectl-edit", 1)]);
    }

    #[test]
    fn tools_are_recognised_by_their_marks() {
        for (marks, tool) in [
            (
                r#""annotations":{"argocd.argoproj.io/tracking-id":"x"}"#,
                Some("Argo CD"),
            ),
            (
                r#""labels":{"kustomize.toolkit.fluxcd.io/name":"x"}"#,
                Some("Flux"),
            ),
            (
                r#""labels":{"app.kubernetes.io/managed-by":"Helm"}"#,
                Some("Helm"),
            ),
            (r#""labels":{"app":"x"}"#, None),
        ] {
            let json = format!(r#"{{"name":"a","uid":"{UID}","resourceVersion":"7",{marks}}}"#);
            assert_eq!(decode(&json).unwrap().owners.tool, tool);
        }
    }
}
