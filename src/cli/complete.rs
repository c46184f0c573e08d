//! `probity completions`, `probity man`, and what kubectl asks a plugin for while one types.

use std::{fs, path::PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Failure};
use crate::controls::REGISTRY;

/// Arguments of `probity completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # For bash, in this shell
  source <(probity completions bash)
  # For zsh, for good
  probity completions zsh > _probity

As a kubectl plugin: an executable `kubectl_complete-probity` in the PATH with the line
  exec probity __complete \"$@\"")]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Arguments of `probity man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # One page for each command
  probity man --dir ./man1")]
pub(super) struct Man {
    /// Folder to write the pages to; it is made where it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Arguments of `probity __complete`, as kubectl passes them.
#[derive(Debug, Args)]
pub(super) struct Typed {
    /// What was typed so far; the last word is not finished.
    #[arg(
        value_name = "WORD",
        allow_hyphen_values = true,
        trailing_var_arg = true
    )]
    words: Vec<String>,
}

/// Prints a completion script.
pub(super) fn completions(arguments: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "probity", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}

/// Writes the pages.
pub(super) fn man(arguments: &Man) -> Result<(), Failure> {
    let dir = &arguments.dir;
    let problem = |error: std::io::Error| format!("{} can't be written: {error}", dir.display());
    fs::create_dir_all(dir).map_err(problem)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(problem)
}

/// Prints what may stand at the end of what was typed, as kubectl reads it: a line each, then what
/// the shell is to do, which is nothing more.
pub(super) fn typed(arguments: &Typed) {
    for word in candidates(Cli::command(), &arguments.words) {
        println!("{word}");
    }
    println!(":4");
}

/// What begins as the last word does: subcommands, arguments, their values, and ids of controls.
fn candidates(mut command: Command, words: &[String]) -> Vec<String> {
    command.build();
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (&**last, before));
    let mut here = &command;
    for word in before {
        here = here.find_subcommand(word).unwrap_or(here);
    }
    let takes = before.last().and_then(|word| {
        let flag = word.strip_prefix("--")?;
        let mut arguments = here.get_arguments();
        arguments.find(|argument| argument.get_long() == Some(flag))
    });
    let takes = takes.filter(|argument| argument.get_action().takes_values());
    let mut all: Vec<String> = if let Some(argument) = takes {
        let values = argument.get_possible_values().into_iter();
        values.map(|value| value.get_name().to_owned()).collect()
    } else if last.starts_with('-') {
        let long = here
            .get_arguments()
            .filter(|argument| !argument.is_hide_set());
        long.filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
            .collect()
    } else {
        let commands = here
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        commands
            .map(|command| command.get_name().to_owned())
            .collect()
    };
    if takes.is_none() && here.get_name() == "explain" {
        all.extend(
            REGISTRY
                .iter()
                .map(|registered| registered.info.id.to_owned()),
        );
    }
    all.retain(|word| word.starts_with(last));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        candidates(Cli::command(), &words)
    }

    #[test]
    fn commands_arguments_values_and_controls_are_completed() {
        assert_eq!(complete("sca"), ["scan"]);
        assert_eq!(complete("scan --fail"), ["--fail-on"]);
        assert_eq!(complete("scan --output j"), ["json", "junit"]);
        assert_eq!(complete("explain net-policy-d"), ["net-policy-dead"]);
        assert!(!complete("").contains(&"generate".to_owned()));
    }

    #[test]
    fn every_shell_gets_a_script_and_every_command_a_page() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "probity", &mut script);
            assert!(
                String::from_utf8(script).unwrap().contains("fail-on"),
                "{shell}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man1");
        man(&Man { dir: dir.clone() }).unwrap();
        for command in Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let page = dir.join(format!("probity-{}.1", command.get_name()));
            assert!(page.is_file(), "{}", page.display());
        }
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
