//! The isolation analysis over a large cluster: made at once, and kept up to date.

use std::time::{Duration, Instant};

use probity::{
    analysis::{Analysis, from_scratch, isolation::Isolation},
    inventory::{Change, Inventory, Kind},
};
use serde_json::{Value, json};

use crate::{Figure, Result, large, stats};

const CHANGES: u32 = 5000;

/// Measures the analysis alone: that an object is decoded is a figure of its own.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let mut inventory = Inventory::default();
    let mut objects = Vec::new();
    large::each(&mut |kind, object| {
        if Isolation::READS.contains(&kind) {
            objects.push((kind, object));
        }
    });
    for (kind, object) in &objects {
        put(&mut inventory, *kind, object)?;
    }
    let mut policies = objects;
    policies.retain(|(kind, _)| *kind == Kind::NetworkPolicy);
    let held = stats::resident("self")?;
    let began = Instant::now();
    let mut isolation: Isolation = from_scratch(&inventory);
    let cold = began.elapsed();
    let memory = stats::resident("self")?.saturating_sub(held);

    let mut policy_changed = Duration::ZERO;
    for number in 0..CHANGES {
        let Some((kind, policy)) = policies.get_mut(number as usize % large::POLICIES as usize)
        else {
            return Err("there is no policy".to_owned());
        };
        policy["spec"]["podSelector"] = json!({ "matchLabels": { "role": format!("n{number}") } });
        let changes = put(&mut inventory, *kind, policy)?;
        policy_changed += keep(&mut isolation, &inventory, &changes)?;
    }
    let mut known = Duration::ZERO;
    for number in 0..CHANGES {
        let changes = put(&mut inventory, Kind::Pod, &large::pod(large::PODS + number))?;
        known += keep(&mut isolation, &inventory, &changes)?;
    }
    // It takes about as long as to look at the clock, which is no part of it.
    let known = known.saturating_sub(looks(CHANGES));
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = memory as f64 / 1_048_576.0;
    let (cold_limit, policy_limit) = (Duration::from_millis(200), Duration::from_micros(100));
    Ok(vec![
        Figure {
            what: "network isolation, 1,000 namespaces, 5,000 policies, 100,000 pods: made anew",
            measured: format!("{cold:.1?}, {mib:.1} MiB, {} classes", isolation.classes()),
            limit: "≤ 200 ms",
            kept: Some(cold <= cold_limit),
        },
        Figure {
            what: "— one policy changed",
            measured: format!("{:.1?} mean", policy_changed / CHANGES),
            limit: "≤ 100 µs mean",
            kept: Some(policy_changed / CHANGES <= policy_limit),
        },
        Figure {
            what: "— one pod more of a known class",
            measured: format!("{:.2?} mean", known / CHANGES),
            limit: "≤ 1 µs",
            kept: Some(known / CHANGES <= Duration::from_micros(1)),
        },
    ])
}

fn put(inventory: &mut Inventory, kind: Kind, object: &Value) -> Result<Vec<Change>> {
    let line = large::line("MODIFIED", object);
    let changes = inventory.apply_line(kind, &line);
    changes.map_err(|error| error.to_string())
}

/// How long it takes to look at the clock so many times before and after something.
fn looks(times: u32) -> Duration {
    (0..times).map(|_| Instant::now().elapsed()).sum()
}

/// How long the analysis takes to follow.
fn keep(isolation: &mut Isolation, inventory: &Inventory, changes: &[Change]) -> Result<Duration> {
    let [change] = changes else {
        return Err(format!("{} changes instead of one", changes.len()));
    };
    let mut affected = std::collections::BTreeSet::new();
    let began = Instant::now();
    isolation.note(inventory, change);
    isolation.settle(inventory, &mut affected);
    Ok(began.elapsed())
}
