//! `probity controls`: list the controls, or explain one.

use clap::Args;

use super::Failure;
use crate::controls::{Info, REGISTRY, registry};

/// Arguments of `probity controls`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Id of the control to explain.
    id: Option<String>,
}

/// Prints the list, or one control.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Some(id) = &arguments.id else {
        for Info {
            id,
            family,
            severity,
            title,
            ..
        } in REGISTRY.iter().map(|r| r.info)
        {
            println!("{id:<42} {:<11} {severity:<9} {title}", family.as_str());
        }
        return Ok(());
    };
    let Some(registered) = registry::find(id) else {
        return Err(format!(
            "there is no control {id}; `probity controls` lists them"
        ));
    };
    let info = registered.info;
    println!("{} ({})\n{}\n", info.id, info.field, info.title);
    println!("Family    {}", info.family.as_str());
    println!("Severity  {}", info.severity);
    println!("Criteria  {}\n", info.criteria.join(", "));
    for (heading, text) in [
        ("What it checks", info.what),
        ("Why", info.why),
        ("What Enforce does", info.fix),
        ("Limits", info.limits),
    ] {
        println!("{heading}:\n  {text}\n");
    }
    Ok(())
}
