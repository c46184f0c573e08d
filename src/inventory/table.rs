//! Objects of one kind, ordered by namespace and name.
//!
//! One ordered set of boxed rows serves as store, index by namespace and iteration order at once:
//! it costs about twelve bytes an object beyond the object itself, and equal inputs are visited
//! in equal order.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::{Projection, intern::Sym, meta::Meta};

/// An object: metadata and the fields that controls read.
#[derive(Debug, PartialEq, Eq)]
pub struct Object<P> {
    /// Metadata.
    pub meta: Meta,
    /// The fields that controls read.
    pub spec: P,
}

/// An object that could not be decoded. It stays a subject, with the verdict `Unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What is wrong with it.
    pub reason: String,
}

/// What a table holds under a name.
#[derive(Debug)]
pub enum Held<P> {
    /// An object.
    Whole(Box<Object<P>>),
    /// One that could not be decoded.
    Broken(Broken),
}

/// Namespace and name.
pub type Name<'a> = (&'a str, &'a str);

#[derive(Debug)]
struct Row<P>(Box<Object<P>>);

trait Named {
    fn named(&self) -> Name<'_>;
}

impl<P> Named for Row<P> {
    fn named(&self) -> Name<'_> {
        (&self.0.meta.namespace, &self.0.meta.name)
    }
}

impl Named for Name<'_> {
    fn named(&self) -> Name<'_> {
        *self
    }
}

impl<'a, P: 'a> Borrow<dyn Named + 'a> for Row<P> {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.named() == other.named()
    }
}

impl Eq for dyn Named + '_ {}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.named(), other.named())
    }
}

impl<P> PartialEq for Row<P> {
    fn eq(&self, other: &Self) -> bool {
        self.named() == other.named()
    }
}

impl<P> Eq for Row<P> {}

impl<P> PartialOrd for Row<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Row<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.named(), other.named())
    }
}

/// Objects of one namespace share its name: mostly its address tells that they do.
fn compare((namespace, name): Name<'_>, (other_namespace, other): Name<'_>) -> Ordering {
    let namespaces = if std::ptr::eq(namespace, other_namespace) {
        Ordering::Equal
    } else {
        namespace.cmp(other_namespace)
    };
    namespaces.then_with(|| name.cmp(other))
}

/// All objects of one kind.
#[derive(Debug)]
pub struct Table<P> {
    rows: BTreeSet<Row<P>>,
    broken: BTreeMap<(Sym, Sym), Broken>,
    /// Of kinds that workloads make: the few that none of them controls.
    loose: BTreeSet<(Sym, Sym)>,
}

impl<P> Default for Table<P> {
    fn default() -> Self {
        Self {
            rows: BTreeSet::new(),
            broken: BTreeMap::new(),
            loose: BTreeSet::new(),
        }
    }
}

impl<P> Table<P> {
    /// The object with this namespace (empty where cluster-scoped) and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Object<P>> {
        let key: Name<'_> = (namespace, name);
        self.rows.get(&key as &dyn Named).map(|row| &*row.0)
    }

    /// All objects, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Object<P>> {
        self.rows.iter().map(|row| &*row.0)
    }

    /// The objects of one namespace, by name.
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Object<P>> {
        let start: Name<'a> = (namespace, "");
        self.rows
            .range::<dyn Named, _>((Bound::Included(&start as &dyn Named), Bound::Unbounded))
            .map(|row| &*row.0)
            .take_while(move |object| &*object.meta.namespace == namespace)
    }

    /// Calls `found` with the objects of one namespace, or with all where it is `None`.
    pub fn within<'a>(&'a self, namespace: Option<&'a str>, found: impl FnMut(&'a Object<P>)) {
        match namespace {
            Some(namespace) => self.in_namespace(namespace).for_each(found),
            None => self.iter().for_each(found),
        }
    }

    /// Of a kind that workloads make, the objects that none of them controls: those of one
    /// namespace, or all where it is `None`.
    pub fn loose(&self, namespace: Option<&str>) -> impl Iterator<Item = &Object<P>> {
        let within = namespace.map(Sym::from);
        let first = (within.clone().unwrap_or_default(), Sym::default());
        let names = self.loose.range(first..);
        let names = names.take_while(move |(home, _)| within.as_ref().is_none_or(|w| w == home));
        names.filter_map(|(namespace, name)| self.get(namespace, name))
    }

    /// Objects that could not be decoded.
    pub fn broken(&self) -> impl Iterator<Item = (Name<'_>, &Broken)> {
        self.broken
            .iter()
            .map(|((ns, name), b)| ((&**ns, &**name), b))
    }

    /// Why this object could not be decoded, if so.
    pub fn broken_at(&self, namespace: &str, name: &str) -> Option<&Broken> {
        // Nearly always empty: two strings are allocated only where something is broken.
        (!self.broken.is_empty())
            .then(|| self.broken.get(&(Sym::from(namespace), Sym::from(name))))
            .flatten()
    }

    /// Objects held, broken ones included.
    pub fn len(&self) -> usize {
        self.rows.len() + self.broken.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of all objects, broken ones included.
    pub fn names(&self) -> Vec<(Sym, Sym)> {
        let whole = self
            .iter()
            .map(|o| (o.meta.namespace.clone(), o.meta.name.clone()));
        whole.chain(self.broken.keys().cloned()).collect()
    }
}

impl<P: Projection> Table<P> {
    /// Puts an object in and returns what it replaces.
    pub fn put(&mut self, object: Box<Object<P>>) -> Option<Box<Object<P>>> {
        if !self.broken.is_empty() {
            self.broken
                .remove(&(object.meta.namespace.clone(), object.meta.name.clone()));
        }
        if P::MADE && !object.meta.is_part() {
            let name = (object.meta.namespace.clone(), object.meta.name.clone());
            self.loose.insert(name);
        } else {
            self.unlist(&object.meta);
        }
        self.rows.replace(Row(object)).map(|row| row.0)
    }

    /// Notes that an object can't be decoded; what was known of it is dropped.
    pub fn put_broken(&mut self, namespace: Sym, name: Sym, broken: Broken) {
        self.take(&namespace, &name);
        self.broken.insert((namespace, name), broken);
    }

    /// Takes an object out.
    pub fn take(&mut self, namespace: &str, name: &str) -> Option<Held<P>> {
        let key: Name<'_> = (namespace, name);
        if let Some(row) = self.rows.take(&key as &dyn Named) {
            self.unlist(&row.0.meta);
            return Some(Held::Whole(row.0));
        }
        if self.broken.is_empty() {
            return None;
        }
        let key = (Sym::from(namespace), Sym::from(name));
        self.broken.remove(&key).map(Held::Broken)
    }

    fn unlist(&mut self, meta: &Meta) {
        if !self.loose.is_empty() {
            let name = (meta.namespace.clone(), meta.name.clone());
            self.loose.remove(&name);
        }
    }
}
