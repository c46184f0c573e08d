//! Istio: the effective mode of a workload, and what is put back of it.

use serde_json::{Map, Value, json};

use super::{PodTraffic, all_in, made_anew};
use crate::{
    analysis::{
        exposure,
        meshed::{ISTIO_INJECT, Pods},
    },
    controls::{prelude::*, restricted::command, workloads::Held},
    inventory::mesh::{MtlsMode, PeerAuthentication, asks_istio},
    words::part_of,
};

/// The label of pods, or of a namespace, that says how Istio carries their traffic.
const DATAPLANE: &str = "istio.io/dataplane-mode";

/// The mode that counts for a workload, and who decided it.
struct Effective<'a> {
    mode: MtlsMode,
    ports: &'a [(u16, MtlsMode)],
    decided_by: Option<&'a Object<PeerAuthentication>>,
    ports_by: Option<&'a Object<PeerAuthentication>>,
    /// The one for the whole namespace of the workload, whether it sets a mode or not.
    of_namespace: Option<&'a Object<PeerAuthentication>>,
}

/// The verdict on a workload that is in Istio's mesh, or should be; `None` where it is not.
pub(super) fn judge(
    control: &PodTraffic,
    context: &Context<'_>,
    held: &Held<'_>,
    pods: Pods,
) -> Option<Verdict> {
    let namespace = &held.meta.namespace;
    let inside = all_in(pods, pods.istio + pods.ambient, asked(context, held))?;
    if !inside {
        let outside = pods.all - pods.istio - pods.ambient;
        let message = format!(
            "{} without Istio's proxy",
            part_of(outside, pods.all, "pod", "runs", "run")
        );
        let mend = format!(
            "pods that were there before the namespace was labelled have no proxy; {}",
            made_anew(held)
        );
        return Some(Verdict::fail(Strength::Effective, "PodsOutsideMesh", message).propose(mend));
    }
    let effective = effective(context.inventory, &control.istio_root_namespace, held);
    if let Some(weak) = weak(&effective) {
        let verdict = Verdict::fail(Strength::Effective, "IstioNotStrict", weak);
        if let Some(remedy) = put_back(context, control, namespace) {
            return Some(verdict.remedy(remedy));
        }
        let root = &*control.istio_root_namespace;
        let mend = strict(context.inventory, &effective, namespace, root);
        return Some(verdict.propose(mend));
    }
    if let Some(rule) = without_tls(context, held) {
        let (namespace, name) = (&rule.namespace, &rule.name);
        let message =
            format!("DestinationRule {namespace}/{name} has clients talk to it without TLS");
        return Some(
            Verdict::fail(Strength::Effective, "DestinationRuleDisablesTls", message).propose(
                format!(
                    "write ISTIO_MUTUAL in place of tls.mode DISABLE: {}",
                    command::edit(Kind::DestinationRule, namespace, name)
                ),
            ),
        );
    }
    let message = "Istio takes encrypted connections only, on every port";
    let verdict = Verdict::pass(Strength::Effective, "IstioStrict", message);
    Some(match effective.decided_by {
        Some(object) => verdict.keeping(keep(object)),
        None => verdict,
    })
}

/// Whether labels, or the annotation of the template, ask for a proxy of Istio.
fn asked(context: &Context<'_>, held: &Held<'_>) -> bool {
    let namespace = context
        .inventory
        .meta(Kind::Namespace, "", &held.meta.namespace);
    let of_namespace = |key: &str| namespace.and_then(|meta| meta.labels.get(key));
    let of_pod = |key: &str| held.template.labels.get(key);
    let ambient = of_namespace(DATAPLANE) == Some("ambient");
    match of_pod(DATAPLANE) {
        Some("ambient") => return true,
        mode if ambient && mode != Some("none") => return true,
        _ => {}
    }
    // The injector hears of pods of a namespace that is labelled for it, and where that says
    // nothing of those whose own label says true: one that is `disabled` it leaves alone.
    let label = of_pod(ISTIO_INJECT);
    let told = match of_namespace("istio-injection") {
        Some(injection) => injection == "enabled",
        None => of_namespace("istio.io/rev").is_some() || label == Some("true"),
    };
    let says = label.map_or(held.template.istio, asks_istio);
    told && says != Some(false)
}

