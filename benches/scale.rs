//! The engine with every control switched on, over a large cluster: what it holds, and how long
//! it takes to judge everything again.
//!
//! Memory is what the kernel says that a process of its own holds, the runtime included.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use probity::{controls::REGISTRY, engine::Event};
use serde_json::{Value, json};

use crate::{Figure, Result, large, stats, verdicts::Drive};

/// Argument with which this program measures and prints its numbers.
pub(crate) const CHILD: &str = "hold-cluster";

/// Runs the child and reads its numbers.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .arg(CHILD)
        // As the chart has it.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [held, pass, first] = numbers[..] else {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the child said: {said}{error}"));
    };
    Ok(vec![
        Figure {
            what: "100,000 pods, 20,000 RBAC objects, 5,000 network policies, all controls: memory",
            measured: format!("{held:.0} MiB resident"),
            limit: "≤ 96 MiB (goal 64)",
            kept: Some(held <= 96.0),
        },
        Figure {
            what: "— a full pass over all controls",
            measured: format!("{pass:.0} ms (the first one {first:.0} ms)"),
            limit: "≤ 500 ms",
            kept: Some(pass <= 500.0),
        },
    ])
}

/// Holds the cluster; returns MiB resident, and milliseconds of a full pass and of the first.
pub(crate) fn child() -> Result<String> {
    let mut drive = Drive::new(0);
    large::each(&mut |kind, object| {
        drive.apply(Event::Line(kind, large::line("ADDED", &object)));
    });
    let controls: serde_json::Map<String, Value> = REGISTRY
        .iter()
        .map(|registered| (registered.info.field.to_owned(), json!({})))
        .collect();
    let began = Instant::now();
    drive.policy("soc2", &json!({ "controls": controls }))?;
    let first = began.elapsed();
    settle(&mut drive);
    let held = stats::resident("self")?;
    // Everything is judged again every ten minutes.
    let began = Instant::now();
    drive.wait(601);
    let pass = began.elapsed();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = held as f64 / 1_048_576.0;
    Ok(format!(
        "{mib} {} {}",
        pass.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    ))
}

/// Lets some moments pass, as an operator does all the time: what was only needed for the first pass has been given back then.
fn settle(drive: &mut Drive) {
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(50));
        drive.wait(1);
    }
}
