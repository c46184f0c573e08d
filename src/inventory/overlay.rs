//! What would be seen if the cluster were another one: looked at, and put back.

use std::any::Any;

use serde_json::Value;

use super::{
    Interner, Inventory, Kind, Object, Projection, Sym, Table, kind::with_table, table::Held,
};

impl Inventory {
    /// What `look` sees if these objects were there, each in place of what is there now. `Err` is a
    /// sentence about one that can't be decoded.
    pub fn overlaid<R>(
        &mut self,
        objects: &[(Kind, Value)],
        look: impl FnOnce(&Self) -> R,
    ) -> Result<R, String> {
        let mut saved = Vec::new();
        let mut laid = Ok(());
        for (kind, object) in objects {
            match self.lay(*kind, object.clone()) {
                Ok(old) => saved.push((*kind, old)),
                Err(error) => laid = laid.and(Err(error)),
            }
        }
        let seen = laid.map(|()| look(self));
        for (kind, old) in saved.into_iter().rev() {
            with_table!(self.tables, kind, table => restore(table, old));
        }
        seen
    }

    fn lay(&mut self, kind: Kind, mut object: Value) -> Result<Saved, String> {
        // A dry run of a creation has no version yet.
        if object["metadata"]["resourceVersion"]
            .as_str()
            .is_none_or(str::is_empty)
        {
            object["metadata"]["resourceVersion"] = "0".into();
        }
        let bytes = object.to_string();
        let interner = &mut self.interner;
        with_table!(self.tables, kind, table => lay_over(table, &bytes, interner))
    }

    /// What `look` sees if the object were gone.
    pub fn without<R>(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        look: impl FnOnce(&Self) -> R,
    ) -> R {
        let saved: Saved = with_table!(self.tables, kind, table => {
            let taken = table.take(namespace, name).map(|held| Box::new(held) as Box<dyn Any>);
            (namespace.into(), name.into(), taken)
        });
        let seen = look(self);
        with_table!(self.tables, kind, table => restore(table, saved));
        seen
    }
}

/// What lay where an object was laid over: its name, and the [`Held`] that was there.
type Saved = (Sym, Sym, Option<Box<dyn Any>>);

fn lay_over<P: Projection + 'static>(
    table: &mut Table<P>,
    object: &str,
    interner: &mut Interner,
) -> Result<Saved, String> {
    let wire: P::Wire<'_> = serde_json::from_str(object).map_err(|error| error.to_string())?;
    let (meta, spec) = P::project(wire, interner)?;
    let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
    let old = table.take(&namespace, &name);
    table.put(Box::new(Object { meta, spec }));
    Ok((
        namespace,
        name,
        old.map(|held| Box::new(held) as Box<dyn Any>),
    ))
}

fn restore<P: Projection + 'static>(table: &mut Table<P>, (namespace, name, old): Saved) {
    table.take(&namespace, &name);
    match old
        .and_then(|held| held.downcast::<Held<P>>().ok())
        .map(|held| *held)
    {
        Some(Held::Whole(object)) => drop(table.put(object)),
        Some(Held::Broken(broken)) => table.put_broken(namespace, name, broken),
        None => {}
    }
}
