//! The command line: one file per subcommand.
#![allow(clippy::print_stdout, reason = "printing is what commands are for")]

mod anchoring;
mod approve;
mod baseline;
mod controls;
mod crds;
mod diff;
mod evidence;
mod explain;
mod fleet;
mod generate;
mod log;
mod new_key;
mod period;
mod probe;
mod prove;
mod report;
mod review;
mod run;
mod sample;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::api::DecisionVerdict;

/// Keeps SOC 2 controls operating on Kubernetes, and proves that they did.
#[derive(Debug, Parser)]
#[command(name = "probity", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(Box<run::Arguments>),
    /// List what Enforce would do now, without doing it.
    Diff(diff::Arguments),
    /// Approve what somebody else asked for, such as an exception.
    Approve(approve::Arguments),
    /// Refuse what somebody else asked for.
    Reject(approve::Arguments),
    /// Show the rights that an `AccessReview` lists, and decide about each.
    Review(review::Arguments),
    /// Print the evidence log.
    Log(log::Arguments),
    /// Check an evidence log, without a cluster: exit code 0 if it is whole and unchanged, 1 if not.
    Verify(verify::Arguments),
    /// Make the proof that one entry is in the log, which `verify --proof` checks without the log.
    Prove(prove::Arguments),
    /// Make the key that signs the evidence log from the next start on.
    NewKey(new_key::Arguments),
    /// The logs of many clusters side by side, as Parquet for query engines, and the proof of each
    /// row.
    Fleet(fleet::Arguments),
    /// Tell how each control operated over an audit period, from the log alone.
    Period(period::Arguments),
    /// Write the auditor pack of an audit period, from the log alone.
    Report(report::Arguments),
    /// Draw a sample from the population of a control that anybody can draw again.
    Sample(sample::Arguments),
    /// List the controls.
    Controls(controls::Arguments),
    /// Tell what a control checks, why it matters, and how to mend what fails.
    Explain(explain::Arguments),
    /// Print the `CustomResourceDefinition`s.
    Crds,
    /// Print the baseline policy: every control, in Observe.
    Baseline,
    /// Play a part in the network probe.
    #[command(hide = true)]
    Probe(probe::Arguments),
    /// Write the files that are generated from the controls.
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// How to reach the cluster.
#[derive(Debug, Clone, Args)]
struct Connect {
    /// Kubeconfig file; else $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Why a command failed: one line that says what to do.
type Failure = String;

/// Parses the arguments and runs the command. Returns the exit code, with the failure if there is one: 1, or for `verify`
/// and `fleet`, whose 1 says that a log is not whole, 2.
pub async fn main() -> Result<ExitCode, (Failure, ExitCode)> {
    let done = match Cli::parse().command {
        Command::Verify(arguments) => return judged(verify::run(&arguments)),
        Command::Fleet(arguments) => return judged(fleet::run(&arguments)),
        Command::Run(arguments) => Box::pin(run::run(*arguments)).await,
        Command::Diff(arguments) => diff::run(arguments).await,
        Command::Approve(arguments) => approve::run(arguments, DecisionVerdict::Approved).await,
        Command::Reject(arguments) => approve::run(arguments, DecisionVerdict::Rejected).await,
        Command::Review(arguments) => review::run(arguments).await,
        Command::Log(arguments) => log::run(&arguments),
        Command::NewKey(arguments) => new_key::run(&arguments),
        Command::Prove(arguments) => prove::run(&arguments),
        Command::Period(arguments) => period::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Controls(arguments) => controls::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Crds => crds::run(),
        Command::Baseline => {
            baseline::run();
            Ok(())
        }
        Command::Probe(arguments) => probe::run(arguments).await,
        Command::Generate(arguments) => generate::run(&arguments),
    };
    done.map(|()| ExitCode::SUCCESS)
        .map_err(|failure| (failure, ExitCode::FAILURE))
}

/// The exit code of a command that says whether something is as it should be.
fn judged(result: Result<bool, Failure>) -> Result<ExitCode, (Failure, ExitCode)> {
    match result {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(failure) => Err((failure, ExitCode::from(2))),
    }
}
