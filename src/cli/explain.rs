//! `probity explain`: what a control checks, why, and what to do about it; or what all controls say
//! about one subject.

mod subject;

use clap::Args;

use super::{
    Connect, Failure,
    output::style::{Style, When},
};
use crate::{
    controls::{Info, registry},
    generate,
};

const EXAMPLES: &str = "\
Examples:
  # A control: what it checks, its parameters, how to mend what fails
  probity explain net-namespace-default-deny
  # A subject: every verdict on it, why, and the commands that mend it
  probity explain deployment/shop/web
  probity explain deployment/web -n shop
  probity explain namespace/shop
  probity explain group/contractors";

/// Arguments of `probity explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Id of a control, or a subject: KIND/NAMESPACE/NAME, KIND/NAME, or `cluster`.
    #[arg(value_name = "CONTROL|SUBJECT")]
    what: String,
    /// Namespace of the subject; else the one of the kubeconfig.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Show the words for what passes, too.
    #[arg(short, long)]
    all: bool,
    /// When to colour.
    #[arg(long = "color", value_name = "WHEN", default_value = "auto")]
    colour: When,
    #[command(flatten)]
    connect: Connect,
}

/// Prints what is known.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let what = &arguments.what;
    if let Some(registered) = registry::find(what) {
        control(registered.info);
        return Ok(());
    }
    if !what.contains('/') && what != "cluster" {
        return Err(format!(
            "there is no control {what}; `probity controls` lists them, and a subject is written as KIND/NAMESPACE/NAME"
        ));
    }
    let style = Style::of_stdout(arguments.colour);
    let said = subject::explain(&arguments, style).await?;
    print!("{said}");
    Ok(())
}

/// Prints what the page of a control in `docs/controls` says.
fn control(info: &'static Info) {
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
}
