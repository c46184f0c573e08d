//! The program `probity`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match probity::cli::main().await {
        Ok(code) => code,
        Err((failure, code)) => {
            #[allow(clippy::print_stderr, reason = "the one place where a failure is told")]
            {
                eprintln!("probity: {failure}");
            }
            code
        }
    }
}
