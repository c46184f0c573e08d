//! Where backups lie, and whether they can be reached there.

use jiff::Timestamp;

use super::Recovery;
use crate::{
    controls::Subject,
    inventory::{
        Inventory, Kind, Object, Sym,
        velero::{BackupSpec, Location, Schedule},
    },
};

/// What of a location matters to the claims that are backed up there.
pub(super) fn in_short(location: &Location) -> Sym {
    let phase = location.phase.as_deref().unwrap_or_default();
    format!("{phase} {} {}", location.read_only, location.default).into()
}

/// The location of Velero's backups in `namespace` that say this about it; `Err` is why there is
/// none.
pub fn of<'a>(
    inventory: &'a Inventory,
    namespace: &str,
    named: Option<&str>,
) -> Result<&'a Object<Location>, String> {
    let locations = &inventory.tables.velero_locations;
    let name = named.map_or_else(|| default(inventory, namespace), Into::into);
    locations
        .get(namespace, &name)
        .ok_or_else(|| format!("there is no BackupStorageLocation {namespace}/{name}"))
}

/// The location that is taken where none is named: what the server's flag says, else the first
/// that is marked, else `default`.
fn default(inventory: &Inventory, namespace: &str) -> Sym {
    let locations = inventory.tables.velero_locations.in_namespace(namespace);
    let marked = locations
        .filter(|location| location.spec.default)
        .map(|location| location.meta.name.clone());
    let server = super::server(inventory, namespace);
    let flag = server.and_then(super::Server::location);
    marked
        .chain(flag.map(Into::into))
        .next()
        .unwrap_or_else(|| "default".into())
}

/// Whether a Backup that lies there can be restored; `Err` is why not.
pub fn readable(inventory: &Inventory, namespace: &str, spec: &BackupSpec) -> Result<(), String> {
    // Velero writes the location down when it takes a backup on.
    let Some(name) = spec.location.as_deref() else {
        return Ok(());
    };
    let location = of(inventory, namespace, Some(name))?;
    match location.spec.phase.as_deref() {
        Some("Unavailable") => Err(format!("location {namespace}/{name} is unavailable")),
        _ => Ok(()),
    }
}

/// Whether new backups can be written there; `Err` is why not.
pub fn writable(location: &Object<Location>) -> Result<(), String> {
    let (meta, spec) = (&location.meta, &location.spec);
    let at = format!("location {}/{}", meta.namespace, meta.name);
    if spec.read_only {
        return Err(format!("{at} is read-only"));
    }
    match spec.phase.as_deref() {
        Some("Available") => Ok(()),
        Some(phase) => Err(format!("{at} is {}", phase.to_lowercase())),
        None => Err(format!("{at} was never found available")),
    }
}

/// Why backups are, or may be, written to a location: an active schedule's, the default, or what
/// lies there. `None` where it is not in use.
pub fn in_use(
    inventory: &Inventory,
    recovery: &Recovery,
    now: Timestamp,
    location: &Object<Location>,
) -> Option<Use> {
    let meta = &location.meta;
    let schedules = inventory
        .tables
        .velero_schedules
        .in_namespace(&meta.namespace);
    let writes = |schedule: &&Object<Schedule>| {
        let named = schedule.spec.template.location.as_deref();
        let name = named.map_or_else(|| default(inventory, &meta.namespace), Into::into);
        let subject = Subject::of(Kind::VeleroSchedule, &schedule.meta);
        name == meta.name && recovery.is_active(&subject).is_ok()
    };
    if { schedules }.any(|schedule| writes(&schedule)) {
        return Some(Use::Written);
    }
    let is_default = *default(inventory, &meta.namespace) == *meta.name;
    (is_default || recovery.is_filled(inventory, now, meta)).then_some(Use::Held)
}

/// What a location is in use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// An active schedule writes to it.
    Written,
    /// It is the default, or holds backups.
    Held,
}
