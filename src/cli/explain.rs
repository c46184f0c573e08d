//! `probity explain`: what a control checks, why, and what to do about it.

use clap::Args;

use super::Failure;
use crate::{controls::registry, generate};

/// Arguments of `probity explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Id of the control, such as `net-namespace-default-deny`.
    control: String,
}

/// Prints what its page in `docs/controls` says.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let id = &arguments.control;
    let info = registry::find(id)
        .ok_or_else(|| format!("there is no control {id}; `probity controls` lists them"))?
        .info;
    println!("{}\n{}.\n", info.id, info.title);
    println!(
        "Family {}, severity {}, rule version {}",
        info.family.as_str(),
        info.severity,
        info.rule_version
    );
    let parameters = generate::parameters(info);
    let parameters = [("Parameters", parameters.join("\n"))];
    let example = [("Example", info.example())];
    let about = info.about().into_iter();
    for (heading, text) in about.chain(parameters).chain(example).chain(info.in_use()) {
        println!("\n{heading}");
        for line in text.lines() {
            println!("  {line}");
        }
    }
    Ok(())
}
