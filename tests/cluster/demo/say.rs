//! What the demo prints, with colours only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::LazyLock;
use std::time::Instant;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
static COLOURS: LazyLock<bool> =
    LazyLock::new(|| io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

/// Prints lines as they are.
pub(crate) fn say(text: &str) {
    LazyLock::force(&STARTED);
    // Nobody may be reading any more; the demo still has to end in order.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a heading, with the time since the start.
pub(crate) fn step(text: &str) {
    let time = format!("{:5.1} s", STARTED.elapsed().as_secs_f64());
    say(&format!("\n{}  {}", paint("2", &time), paint("1", text)));
}

/// Prints a line about something that is not as it should be.
pub(crate) fn warn(text: &str) {
    say(&paint("31", text));
}

/// Marks text as good.
pub(crate) fn good(text: &str) -> String {
    paint("32", text)
}

/// Marks text as bad.
pub(crate) fn bad(text: &str) -> String {
    paint("31", text)
}

fn paint(code: &str, text: &str) -> String {
    if *COLOURS {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
