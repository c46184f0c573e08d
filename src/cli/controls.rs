//! `probity controls`: list the controls.

use clap::Args;

use super::{
    Failure,
    output::{
        style::{Style, When},
        wrap::wrap,
    },
};
use crate::{
    controls::{Family, Info, REGISTRY},
    criteria::CRITERIA,
};

/// Arguments of `probity controls`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only those of a family, such as `network`.
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Only those that support a criterion, such as `CC6.1`.
    #[arg(long, value_name = "CRITERION")]
    criterion: Option<String>,
}

/// Prints the list, by family.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let family = arguments.family.as_deref();
    if let Some(name) = family
        && !Family::ALL.iter().any(|family| family.as_str() == name)
    {
        let families = Family::ALL.map(Family::as_str).join(", ");
        return Err(format!("there is no family {name}; there are: {families}"));
    }
    let criterion = arguments.criterion.as_deref();
    if let Some(id) = criterion
        && !CRITERIA.contains(&id)
    {
        return Err(format!(
            "{id} is no criterion; they are called CC1.1 to CC9.2, A1.1, PI1.1, C1.1 and P1.1 to P8.1"
        ));
    }
    let wanted = |info: &&Info| {
        family.is_none_or(|family| info.family.as_str() == family)
            && criterion.is_none_or(|id| info.criteria.contains(&id))
    };
    let style = Style::of_stdout(When::Never);
    for info in REGISTRY.iter().map(|r| r.info).filter(wanted) {
        let Info {
            id,
            family,
            severity,
            title,
            ..
        } = info;
        let family = family.as_str();
        let line = format!("{id:<42} {family:<11} {severity:<9} {title}");
        if style.columns.is_none_or(|columns| line.len() <= columns) {
            println!("{line}");
        } else {
            let about = format!("{family}, {severity}: {title}");
            print!("{id}\n{}", wrap(&about, style.width, "  "));
        }
    }
    Ok(())
}
