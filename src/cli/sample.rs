//! `probity sample`: a sample of a control's population over an audit period.

use clap::Args;
use jiff::Timestamp;

use super::{
    Failure,
    evidence::{Asked, distrust_of, pretty, wanted, warn},
    logs::Accounted,
    output::{
        style::{Style, When},
        wrap::fit,
    },
};
use crate::evidence::verify::Trust;
use crate::period::{Account, Operation, Sample, Sampler, Summary};
use crate::words::{either, many, one_line};

/// Arguments of `probity sample`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// The control whose subjects are drawn, such as `enc-ingress-tls`.
    #[arg(long, value_name = "ID")]
    control: String,
    /// Any text. Whoever has it draws the same sample from the same log.
    #[arg(long, value_name = "TEXT")]
    seed: String,
    /// How many items to draw; all, if there are fewer.
    #[arg(long, value_name = "N")]
    count: usize,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Draws the sample and prints it. Returns whether the log is what it claims to be.
pub(super) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    if arguments.count == 0 || arguments.seed.is_empty() {
        return Err("a sample needs a --count above 0 and a --seed that is not empty".to_owned());
    }
    let (wanted, logs) = wanted(&arguments.asked.period, &arguments.asked.logs)?;
    let (found, taken) = logs.take(&Trust::default(), || {
        Ok(Accounted {
            account: Account::new(wanted.frame.clone()),
            sink: Sampler::new(&arguments.control),
        })
    })?;
    let mut sampler = taken.sink;
    let summary = taken.account.finish(Timestamp::now(), &mut sampler);
    let ours = |operation: &&Operation| *operation.control == *arguments.control;
    if !summary.controls.iter().any(|operation| ours(&operation)) {
        let mut known: Vec<&str> = summary
            .controls
            .iter()
            .map(|operation| &*operation.control)
            .collect();
        known.dedup();
        return Err(format!(
            "the log knows no control {} in this period; it knows: {}",
            arguments.control,
            known.join(", ")
        ));
    }
    let sample = sampler.draw(&arguments.seed, arguments.count);
    let distrust = distrust_of(&found);
    if arguments.json {
        println!("{}", pretty(&sample)?);
    } else {
        let style = Style::of_stdout(When::Never);
        print!("{}", fit(&text(&sample, &summary), style.width));
    }
    warn(distrust.as_deref());
    Ok(distrust.is_none())
}

fn text(sample: &Sample, summary: &Summary) -> String {
    let mut lines = vec![
        format!(
            "Control {} in {} to {} ({})",
            sample.control, summary.period.start, summary.period.end, summary.period.time_zone
        ),
        format!(
            "Population: {}, SHA-256 {}",
            many(sample.population, "subject"),
            sample.population_sha256
        ),
    ];
    for operation in summary
        .controls
        .iter()
        .filter(|operation| *operation.control == *sample.control)
    {
        lines.push(completeness(operation));
    }
    lines.push(format!(
        "Drawn {} with seed {:?}, by SHA-256(seed followed by id), the least first:",
        sample.items.len(),
        sample.seed
    ));
    for (rank, drawn) in sample.items.iter().enumerate() {
        let item = &drawn.item;
        let left = item
            .left
            .map_or_else(String::new, |left| format!(" to {left:.0}"));
        lines.push(format!(
            "{:>4} {} {} uid {} from {:.0}{left}, {}",
            rank + 1,
            &drawn.sha256[..12],
            one_line(&item.id),
            one_line(&item.subject.subject().uid),
            item.joined,
            many(item.deviations, "deviation")
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What shows that the population is complete, in one policy.
fn completeness(operation: &Operation) -> String {
    let Operation {
        policy,
        numbers,
        reconciliation,
        included,
        excluded,
        ..
    } = operation;
    let moved = &numbers.population;
    let out = excluded.iter().filter(|excluded| excluded.to.is_none());
    let out: Vec<String> = out
        .map(|excluded| format!("{} ({})", excluded.namespace, excluded.reason))
        .collect();
    let namespaces = included.map_or_else(
        || "namespaces out of scope are not known".to_owned(),
        |included| {
            let total = included + out.len() as u64;
            let names = if out.is_empty() {
                String::new()
            } else {
                format!(": {}", out.join(", "))
            };
            format!(
                "{} included + {} excluded = {total}{names}",
                many(included, "namespace"),
                out.len()
            )
        },
    );
    format!(
        "In {policy}: {} opening + {} added - {} removed = {} closing; {} of {} {} the same; {namespaces}",
        moved.opening,
        moved.added,
        moved.removed,
        moved.closing,
        reconciliation.compared - reconciliation.differing,
        many(reconciliation.compared, "heartbeat"),
        either(reconciliation.compared, "counts", "count")
    )
}
