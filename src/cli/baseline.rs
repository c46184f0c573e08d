//! `probity baseline`: print the baseline policy.

use super::Failure;

/// Prints it.
pub(super) fn run() -> Result<(), Failure> {
    print!("{}", crate::generate::baseline());
    Ok(())
}
