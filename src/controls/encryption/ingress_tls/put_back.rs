//! What is recorded of an Ingress that passes, and how it is put back.

use serde_json::{Map, Value, json};

use super::{class, covers};
use crate::{
    controls::{Kept, Remedy, Target},
    inventory::{Kind, Object, Projection, ingress::Ingress, meta::Meta},
};

/// What to record: the TLS blocks, and every annotation that decides about plain HTTP.
pub(super) fn keep(object: &Object<Ingress>, controller: class::Controller) -> Kept {
    let annotations = class::redirect_keys(controller).iter();
    let annotations: Map<String, Value> = annotations
        .filter_map(|key| Some(((*key).to_owned(), object.meta.annotations.get(key)?.into())))
        .collect();
    Kept {
        uid: object.meta.uid,
        value: json!({ "tls": blocks(&object.spec), "annotations": annotations }),
        owners: std::sync::Arc::clone(&object.meta.owners),
    }
}

/// Puts TLS blocks back that are gone or lost their Secret.
pub(super) fn tls(object: &Object<Ingress>, kept: &Kept) -> Option<Remedy> {
    let known = kept.value["tls"].as_array()?;
    let now = blocks(&object.spec);
    let mut merged = now.clone();
    for block in known {
        put_block(&mut merged, block, &object.spec);
    }
    (merged != now).then(|| Remedy::PutBack {
        target: target(&object.meta),
        patch: json!({ "spec": { "tls": merged } }),
        path: 0,
    })
}

/// Puts the first annotation back that decides about plain HTTP and is different. One at a time:
/// each is a field with an owner of its own.
pub(super) fn redirect(
    object: &Object<Ingress>,
    controller: class::Controller,
    kept: &Kept,
) -> Option<Remedy> {
    class::redirect_keys(controller).iter().find_map(|key| {
        let wanted = kept.value["annotations"][*key].as_str();
        if wanted == object.meta.annotations.get(key) {
            return None;
        }
        let is_it = |path: &&[&str]| {
            let field = path.last().and_then(|field| field.strip_prefix("f:"));
            field == Some(key)
        };
        Some(Remedy::PutBack {
            target: target(&object.meta),
            patch: json!({ "metadata": { "annotations": { *key: wanted } } }),
            path: Ingress::OWNED_PATHS.iter().position(is_it)?,
        })
    })
}

fn target(meta: &Meta) -> Target {
    Target {
        kind: Kind::Ingress,
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
    }
}

/// The TLS blocks as the API has them.
pub(super) fn blocks(ingress: &Ingress) -> Vec<Value> {
    let blocks = ingress.tls.iter();
    blocks
        .map(|tls| {
            let mut block = Map::new();
            if !tls.hosts.is_empty() {
                let hosts: Value = tls.hosts.iter().map(|host| &**host).collect();
                block.insert("hosts".to_owned(), hosts);
            }
            if let Some(secret) = &tls.secret {
                block.insert("secretName".to_owned(), json!(**secret));
            }
            Value::Object(block)
        })
        .collect()
}

/// Merges one recorded block in, host by host: what a newer block serves from a Secret stays as
/// it is, and hosts that no rule serves any more stay away.
fn put_block(merged: &mut Vec<Value>, block: &Value, ingress: &Ingress) {
    if merged.contains(block) {
        return;
    }
    let hosts: Vec<&str> = hosts(block).collect();
    if hosts.is_empty() {
        let newer = |b: &Value| has_secret(b) && self::hosts(b).next().is_none();
        if !merged.iter().any(newer) {
            merged.push(block.clone());
        }
        return;
    }
    let served = |host: &str| ingress.hosts.iter().any(|rule| covers(host, rule));
    let taken = |merged: &[Value], host: &str| {
        let mut blocks = merged
            .iter()
            .filter(|b| has_secret(b) || !has_secret(block));
        blocks.any(|b| self::hosts(b).any(|named| covers(named, host)))
    };
    let missing: Vec<&str> = hosts
        .into_iter()
        .filter(|host| served(host) && !taken(merged, host))
        .collect();
    if missing.is_empty() {
        return;
    }
    // A block that lost its Secret would come first, and win.
    merged.retain_mut(|b| has_secret(b) || !without(b, &missing));
    let mut back = block.clone();
    back["hosts"] = json!(missing);
    merged.push(back);
}

/// Takes hosts out of a block; whether that leaves a block that named hosts without any.
fn without(block: &mut Value, gone: &[&str]) -> bool {
    let Some(hosts) = block.get_mut("hosts").and_then(Value::as_array_mut) else {
        return false;
    };
    hosts.retain(|host| host.as_str().is_none_or(|host| !gone.contains(&host)));
    hosts.is_empty()
}

fn has_secret(block: &Value) -> bool {
    block.get("secretName").is_some()
}

fn hosts(block: &Value) -> impl Iterator<Item = &str> {
    let hosts = block.get("hosts").and_then(Value::as_array);
    hosts.into_iter().flatten().filter_map(Value::as_str)
}
