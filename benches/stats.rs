//! Percentiles, and what the kernel says of a process.

use std::{fs, time::Duration};

use crate::Result;

/// Durations of one thing, measured many times.
#[derive(Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The duration that `percent` of the samples don't exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default()
    }

    /// Their mean.
    pub(crate) fn mean(&self) -> Duration {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        self.0.iter().sum::<Duration>() / count
    }

    /// Median and 99th percentile, for the table.
    pub(crate) fn summary(&self) -> String {
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        format!("p50 {}, p99 {}", show(p50), show(p99))
    }
}

/// A duration for the table.
pub(crate) fn show(duration: Duration) -> String {
    if duration < Duration::from_millis(1) {
        format!("{:.1} µs", duration.as_secs_f64() * 1e6)
    } else {
        format!("{:.2} ms", duration.as_secs_f64() * 1e3)
    }
}

/// Resident memory of a process, in bytes. `pid` may be `self`.
pub(crate) fn resident(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kib: Option<u64> = number.and_then(|number| number.parse().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| format!("{path}: no VmRSS"))
}

/// Processor time that a process has used. Linux counts it in hundredths of a second.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name in parentheses may hold anything; counted from its end, user time is the 12th field.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok(Duration::from_millis((user + system) * 10)),
        _ => Err(format!("{path}: unexpected content")),
    }
}
