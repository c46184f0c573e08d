//! Policies with different scopes look at the same verdicts.

use proptest::prelude::*;

use super::*;

/// Something that happens in a small cluster with three namespaces.
#[derive(Debug, Clone)]
enum Happens {
    /// A namespace has this label, or is gone.
    Namespace(u8, Option<u8>),
    /// The network policy of a namespace denies everything or allows it, or is gone.
    Policy(u8, Option<bool>),
    /// A policy has this scope, or is gone.
    Asks(u8, Option<u8>),
    /// The watch of network policies is refused, or is not any more.
    Forbidden(bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..3u8, prop::option::weighted(0.8, 0..2u8)).prop_map(|(n, l)| Happens::Namespace(n, l)),
        4 => (0..3u8, prop::option::weighted(0.7, any::<bool>())).prop_map(|(n, p)| Happens::Policy(n, p)),
        2 => (0..3u8, prop::option::weighted(0.8, 0..4u8)).prop_map(|(p, s)| Happens::Asks(p, s)),
        1 => any::<bool>().prop_map(Happens::Forbidden),
    ]
}

fn scope(number: u8) -> Value {
    match number {
        0 => json!({}),
        1 => json!({ "namespaceSelector": { "matchLabels": { "tier": "0" } } }),
        2 => json!({ "include": ["team-0", "team-1"] }),
        _ => json!({ "exclude": ["team-1"] }),
    }
}

#[test]
fn a_namespace_that_is_gone_is_not_kept_in_mind() {
    let mut drive = Drive::new();
    drive.policy(1, observe());
    for n in 0..3 {
        drive.namespace(&format!("short-{n}"));
        drive.delete(Kind::Namespace, "", &format!("short-{n}"));
    }
    let mut instances = drive.engine.instances.values();
    assert_eq!(instances.next().unwrap().namespaces(), 0);
}

/// What is so in the end.
#[derive(Default)]
struct Cluster {
    namespaces: BTreeMap<u8, u8>,
    policies: BTreeMap<u8, bool>,
    asks: BTreeMap<u8, u8>,
    forbidden: bool,
}

impl Cluster {
    fn happens(&mut self, what: &Happens, drive: &mut Drive) {
        match *what {
            Happens::Namespace(n, Some(label)) => {
                self.namespaces.insert(n, label);
                drive.labelled(n, label);
            }
            Happens::Namespace(n, None) => {
                if self.namespaces.remove(&n).is_some() {
                    drive.delete(Kind::Namespace, "", &format!("team-{n}"));
                }
            }
            Happens::Policy(n, Some(denies)) => {
                self.policies.insert(n, denies);
                drive.denies(n, denies);
            }
            Happens::Policy(n, None) => {
                if self.policies.remove(&n).is_some() {
                    drive.delete(Kind::NetworkPolicy, &format!("team-{n}"), "p");
                }
            }
            Happens::Asks(p, Some(scope)) => {
                self.asks.insert(p, scope);
                drive.asks(p, scope);
            }
            Happens::Asks(p, None) => {
                if self.asks.remove(&p).is_some() {
                    drive.apply(Event::PolicyDeleted(format!("policy-{p}")));
                }
            }
            Happens::Forbidden(forbidden) => {
                self.forbidden = forbidden;
                drive.forbid(forbidden);
            }
        }
        drive.round();
    }

    /// A new engine that is shown just what is so.
    fn afresh(&self) -> Drive {
        let mut drive = Drive::new();
        for (n, label) in &self.namespaces {
            drive.labelled(*n, *label);
        }
        for (n, denies) in &self.policies {
            drive.denies(*n, *denies);
        }
        for (p, scope) in &self.asks {
            drive.asks(*p, *scope);
        }
        drive.forbid(self.forbidden);
        drive.round();
        drive
    }
}

impl Drive {
    fn labelled(&mut self, n: u8, label: u8) {
        let meta = json!({ "name": format!("team-{n}"), "labels": { "tier": label.to_string() } });
        self.put(Kind::Namespace, json!({ "metadata": meta }));
    }

