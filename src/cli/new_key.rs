//! `probity new-key`: the key that replaces the one in the data folder.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::evidence::key::PrivateKey;

/// Arguments of `probity new-key`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of the evidence log.
    #[arg(
        long,
        value_name = "DIR",
        env = "PROBITY_DATA_DIR",
        default_value = "/data"
    )]
    data_dir: PathBuf,
}

/// Makes the key. The operator takes it at its next start.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = PrivateKey::create_next(&arguments.data_dir).map_err(|error| error.to_string())?;
    println!(
        "{} signs the log from the next start of Probity on; the old key signs that.",
        path.display()
    );
    Ok(())
}
