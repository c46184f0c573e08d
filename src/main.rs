//! The program `probity`.

use std::process::ExitCode;

/// The image's libc is musl, whose own allocator is slow; and this one gives memory back that was
/// needed only for a moment.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match probity::cli::main().await {
        Ok(code) => code,
        Err(failure) => {
            #[allow(clippy::print_stderr, reason = "the one place where a failure is told")]
            {
                eprintln!("probity: {failure}");
            }
            ExitCode::from(probity::cli::NOT_DONE)
        }
    }
}