    fn denies(&mut self, n: u8, denies: bool) {
        let rules = if denies { json!([]) } else { json!([{}]) };
        let meta = json!({ "name": "p", "namespace": format!("team-{n}") });
        let spec = json!({ "podSelector": {}, "ingress": rules });
        self.put(
            Kind::NetworkPolicy,
            json!({ "metadata": meta, "spec": spec }),
        );
    }

    fn asks(&mut self, p: u8, number: u8) {
        self.versions += 1;
        let policy = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
            "metadata": {
                "name": format!("policy-{p}"), "uid": format!("p-{p}"), "generation": self.versions,
            },
            "spec": { "scope": scope(number), "controls": { "netNamespaceDefaultDeny": {} } },
        });
        let policy = serde_json::from_value(policy).unwrap();
        self.apply(Event::Policy(Box::new(policy)));
    }

    fn forbid(&mut self, forbidden: bool) {
        let availability = if forbidden {
            Availability::Forbidden("no".to_owned())
        } else {
            Availability::Synced
        };
        self.apply(Event::Availability(Kind::NetworkPolicy, availability));
    }

    /// What each policy says of each subject.
    fn table(&self) -> Vec<(String, Vec<Series>, Vec<String>)> {
        let policies = self.engine.policies.iter();
        let rows = policies.map(|(name, policy)| {
            let members = policy.controls.iter().flat_map(|control| {
                let members = self.engine.members(control.instance).into_iter();
                members.map(|(subject, verdict)| format!("{subject}: {}", verdict.outcome))
            });
            let rows = members.collect();
            // Where a deviation comes from is history.
            let series = self.engine.series(name).into_iter().map(|series| Series {
                deviations: BTreeMap::new(),
                ..series
            });
            (name.to_string(), series.collect(), rows)
        });
        rows.collect()
    }
}

proptest! {
    #[test]
    fn whatever_happened_before_only_what_is_so_counts(
        history in prop::collection::vec(happens(), 1..40),
    ) {
        let mut cluster = Cluster::default();
        let mut drive = Drive::new();
        for what in &history {
            cluster.happens(what, &mut drive);
        }
        // Nothing can be said anew of what nobody may read: there the last verdicts stay.
        if cluster.forbidden {
            cluster.happens(&Happens::Forbidden(false), &mut drive);
        }
        prop_assert_eq!(drive.table(), cluster.afresh().table());
    }
}

#[test]
fn policies_that_differ_in_scope_share_one_rule() {
    let mut drive = Drive::new();
    for n in 0..3 {
        drive.labelled(n, n);
        drive.denies(n, true);
    }
    for p in 0..4 {
        drive.asks(p, p);
    }
    drive.round();
    assert_eq!(drive.engine.rules.len(), 1);
    let population = |drive: &Drive| {
        let sizes = (0..4).map(|p| {
            drive.engine.series(&format!("policy-{p}"))[0]
                .counts
                .total()
        });
        sizes.collect::<Vec<_>>()
    };
    assert_eq!(population(&drive), [3, 1, 2, 2]);
    drive.labelled(1, 0);
    drive.round();
    assert_eq!(population(&drive), [3, 2, 2, 2]);
    for p in 0..4 {
        drive.apply(Event::PolicyDeleted(format!("policy-{p}")));
    }
    drive.round();
    assert!(drive.engine.rules.is_empty() && drive.engine.needed_kinds().is_empty());
}

#[test]
fn the_series_of_what_cannot_be_read_are_told_anew() {
    let mut drive = Drive::new();
    drive.labelled(0, 0);
    drive.denies(0, true);
    drive.asks(0, 0);
    drive.round();
    drive.forbid(true);
    let now = drive.now();
    let round = drive.engine.round(now);
    assert!(round.changed.contains("policy-0"));
    assert_eq!(drive.engine.series("policy-0")[0].outcome, Outcome::Unknown);
}
