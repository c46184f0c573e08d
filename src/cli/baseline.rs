//! `probity baseline`: print the baseline policy.

/// Prints it.
pub(super) fn run() {
    print!("{}", crate::generate::baseline());
}