/// What counts for a workload: its own policy before that of its namespace before that of the
/// mesh. Of several at one level the oldest counts; a selector in the root namespace counts for
/// nothing.
fn effective<'a>(inventory: &'a Inventory, root: &'a str, held: &Held<'a>) -> Effective<'a> {
    let namespace = &*held.meta.namespace;
    let table = &inventory.tables.peer_authentications;
    let oldest = |of: &'a str, own: bool| {
        let matching = table
            .in_namespace(of)
            .filter(|object| match &object.spec.selector {
                None => !own,
                Some(labels) => {
                    let mut pairs = labels.iter();
                    own && pairs.all(|(key, value)| held.template.labels.get(key) == Some(value))
                }
            });
        matching.min_by_key(|object| (object.meta.created, object.meta.name.clone()))
    };
    let own = oldest(namespace, true).filter(|_| namespace != root);
    let of_namespace = oldest(namespace, false);
    let levels = [own, of_namespace, oldest(root, false)];
    let decided_by = levels
        .into_iter()
        .flatten()
        .find(|o| o.spec.mode != MtlsMode::Unset);
    Effective {
        mode: decided_by.map_or(MtlsMode::Permissive, |object| object.spec.mode),
        ports: own.map_or(&[], |object| &object.spec.ports),
        decided_by: decided_by.or(own),
        ports_by: own,
        of_namespace,
    }
}

/// What is weaker than STRICT, in words.
fn weak(effective: &Effective<'_>) -> Option<String> {
    let name = |object: Option<&Object<PeerAuthentication>>| match object {
        Some(object) => {
            let meta = &object.meta;
            format!("PeerAuthentication {}/{}", meta.namespace, meta.name)
        }
        None => "nothing".to_owned(),
    };
    let mut ports = effective.ports.iter();
    let weak = ports.find(|(_, mode)| is_weak(*mode));
    if let Some((port, mode)) = weak {
        let who = name(effective.ports_by);
        return Some(format!("{who} sets {} for port {port}", mode.as_str()));
    }
    match effective.mode {
        MtlsMode::Strict => None,
        MtlsMode::Permissive | MtlsMode::Unset if effective.decided_by.is_none() => {
            Some("no PeerAuthentication sets a mode, which is PERMISSIVE".to_owned())
        }
        mode => Some(format!(
            "{} sets {}",
            name(effective.decided_by),
            mode.as_str()
        )),
    }
}

/// The command that makes the policy strict that is not, or creates one in the namespace of the
/// workload where none is there, and whose clients have to be in the mesh before.
fn strict(inventory: &Inventory, effective: &Effective<'_>, namespace: &Sym, root: &str) -> String {
    let mode = json!({ "mode": MtlsMode::Strict.as_str() });
    let port = effective.ports.iter().find(|(_, mode)| is_weak(*mode));
    // One of another namespace counts for workloads that nobody speaks of here.
    let decided_by = effective.decided_by;
    let here = decided_by.filter(|object| object.meta.namespace == *namespace);
    // Those that set no mode yet: beside an older one a new one counts for nothing.
    let here = here.or(effective.ports_by).or(effective.of_namespace);
    let (object, command) = match (port, effective.ports_by, here) {
        (Some((port, _)), Some(object), _) => {
            let ports: Map<String, Value> = [(port.to_string(), mode)].into_iter().collect();
            (
                Some(object),
                set(object, &json!({ "portLevelMtls": ports })),
            )
        }
        (_, _, Some(object)) => (Some(object), set(object, &json!({ "mtls": mode }))),
        _ => (None, create(inventory, namespace)),
    };
    let whom = match object {
        _ if **namespace == *root => {
            "all workloads of the mesh, for which its root namespace decides,".to_owned()
        }
        Some(object) if object.spec.selector.is_some() => "the workload".to_owned(),
        _ => format!("all workloads of namespace {namespace}"),
    };
    format!("once all clients of {whom} are in the mesh: {command}")
}

fn set(object: &Object<PeerAuthentication>, spec: &Value) -> String {
    let Meta {
        namespace, name, ..
    } = &object.meta;
    command::set(
        Kind::PeerAuthentication,
        namespace,
        name,
        &json!({ "spec": spec }),
    )
}

