//! `probity generate`: write the files that are generated from the controls.

use std::path::PathBuf;

use clap::Args;

use super::Failure;

/// Arguments of `probity generate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The root of the checkout.
    #[arg(default_value = ".")]
    root: PathBuf,
}

/// Writes them.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    crate::generate::write(&arguments.root)
}
