//! Gauges of which a policy or an audit period has several, and which go when it, or the reason for them, does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::core::{Atomic, AtomicI64, GenericGaugeVec};

/// Values of labels, in the order of their names. The first is the owner.
type Labels = Vec<String>;

/// A gauge whose first label is its owner, a policy or a period, and what is shown of it.
#[derive(Debug)]
pub(super) struct Shown<P: Atomic = AtomicI64> {
    gauge: GenericGaugeVec<P>,
    series: Arc<Mutex<BTreeMap<String, BTreeSet<Labels>>>>,
}

// By hand: the derived one asks it of the kind of number too.
impl<P: Atomic> Clone for Shown<P> {
    fn clone(&self) -> Self {
        Self {
            gauge: self.gauge.clone(),
            series: Arc::clone(&self.series),
        }
    }
}

impl<P: Atomic> Shown<P> {
    pub(super) fn new(gauge: GenericGaugeVec<P>) -> Self {
        Self {
            gauge,
            series: Arc::default(),
        }
    }

    /// Shows these series of an owner, and no others.
    pub(super) fn replace(&self, owner: &str, rows: impl IntoIterator<Item = (Vec<String>, P::T)>) {
        let mut now = BTreeSet::new();
        for (mut labels, value) in rows {
            labels.insert(0, owner.to_owned());
            self.gauge.with_label_values(&labels).set(value);
            now.insert(labels);
        }
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let before = series.insert(owner.to_owned(), now.clone());
        self.remove(before.unwrap_or_default().difference(&now));
    }

    /// Shows series of these owners, and of no others.
    pub(super) fn keep(&self, owners: &BTreeSet<&str>) {
        let gone: Vec<String> = {
            let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            let known = series.keys().filter(|owner| !owners.contains(&***owner));
            known.cloned().collect()
        };
        for owner in &gone {
            self.forget(Some(owner));
        }
    }

    /// Sets one series of an owner, beside the others.
    pub(super) fn set(&self, owner: &str, more: &[&str], value: P::T) {
        let labels: Labels = [owner]
            .iter()
            .chain(more)
            .map(ToString::to_string)
            .collect();
        self.gauge.with_label_values(&labels).set(value);
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(owner.to_owned()).or_default().insert(labels);
    }

    /// Removes the series of an owner, or of all.
    pub(super) fn forget(&self, owner: Option<&str>) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        match owner {
            Some(owner) => self.remove(&series.remove(owner).unwrap_or_default()),
            None => std::mem::take(&mut *series)
                .values()
                .for_each(|gone| self.remove(gone)),
        }
    }

    fn remove<'a>(&self, gone: impl IntoIterator<Item = &'a Labels>) {
        for labels in gone {
            // It was set before; that it is gone already is fine.
            let _ = self.gauge.remove_label_values(labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntGaugeVec, Opts, core::Collector as _, proto::MetricFamily};

    use super::*;

    fn values(shown: &Shown) -> Vec<(String, i64)> {
        let families = shown.gauge.collect();
        let metrics = families.iter().flat_map(MetricFamily::get_metric);
        let mut all: Vec<_> = metrics
            .map(|metric| {
                let labels = metric
                    .get_label()
                    .iter()
                    .map(|label| label.value().to_owned());
                let labels: Vec<_> = labels.collect();
                #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
                let value = metric.get_gauge().get_value() as i64;
                (labels.join(" "), value)
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn what_a_policy_no_longer_has_is_gone_and_what_others_have_stays() {
        let gauge = IntGaugeVec::new(Opts::new("a", "b"), &["policy", "control"]).unwrap();
        let shown = Shown::new(gauge);
        let row = |control: &str, value| (vec![control.to_owned()], value);
        shown.replace("p", [row("x", 1), row("y", 2)]);
        shown.replace("q", [row("x", 3)]);
        shown.replace("p", [row("y", 4)]);
        // Labels come ordered by their names.
        let both = [("x q".to_owned(), 3), ("y p".to_owned(), 4)];
        assert_eq!(values(&shown), both);
        shown.set("p", &["z"], 5);
        shown.keep(&["q", "r"].into());
        assert_eq!(values(&shown), [("x q".to_owned(), 3)]);
        shown.set("p", &["z"], 5);
        shown.forget(Some("p"));
        assert_eq!(values(&shown), [("x q".to_owned(), 3)]);
        shown.forget(None);
        assert_eq!(values(&shown), []);
    }
}