/// Creates a strict policy for a namespace, under a name that no other has.
fn create(inventory: &Inventory, namespace: &str) -> String {
    let table = &inventory.tables.peer_authentications;
    let mut names = ["default", "strict"].into_iter();
    let free = names.find(|name| table.get(namespace, name).is_none());
    command::apply(&json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": { "name": free.unwrap_or("strict-mtls"), "namespace": namespace },
        "spec": { "mtls": { "mode": MtlsMode::Strict.as_str() } },
    }))
}

/// Whether a port takes what is not proven: one that is not set is as the rest.
const fn is_weak(mode: MtlsMode) -> bool {
    !matches!(mode, MtlsMode::Strict | MtlsMode::Unset)
}

/// A rule that has clients of the workload talk to it in the clear.
fn without_tls<'a>(context: &Context<'a>, held: &Held<'_>) -> Option<&'a Meta> {
    let inventory = context.inventory;
    let rules = &inventory.tables.destination_rules;
    let mut plain = rules
        .iter()
        .filter(|rule| rule.spec.disables_tls)
        .peekable();
    plain.peek()?;
    let namespace = &*held.meta.namespace;
    let services = exposure::services(inventory, namespace, held.template);
    let names: Vec<String> = services
        .map(|service| format!("{}.{namespace}.svc.cluster.local", service.meta.name))
        .collect();
    let of = plain.find(|rule| {
        let host = host(&rule.spec.host, &rule.meta.namespace);
        names.iter().any(|name| match host.strip_prefix('*') {
            Some(suffix) => name.ends_with(suffix),
            None => *name == host,
        })
    });
    of.map(|rule| &rule.meta)
}

/// The full name of a host: short ones are those of the rule's own namespace.
fn host(written: &str, namespace: &str) -> String {
    let dots = written.matches('.').count();
    if written.starts_with('*') || dots >= 3 {
        written.to_owned()
    } else if dots == 0 {
        format!("{written}.{namespace}.svc.cluster.local")
    } else if dots == 1 {
        format!("{written}.svc.cluster.local")
    } else {
        format!("{written}.cluster.local")
    }
}

fn ports(object: &PeerAuthentication) -> Value {
    let ports = object.ports.iter();
    let ports: Map<String, Value> = ports
        .map(|(port, mode)| (port.to_string(), json!({ "mode": mode.as_str() })))
        .collect();
    Value::Object(ports)
}

/// What to record of the policy that makes a workload pass.
fn keep(object: &Object<PeerAuthentication>) -> Kept {
    let meta = &object.meta;
    Kept {
        uid: meta.uid,
        value: json!({
            "namespace": *meta.namespace, "name": *meta.name,
            "mode": object.spec.mode.as_str(), "ports": ports(&object.spec),
        }),
        owners: std::sync::Arc::clone(&meta.owners),
    }
}

/// Sets the policy back that made the workload pass, if it is still there and was weakened.
fn put_back(context: &Context<'_>, control: &PodTraffic, namespace: &Sym) -> Option<Remedy> {
    let kept = context.kept?;
    let value = &kept.value;
    let (of, name) = (value["namespace"].as_str()?, value["name"].as_str()?);
    if of != &**namespace && of != control.istio_root_namespace {
        return None;
    }
    let object = context
        .inventory
        .tables
        .peer_authentications
        .get(of, name)?;
    if object.meta.uid != kept.uid || object.meta.deleting {
        return None;
    }
    let mut spec = Map::new();
    let mode = value["mode"].as_str()?;
    let mut path = 0;
    if ports(&object.spec) != value["ports"] {
        let mut back = value["ports"].as_object()?.clone();
        for (port, _) in &object.spec.ports {
            back.entry(port.to_string()).or_insert(Value::Null);
        }
        spec.insert("portLevelMtls".to_owned(), Value::Object(back));
        path = 1;
    }
    if object.spec.mode.as_str() != mode {
        spec.insert("mtls".to_owned(), json!({ "mode": mode }));
        path = 0;
    }
    (!spec.is_empty()).then(|| Remedy::PutBack {
        target: Target {
            kind: Kind::PeerAuthentication,
            namespace: object.meta.namespace.clone(),
            name: object.meta.name.clone(),
        },
        patch: json!({ "spec": spec }),
        path,
    })
}
