//! How audit periods stand: what their statuses say, for dashboards and alerts.
//!
//! Bounded: the periods that end last, and of each the controls that its status lists first. What is left out is counted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use prometheus::{
    GaugeVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{AtomicF64, Collector},
};

use super::shown::Shown;
use crate::{
    engine::PeriodSeries,
    period::{ControlStanding, Operated},
};

/// Periods that are shown.
const MOST_PERIODS: usize = 8;
/// Controls that are shown of a period, each once for every policy that has it.
const MOST_CONTROLS: usize = 300;

/// The gauges. The first label of each is the period.
#[derive(Debug, Clone)]
pub(super) struct Periods {
    ready: Shown,
    end: Shown,
    left_out: Shown,
    operated: Shown,
    coverage: Shown<AtomicF64>,
    gap_seconds: Shown,
    unobserved_since: Shown,
    deviations: Shown,
    open: Shown,
    longest: Shown,
    due: Shown,
    omitted: IntGauge,
}

/// Labels of a control in a policy, with one more where there is one.
fn of(control: &ControlStanding, more: Option<&str>) -> Vec<String> {
    let said = &control.observed;
    let labels = [&*said.policy, &*said.id].into_iter().chain(more);
    labels.map(str::to_owned).collect()
}

impl Periods {
    /// Registers the gauges.
    #[allow(clippy::too_many_lines, reason = "a table: one metric after the other")]
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn register<C: Collector + Clone + 'static>(
            registry: &Registry,
            gauge: C,
        ) -> Result<C, prometheus::Error> {
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        }
        let shown = |name: &str, help: &str, more: &[&str]| {
            let labels = [&["period"], more].concat();
            let gauge = IntGaugeVec::new(Opts::new(name, help), &labels)?;
            register(registry, gauge).map(Shown::new)
        };
        let control = ["policy", "control"];
        let coverage = GaugeVec::new(
            Opts::new(
                "period_coverage_ratio",
                "Share of the whole audit period that is observed at its end if nothing more is missed; 0 to 1.",
            ),
            &["period", "policy", "control"],
        )?;
        Ok(Self {
            ready: shown(
                "period_ready",
                "1 if the audit period can be judged, 0 if its spec can't be used or the log not be read.",
                &[],
            )?,
            end: shown(
                "period_end_timestamp_seconds",
                "The first instant after the audit period.",
                &[],
            )?,
            left_out: shown(
                "period_controls_omitted",
                "Controls of the audit period that have no series, because there are too many.",
                &[],
            )?,
            operated: shown(
                "period_operated",
                "1 for whether a control operated in the audit period so far, 0 for the other states.",
                &["policy", "control", "state"],
            )?,
            coverage: Shown::new(register(registry, coverage)?),
            gap_seconds: shown(
                "period_gap_seconds",
                "Seconds of the audit period in which a control was not observed, in gaps that have ended.",
                &control,
            )?,
            unobserved_since: shown(
                "period_unobserved_since_timestamp_seconds",
                "Since when a control has not been observed, if it isn't now.",
                &control,
            )?,
            deviations: shown(
                "period_deviations",
                "Deviations of a control in the audit period, also those that have ended.",
                &control,
            )?,
            open: shown(
                "period_deviations_open",
                "Deviations of a control that are open in the audit period, or were at its end.",
                &control,
            )?,
            longest: shown(
                "period_deviation_longest_seconds",
                "The longest deviation of a control in the audit period that has ended; 0 if none has.",
                &control,
            )?,
            due: shown(
                "period_due_timestamp_seconds",
                "By when something has to happen next, or the control will be missing at the end of the audit period.",
                &["policy", "control", "kind"],
            )?,
            omitted: register(
                registry,
                IntGauge::new(
                    "periods_omitted",
                    "Audit periods that have no series, because there are too many.",
                )?,
            )?,
        })
    }

    /// Shows these periods and no others.
    pub(super) fn show(&self, mut periods: Vec<PeriodSeries<'_>>) {
        periods.sort_by_key(|period| std::cmp::Reverse((period.to, period.name)));
        let omitted = periods.len().saturating_sub(MOST_PERIODS);
        self.omitted.set(whole(omitted));
        periods.truncate(MOST_PERIODS);
        let names: BTreeSet<&str> = periods.iter().map(|period| period.name).collect();
        for gauge in self.whole() {
            gauge.keep(&names);
        }
        self.coverage.keep(&names);
        for period in &periods {
            self.show_one(period);
        }
    }

    /// Removes all series.
    pub(super) fn forget(&self) {
        self.show(Vec::new());
    }

    fn whole(&self) -> [&Shown; 10] {
        [
            &self.ready,
            &self.end,
            &self.left_out,
            &self.operated,
            &self.gap_seconds,
            &self.unobserved_since,
            &self.deviations,
            &self.open,
            &self.longest,
            &self.due,
        ]
    }

    fn show_one(&self, period: &PeriodSeries<'_>) {
        let PeriodSeries { name, to, standing } = *period;
        self.ready.set(name, &[], i64::from(standing.is_some()));
        let end = to.map(|to| (Vec::new(), to.as_second()));
        self.end.replace(name, end);
        let all = standing.map_or(&[][..], |standing| &standing.controls);
        let omitted = whole(all.len().saturating_sub(MOST_CONTROLS));
        self.left_out.set(name, &[], omitted);
        let controls = &all[..all.len().min(MOST_CONTROLS)];
        let each = |value: fn(&ControlStanding) -> i64| {
            let rows = controls.iter();
            rows.map(move |control| (of(control, None), value(control)))
        };
        self.gap_seconds
            .replace(name, each(|control| control.observed.unobserved_seconds));
        self.deviations
            .replace(name, each(|control| control.observed.deviations));
        self.open
            .replace(name, each(|control| control.observed.open));
        self.longest
            .replace(name, each(|control| control.observed.longest_seconds));
        let coverage = controls.iter();
        let coverage = coverage.map(|control| (of(control, None), control.coverage));
        self.coverage.replace(name, coverage);
        let blind = controls.iter().filter_map(|control| {
            let since = control.observed.unobserved_since.as_ref()?;
            Some((of(control, None), since.0.as_second()))
        });
        self.unobserved_since.replace(name, blind);
        let operated = controls.iter().flat_map(|control| {
            Operated::ALL.map(|state| {
                let is = i64::from(control.operated == state);
                (of(control, Some(state.name())), is)
            })
        });
        self.operated.replace(name, operated);
        let due = controls.iter().flat_map(|control| {
            let due = control.due.iter();
            due.map(|(kind, by)| (of(control, Some(kind.as_str())), Timestamp::as_second(*by)))
        });
        self.due.replace(name, due);
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;
    use crate::{
        api::{ObservedPeriod, ObservedPeriodControl},
        period::{DueKind, Standing},
    };

    fn control(id: &str) -> ControlStanding {
        ControlStanding {
            observed: ObservedPeriodControl {
                id: id.to_owned(),
                policy: "soc2".to_owned(),
                deviations: 3,
                open: 1,
                longest_seconds: 60,
                unobserved_seconds: 90,
                ..ObservedPeriodControl::default()
            },
            operated: Operated::NotJudged,
            coverage: 0.75,
            due: [(DueKind::RestoreTest, Timestamp::UNIX_EPOCH)].into(),
        }
    }

    fn standing(controls: Vec<ControlStanding>) -> Standing {
        Standing {
            observed: ObservedPeriod::default(),
            logs: Vec::new(),
            controls,
            log_begins: None,
            elsewhere: None,
            empty: None,
        }
    }

    fn series<'a>(name: &'a str, to: i64, standing: Option<&'a Standing>) -> PeriodSeries<'a> {
        PeriodSeries {
            name,
            to: Some(Timestamp::from_second(to).unwrap()),
            standing,
        }
    }

    fn text(registry: &Registry) -> Vec<String> {
        let text = TextEncoder::new().encode_to_string(&registry.gather());
        let lines = text.unwrap();
        let lines = lines.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_period_shows_what_its_status_says_until_it_is_gone() {
        let registry = Registry::new();
        let periods = Periods::new(&registry).unwrap();
        let told = standing(vec![control("x")]);
        periods.show(vec![series("h1", 7, Some(&told))]);
        let labels = r#"control="x",period="h1",policy="soc2""#;
        let mut expected = vec![
            format!("period_controls_omitted{{period=\"h1\"}} 0"),
            format!("period_coverage_ratio{{{labels}}} 0.75"),
            format!("period_deviation_longest_seconds{{{labels}}} 60"),
            format!("period_deviations{{{labels}}} 3"),
            format!("period_deviations_open{{{labels}}} 1"),
            format!(
                "period_due_timestamp_seconds{{control=\"x\",kind=\"RestoreTest\",period=\"h1\",policy=\"soc2\"}} 0"
            ),
            "period_end_timestamp_seconds{period=\"h1\"} 7".to_owned(),
            format!("period_gap_seconds{{{labels}}} 90"),
        ];
        for state in Operated::ALL {
            let is = u8::from(state == Operated::NotJudged);
            let name = state.name();
            expected.push(format!("period_operated{{{labels},state=\"{name}\"}} {is}"));
        }
        expected.push("period_ready{period=\"h1\"} 1".to_owned());
        expected.push("periods_omitted 0".to_owned());
        expected.sort();
        let mut shown = text(&registry);
        shown.sort();
        assert_eq!(shown, expected);
        // Nothing is known of it any more: what was shown must not stand there as if it were.
        periods.show(vec![series("h1", 7, None)]);
        let shown = text(&registry);
        assert!(shown.contains(&"period_ready{period=\"h1\"} 0".to_owned()));
        assert!(!shown.iter().any(|line| line.contains("soc2")), "{shown:?}");
        periods.show(Vec::new());
        assert_eq!(text(&registry), ["periods_omitted 0"]);
        periods.show(vec![series("h1", 7, Some(&told))]);
        periods.forget();
        assert_eq!(text(&registry), ["periods_omitted 0"]);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let registry = Registry::new();
        let periods = Periods::new(&registry).unwrap();
        let many = (0..MOST_CONTROLS + 2).map(|n| control(&format!("c{n}")));
        let told = standing(many.collect());
        let names: Vec<String> = (0..=MOST_PERIODS).map(|n| format!("p{n}")).collect();
        let all = names.iter().zip(0..);
        let all = all.map(|(name, end)| series(name, end, Some(&told)));
        periods.show(all.collect());
        let shown = text(&registry);
        let count = |begin: &str| shown.iter().filter(|line| line.starts_with(begin)).count();
        assert_eq!(count("period_deviations{"), MOST_CONTROLS * MOST_PERIODS);
        assert_eq!(count("period_ready{"), MOST_PERIODS);
        assert_eq!(count("period_ready{period=\"p0\"}"), 0, "it ended first");
        assert!(shown.contains(&"periods_omitted 1".to_owned()));
        assert!(shown.contains(&"period_controls_omitted{period=\"p8\"} 2".to_owned()));
    }
}
