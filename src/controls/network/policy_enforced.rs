//! `net-policy-enforced`

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    api::Period,
    controls::prelude::*,
    engine::{NetworkProbe, Route},
    inventory::selector::check_labels,
};

/// The cluster's network plugin enforces network policies, seen by two pods and a policy between
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyEnforced {
    /// Run the probe. It creates and deletes two pods and a policy in a namespace of its own, for
    /// which the chart grants the rights with `networkProbe.enabled`.
    #[serde(default)]
    pub run: bool,

    /// How often the probe runs.
    #[serde(default = "day")]
    pub interval: Period,

    /// How long a policy may take to be in effect.
    #[serde(default = "minute")]
    pub timeout: Period,

    /// Image that holds Probity, for the pods of the probe. Absent means the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Labels of nodes; the probe runs once for each set. Absent means any node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub node_selectors: Vec<NodeLabels>,

    /// Probe between two nodes as well as on one. Set it to false where there is but one node.
    #[serde(default = "yes")]
    pub two_nodes: bool,
}

/// Labels that a node must have.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(extend("maxProperties" = 8))]
pub struct NodeLabels(pub BTreeMap<String, String>);

fn day() -> Period {
    Period::hours(24)
}

fn minute() -> Period {
    Period::seconds(60)
}

const fn yes() -> bool {
    true
}

impl Default for PolicyEnforced {
    fn default() -> Self {
        Self {
            run: false,
            interval: day(),
            timeout: minute(),
            image: None,
            node_selectors: Vec::new(),
            two_nodes: true,
        }
    }
}

impl PolicyEnforced {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-policy-enforced",
        field: "netPolicyEnforced",
        title: "The cluster enforces network policies",
        family: Family::Network,
        criteria: &["CC6.6", "CC7.2", "CC4.1"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::NetworkProbe],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Where `run` is set, a probe lets one pod connect to another: without a policy that \
               succeeds; within `timeout` after a policy denied ingress to the one, or egress from \
               the other, it fails; once the policy is gone it succeeds again. On one node, and \
               between two.",
        why: "Every other control of networks judges what is declared. Some network plugins \
              enforce no policy at all, and none of them says so: policies are accepted, and \
              nothing is denied.",
        fix: "Nothing is changed: enforcement is a matter of the network plugin.",
        by_hand: "Install a network plugin that enforces policies, or switch its enforcement on \
                  (such as the network policy agent of the Amazon VPC CNI).",
        prevention: "None: admission does not see packets.",
        limits: "Off until `run` is set, and Unknown until then: nobody has looked. The kubelet \
                 says whether the client gets through (its readiness is one connection a second): \
                 a node that is lost, an image that can't be pulled, or two pods that don't reach \
                 each other without any policy make the verdict Unknown, as does a client that \
                 does not recover, because then something else stopped it. What is seen holds for \
                 TCP between the nodes that were probed, and for that moment. A rule of the Admin \
                 tier that accepts everything shadows the policy of the probe: leave its namespace \
                 out of it.",
    };

    fn verdict(run: &NetworkProbe) -> Verdict {
        let words = |route: &str, why: &str| format!("{route}: {why}");
        let of = |wanted: fn(&Route) -> Option<&str>| {
            let mut routes = run.routes.iter();
            routes.find_map(|(name, route)| Some(words(name, wanted(route)?)))
        };
        let open = of(|route| match route {
            Route::NotEnforced(why) => Some(why),
            _ => None,
        });
        if let Some(why) = open {
            return Verdict::fail(Strength::Operating, "PoliciesNotEnforced", why).propose(
                "install a network plugin that enforces policies, or switch its enforcement on",
            );
        }
        let unclear = of(|route| match route {
            Route::Unclear(why) => Some(why),
            _ => None,
        });
        match unclear {
            Some(why) => Verdict::unknown("ProbeUnclear", why),
            None if run.routes.is_empty() => {
                Verdict::unknown("ProbeUnclear", "the probe had no route to try")
            }
            None => {
                let routes: Vec<_> = run.routes.keys().map(|name| &**name).collect();
                let message = format!("policies were enforced {}", routes.join(", and "));
                Verdict::pass(Strength::Operating, "PoliciesEnforced", message)
            }
        }
    }
}

