//! `probity explain`: what a control checks, why, and what to do about it; or what all controls say
//! about one subject.

mod subject;

use clap::Args;

use super::{
    Connect, Failure,
    output::{
        style::{Style, When},
        wrap::wrap,
    },
};
use crate::{
    controls::{Info, registry},
    generate,
};

const EXAMPLES: &str = "\
Examples:
  # A control: what it checks, its parameters, how to mend what fails
  probity explain net-namespace-default-deny
  # The same, as a policy writes it
  probity explain netNamespaceDefaultDeny
  # A subject: every verdict on it, why, and the commands that mend it
  probity explain deployment/shop/web
  probity explain deployment/web -n shop
  probity explain namespace/shop
  probity explain group/contractors";

/// Arguments of `probity explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Id of a control or its field in a policy, or a subject: KIND/NAMESPACE/NAME, KIND/NAME, or `cluster`.
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
    let style = Style::of_stdout(arguments.colour);
    if let Some(registered) = registry::meant(what) {
        control(registered.info, style);
        return Ok(());
    }
    if !what.contains('/') && what != "cluster" {
        return Err(format!(
            "there is no control {what}; `probity controls` lists them, and a subject is written as KIND/NAMESPACE/NAME"
        ));
    }
    let said = subject::explain(&arguments, style).await?;
    print!("{said}");
    Ok(())
}

/// Prints what the page of a control in `docs/controls` says.
fn control(info: &'static Info, style: Style) {
    let titled = format!("{}\n{}.\n\n", info.id, info.title);
    let class = format!(
        "Family {}, severity {}, rule version {}",
        info.family.as_str(),
        info.severity,
        info.rule_version
    );
    print!(
        "{}{}",
        wrap(&titled, style.width, ""),
        wrap(&class, style.width, "")
    );
    let parameters = generate::parameters(info);
    let parameters = [("Parameters", parameters.join("\n"))];
    let about = info.about().into_iter().chain(parameters);
    for (heading, text) in about {
        print!("\n{heading}\n{}", prose(&text, style.width));
    }
    // A manifest is to be copied: a broken line would be another one.
    println!("\nExample");
    for line in info.example().lines() {
        println!("  {line}");
    }
    for (heading, text) in info.in_use() {
        print!("\n{heading}\n{}", prose(&text, style.width));
    }
}

/// Sentences in lines that fit; commands in them, between fences, as they are.
fn prose(text: &str, width: Option<usize>) -> String {
    let mut fenced = false;
    let lines = text.lines().map(|line| {
        fenced ^= line.starts_with("```");
        if fenced || line.starts_with("```") || line.is_empty() {
            format!("  {line}\n")
        } else {
            wrap(line, width, "  ")
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_and_commands_are_not() {
        let text =
            "one two three four five\n\n```sh\nkubectl get something --with a-flag\n```\nsix";
        assert_eq!(
            prose(text, Some(16)),
            "  one two three\n  four five\n  \n  ```sh\n  kubectl get something --with a-flag\n  ```\n  six\n"
        );
    }
}
