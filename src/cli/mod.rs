//! The command line: one file per subcommand.

/// Prints a line to standard output, which may be a pipe that has closed.
macro_rules! println {
    () => { crate::cli::output::write(format_args!("\n")) };
    ($($text:tt)*) => {
        crate::cli::output::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Prints to standard output, which may be a pipe that has closed.
macro_rules! print {
    ($($text:tt)*) => { crate::cli::output::write(format_args!($($text)*)) };
}

mod anchoring;
mod approve;
mod baseline;
mod complete;
mod connect;
mod controls;
mod crds;
mod diff;
mod evidence;
mod examples;
mod exit;
mod explain;
mod fleet;
mod generate;
mod log;
mod logs;
mod new_key;
mod output;
mod pass;
mod period;
mod probe;
mod prove;
mod report;
mod review;
mod run;
mod sample;
mod scan;
mod status;
mod telling;
mod trust;
mod undo;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::{connect::Connect, exit::Ending};
pub use self::{exit::NOT_DONE, output::fix::words_and_commands};

use crate::api::DecisionVerdict;

/// Keeps SOC 2 controls operating on Kubernetes, and proves that they did.
#[derive(Debug, Parser)]
#[command(name = "probity", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    #[command(after_help = examples::RUN)]
    Run(Box<run::Arguments>),
    /// Judge a cluster or manifests once, and write nothing.
    Scan(scan::Arguments),
    /// Tell what the policies of a cluster say: criteria, what fails, and since when.
    Status(status::Arguments),
    /// Show what Enforce would change now, as kubectl diff does.
    Diff(diff::Arguments),
    /// Print the commands that restore what remedies changed, from the evidence log.
    Undo(undo::Arguments),
    /// Approve what somebody else asked for, such as an exception.
    #[command(after_help = examples::APPROVE)]
    Approve(approve::Arguments),
    /// Refuse what somebody else asked for.
    #[command(after_help = examples::REJECT)]
    Reject(approve::Arguments),
    /// Show the rights that an `AccessReview` lists, and decide about each.
    #[command(after_help = examples::REVIEW)]
    Review(review::Arguments),
    /// Print the evidence log.
    #[command(after_help = examples::LOG)]
    Log(log::Arguments),
    /// Check an evidence log, without a cluster: exit code 0 if it is whole and unchanged, 1 if not, 2 if there is none.
    #[command(after_help = examples::VERIFY)]
    Verify(verify::Arguments),
    /// Make the proof that one entry is in the log, which `verify --proof` checks without the log.
    #[command(after_help = examples::PROVE)]
    Prove(prove::Arguments),
    /// Make the key that signs the evidence log from the next start on.
    #[command(after_help = examples::NEW_KEY)]
    NewKey(new_key::Arguments),
    /// The logs of many clusters side by side, as Parquet for query engines, and the proof of each
    /// row.
    #[command(after_help = examples::FLEET)]
    Fleet(fleet::Arguments),
    /// Tell how each control operated over an audit period, from the log alone.
    #[command(after_help = examples::PERIOD)]
    Period(period::Arguments),
    /// Write the auditor pack of an audit period, from the log alone.
    #[command(after_help = examples::REPORT)]
    Report(report::Arguments),
    /// Draw a sample from the population of a control that anybody can draw again.
    #[command(after_help = examples::SAMPLE)]
    Sample(sample::Arguments),
    /// List the controls.
    #[command(after_help = examples::CONTROLS)]
    Controls(controls::Arguments),
    /// Tell what a control checks and how to mend what fails, or all that is said of a subject.
    Explain(explain::Arguments),
    /// Print the `CustomResourceDefinition`s.
    #[command(after_help = examples::CRDS)]
    Crds,
    /// Print the baseline policy: every control, in Observe.
    #[command(after_help = examples::BASELINE)]
    Baseline,
    /// Print a completion script for a shell.
    Completions(complete::Completions),
    /// Write manual pages.
    Man(complete::Man),
    /// Complete what is typed, for kubectl.
    #[command(name = "__complete", hide = true)]
    Complete(complete::Typed),
    /// Play a part in the network probe.
    #[command(hide = true)]
    Probe(probe::Arguments),
    /// Write the files that are generated from the controls.
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// Why a command failed: one line that says what to do.
type Failure = String;

/// All commands with their arguments, for whoever checks or documents them.
pub fn arguments() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the command. Returns the exit code; with a failure it is [`NOT_DONE`].
pub async fn main() -> Result<ExitCode, Failure> {
    // It holds the arguments of every command: too much for the stack of whoever waits for it.
    let ended = Box::pin(command(parse().command)).await;
    output::finish()?;
    ended.map(Ending::code)
}

/// Reads the command line. As a plugin of kubectl, help calls the program as people do.
fn parse() -> Cli {
    let mut arguments = Cli::command();
    let called = std::env::args_os().next().unwrap_or_default();
    let called = std::path::Path::new(&called).file_stem();
    if called.is_some_and(|name| name == "kubectl-probity") {
        arguments = arguments.bin_name("kubectl probity");
    }
    let matches = arguments.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

async fn command(command: Command) -> Result<Ending, Failure> {
    // Most do as they are told, or fail; those that judge say what they found.
    let acted = |done: Result<(), Failure>| done.map(|()| Ending::Well);
    match command {
        Command::Run(arguments) => acted(Box::pin(run::run(*arguments)).await),
        Command::Scan(arguments) => scan::run(arguments).await,
        Command::Status(arguments) => acted(status::run(arguments).await),
        Command::Diff(arguments) => diff::run(arguments).await,
        Command::Undo(arguments) => undo::run(&arguments),
        Command::Approve(arguments) => {
            acted(approve::run(arguments, DecisionVerdict::Approved).await)
        }
        Command::Reject(arguments) => {
            acted(approve::run(arguments, DecisionVerdict::Rejected).await)
        }
        Command::Review(arguments) => acted(Box::pin(review::run(arguments)).await),
        Command::Log(arguments) => log::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments).map(Ending::of),
        Command::Prove(arguments) => acted(prove::run(&arguments)),
        Command::NewKey(arguments) => acted(new_key::run(&arguments)),
        Command::Fleet(arguments) => fleet::run(&arguments).map(Ending::of),
        Command::Period(arguments) => period::run(&arguments).map(Ending::of),
        Command::Report(arguments) => report::run(&arguments).map(Ending::of),
        Command::Sample(arguments) => sample::run(&arguments).map(Ending::of),
        Command::Controls(arguments) => acted(controls::run(&arguments)),
        Command::Explain(arguments) => acted(Box::pin(explain::run(arguments)).await),
        Command::Crds => acted(crds::run()),
        Command::Baseline => {
            baseline::run();
            Ok(Ending::Well)
        }
        Command::Completions(arguments) => {
            complete::completions(&arguments);
            Ok(Ending::Well)
        }
        Command::Man(arguments) => acted(complete::man(&arguments)),
        Command::Complete(arguments) => {
            complete::typed(&arguments);
            Ok(Ending::Well)
        }
        Command::Probe(arguments) => acted(probe::run(arguments).await),
        Command::Generate(arguments) => acted(generate::run(&arguments)),
    }
}
