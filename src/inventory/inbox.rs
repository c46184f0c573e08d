//! From what the server sends to the tables: lines of watches and pages of lists, decoded.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Broken, Change, Effect, Interner, Kind, Meta, Object, Projection, Sym, Table, Unreadable,
    meta::Str, removed,
};

/// An event of a watch.
#[derive(Deserialize)]
struct Envelope<'a, T> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    object: T,
}

/// Just enough of an object to name it.
#[derive(Deserialize)]
struct NameOnly<'a> {
    #[serde(borrow)]
    metadata: NameMeta<'a>,
}

#[derive(Deserialize)]
struct NameMeta<'a> {
    #[serde(borrow)]
    name: Str<'a>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct ListOf<T> {
    items: Option<Vec<T>>,
}

/// Where decoded objects of one kind go.
pub(super) struct Inbox<'a> {
    pub(super) kind: Kind,
    pub(super) interner: &'a mut Interner,
    /// Names that the list which is under way has shown.
    pub(super) seen: Option<&'a mut BTreeSet<(Sym, Sym)>>,
    /// What it came to.
    pub(super) changes: Vec<Change>,
}

impl Inbox<'_> {
    /// Takes in one page of a list.
    pub(super) fn page<P: Projection>(
        &mut self,
        table: &mut Table<P>,
        page: &[u8],
    ) -> Result<(), Unreadable> {
        // One bad item fails the page as a whole: only then is it taken apart item by item.
        // Doing the good ones twice is harmless, the second time changes nothing.
        if let Ok(list) = serde_json::from_slice::<ListOf<P::Wire<'_>>>(page) {
            let mut items = list.items.into_iter().flatten();
            if items.all(|wire| self.put(table, wire).is_ok()) {
                return Ok(());
            }
        }
        let list: ListOf<&RawValue> =
            serde_json::from_slice(page).map_err(|error| self.unreadable(&error))?;
        for item in list.items.into_iter().flatten() {
            self.put_raw(table, item.get().as_bytes())?;
        }
        Ok(())
    }

    /// Takes in one line of a watch.
    pub(super) fn line<P: Projection>(
        &mut self,
        table: &mut Table<P>,
        line: &[u8],
    ) -> Result<(), Unreadable> {
        let envelope: Result<Envelope<'_, P::Wire<'_>>, _> = serde_json::from_slice(line);
        if let Ok(Envelope { kind, object }) = envelope
            && matches!(&*kind, "ADDED" | "MODIFIED")
            && self.put(table, object).is_ok()
        {
            return Ok(());
        }
        let envelope: Envelope<'_, &RawValue> =
            serde_json::from_slice(line).map_err(|error| self.unreadable(&error))?;
        let object = envelope.object.get().as_bytes();
        match &*envelope.kind {
            "ADDED" | "MODIFIED" => self.put_raw(table, object),
            "DELETED" => {
                let (namespace, name) = self.name(object)?;
                if table.take(&namespace, &name).is_some() {
                    self.changes.push(removed(self.kind, namespace, name));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts an object in; notes it as broken where it can't be decoded.
    fn put_raw<P: Projection>(
        &mut self,
        table: &mut Table<P>,
        object: &[u8],
    ) -> Result<(), Unreadable> {
        let put = match serde_json::from_slice::<P::Wire<'_>>(object) {
            Ok(wire) => self.put(table, wire).map_err(str::to_owned),
            Err(error) => Err(error.to_string()),
        };
        let Err(reason) = put else { return Ok(()) };
        let (namespace, name) = self.name(object)?;
        let known = table.broken_at(&namespace, &name);
        if known.is_none_or(|broken| broken.reason != reason) {
            let effect = match known {
                None if table.get(&namespace, &name).is_none() => Effect::Added,
                _ => Effect::Modified,
            };
            table.put_broken(namespace.clone(), name.clone(), Broken { reason });
            self.changes.push(Change {
                effect,
                ..removed(self.kind, namespace.clone(), name.clone())
            });
        }
        self.note(namespace, name);
        Ok(())
    }

    fn put<P: Projection>(
        &mut self,
        table: &mut Table<P>,
        wire: P::Wire<'_>,
    ) -> Result<(), &'static str> {
        let (meta, spec) = P::project(wire, self.interner)?;
        let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
        let was_broken = table.broken_at(&namespace, &name).is_some();
        let object = Box::new(Object { meta, spec });
        // A watch may replay: an older version never replaces a newer one of the same object.
        let known = table.get(&namespace, &name);
        if known.is_none_or(|k| k.meta.uid != object.meta.uid || k.meta.rv <= object.meta.rv) {
            let mut change = removed(self.kind, namespace.clone(), name.clone());
            change.manager = object.meta.owners.managers.last().map(|m| m.name.clone());
            let same = known.is_some_and(|known| equal(known, &object));
            change.effect = if known.is_some() || was_broken {
                Effect::Modified
            } else {
                Effect::Added
            };
            table.put(object);
            if !same {
                self.changes.push(change);
            }
        }
        self.note(namespace, name);
        Ok(())
    }

    fn note(&mut self, namespace: Sym, name: Sym) {
        if let Some(seen) = &mut self.seen {
            seen.insert((namespace, name));
        }
    }

    fn name(&mut self, object: &[u8]) -> Result<(Sym, Sym), Unreadable> {
        let named: NameOnly<'_> =
            serde_json::from_slice(object).map_err(|error| self.unreadable(&error))?;
        let namespace = named.metadata.namespace.unwrap_or_default();
        Ok((
            self.interner.string(&namespace),
            Sym::from(&*named.metadata.name),
        ))
    }

    fn unreadable(&self, error: &serde_json::Error) -> Unreadable {
        Unreadable {
            kind: self.kind,
            reason: error.to_string(),
            taken: Vec::new(),
        }
    }
}

/// Whether two versions of an object look alike to every control: the fingerprint gate that
/// keeps status churn from evaluating anything.
fn equal<P: Projection>(a: &Object<P>, b: &Object<P>) -> bool {
    let Meta {
        namespace,
        name,
        uid,
        rv: _,
        created,
        deleting,
        labels,
        annotations,
        owners,
    } = &a.meta;
    a.spec == b.spec
        && *namespace == b.meta.namespace
        && *name == b.meta.name
        && *uid == b.meta.uid
        && *created == b.meta.created
        && *deleting == b.meta.deleting
        && *labels == b.meta.labels
        && *annotations == b.meta.annotations
        && *owners == b.meta.owners
}