impl Control for PolicyEnforced {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if self.interval.duration().as_secs() < 600 {
            return Err(format!("interval is {}: write 10m or more", self.interval));
        }
        for NodeLabels(labels) in &self.node_selectors {
            let pairs = labels.iter().map(|(key, value)| (&**key, &**value));
            check_labels(pairs).map_err(|why| format!("nodeSelectors can't be used: {why}"))?;
        }
        match self.timeout.duration().as_secs() {
            5..=300 => Ok(()),
            _ => Err(format!("timeout is {}: write 5s to 5m", self.timeout)),
        }
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, found: &mut dyn FnMut(Subject)) {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }

    fn judge(&self, context: &Context<'_>, _: &Subject) -> Option<Verdict> {
        if !self.run {
            return Some(Verdict::unknown(
                "ProbeOff",
                "the probe is off: set run, and networkProbe.enabled in the chart",
            ));
        }
        let Some(run) = &context.observed.network_probe else {
            return Some(Verdict::unknown(
                "ProbePending",
                "the probe has not run yet",
            ));
        };
        // A run that is missed makes what was seen before it old news.
        let twice = SignedDuration::try_from(self.interval.duration() * 2);
        let twice = twice.unwrap_or(SignedDuration::MAX);
        let stale_at = run.at.saturating_add(twice).unwrap_or(Timestamp::MAX);
        if context.now >= stale_at {
            let message = format!("the probe last ran at {}, two intervals ago", run.at);
            return Some(Verdict::unknown("ProbeStale", message));
        }
        Some(Self::verdict(run).recheck(stale_at))
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::controls::testing::World;

    fn asked() -> PolicyEnforced {
        PolicyEnforced {
            run: true,
            ..PolicyEnforced::default()
        }
    }

    fn world(routes: &[(&str, Route)]) -> World {
        let mut world = World::new();
        world.observed.network_probe = Some(NetworkProbe {
            at: world.now,
            routes: routes
                .iter()
                .map(|(name, route)| ((*name).into(), route.clone()))
                .collect(),
        });
        world
    }

    #[test]
    fn labels_that_no_node_has_are_refused() {
        let labels = |key: &str, value: &str| PolicyEnforced {
            node_selectors: vec![NodeLabels([(key.to_owned(), value.to_owned())].into())],
            ..asked()
        };
        assert_eq!(labels("pool", "blue").check(), Ok(()));
        for bad in [labels("the pool", "blue"), labels("pool", "light blue")] {
            let why = bad.check().unwrap_err();
            assert!(why.starts_with("nodeSelectors can't be used: "), "{why}");
        }
    }

    #[test]
    fn nothing_is_known_until_somebody_has_looked() {
        let reason = |world: &mut World, control: &PolicyEnforced| {
            let verdict = world.only(control);
            assert_eq!(verdict.outcome, Outcome::Unknown);
            verdict.reason
        };
        assert_eq!(
            reason(&mut World::new(), &PolicyEnforced::default()),
            "ProbeOff"
        );
        assert_eq!(reason(&mut World::new(), &asked()), "ProbePending");
        assert_eq!(reason(&mut world(&[]), &asked()), "ProbeUnclear");
    }

    #[test]
    fn every_route_has_to_be_closed() {
        let open = || Route::NotEnforced("open".into());
        let unclear = || Route::Unclear("no node".into());
        for (routes, outcome) in [
            (
                vec![("a", Route::Enforced), ("b", Route::Enforced)],
                Outcome::Pass,
            ),
            (
                vec![("a", Route::Enforced), ("b", unclear())],
                Outcome::Unknown,
            ),
            (vec![("a", unclear()), ("b", open())], Outcome::Fail),
            (vec![("a", Route::Enforced), ("b", open())], Outcome::Fail),
        ] {
            let verdict = world(&routes).only(&asked());
            assert_eq!(verdict.outcome, outcome, "{routes:?}");
            if outcome != Outcome::Unknown {
                assert_eq!(verdict.strength, Strength::Operating);
            }
        }
    }

    #[test]
    fn what_was_seen_grows_old() {
        let mut world = world(&[("a", Route::Enforced)]);
        let verdict = world.only(&asked());
        let stale = world.now.checked_add(48.hours()).unwrap();
        assert_eq!(verdict.recheck_at, Some(stale));
        world.now = stale;
        assert_eq!(world.only(&asked()).reason, "ProbeStale");
    }

    #[test]
    fn times_are_checked() {
        let with = |interval: Period, timeout: Period| PolicyEnforced {
            interval,
            timeout,
            ..asked()
        };
        assert!(with(Period::hours(1), Period::seconds(30)).check().is_ok());
        assert!(
            with(Period::minutes(1), Period::seconds(30))
                .check()
                .is_err()
        );
        assert!(with(Period::hours(1), Period::seconds(1)).check().is_err());
    }
}
