//! `probity crds`: print the `CustomResourceDefinition`s.

use super::Failure;

/// Prints them as YAML documents.
pub(super) fn run() -> Result<(), Failure> {
    let crds = crate::api::crds().map_err(|error| error.to_string())?;
    for (_, yaml) in crds {
        println!("---\n{yaml}");
    }
    Ok(())
}
