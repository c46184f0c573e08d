//! Which addresses a workload's pods reach: what `net-egress-internet-restricted` and
//! `net-metadata-endpoint-blocked` ask.

use super::common;
use crate::{
    analysis::{
        addresses::Addresses,
        network::{Applying, Direction, Policy, Segment},
    },
    controls::{prelude::*, workloads::Held},
    inventory::tiers::Act,
};

/// Addresses that pods reach and should not, at some ports.
pub(super) struct Reached<'a> {
    pub(super) addresses: Addresses,
    /// The ports in words.
    pub(super) ports: String,
    /// Policies that let them; none where nothing isolates the pods.
    pub(super) policies: Vec<Policy<'a>>,
}

/// The first of `forbidden` that the pods of a workload reach at ports that `matter`, and all
/// that applies to their egress.
pub(super) fn reached<'a>(
    context: &Context<'a>,
    held: &Held<'a>,
    forbidden: &Addresses,
    cuts: &[u16],
    matter: impl Fn(&Segment<'_>) -> bool,
) -> (Applying<'a>, Option<Reached<'a>>) {
    let (inventory, namespace) = (context.inventory, &*held.meta.namespace);
    let applying = Applying::gather(inventory, namespace, held.template, Direction::Egress);
    // Names of ports are those of the pods at the other end: addresses have none.
    let segments = applying.segments(&[], cuts);
    let reached = segments
        .iter()
        .filter(|segment| matter(segment))
        .find_map(|segment| {
            let addresses = shared(segment, forbidden)?;
            Some(Reached {
                addresses,
                ports: ports(segment),
                policies: guilty(segment, forbidden),
            })
        });
    (applying, reached)
}

/// Which of `forbidden` the segment lets through.
fn shared(segment: &Segment<'_>, forbidden: &Addresses) -> Option<Addresses> {
    let mut through = segment.addresses();
    through.limit(forbidden);
    (!through.is_empty()).then_some(through)
}

/// The policies that let some of `forbidden` through, each by itself.
fn guilty<'a>(segment: &Segment<'a>, forbidden: &Addresses) -> Vec<Policy<'a>> {
    let granting = segment.grants.iter().map(|grant| grant.policy);
    let accepting = segment.admin.iter().chain(&segment.baseline);
    let accepting = accepting.filter(|step| step.act == Act::Accept);
    let mut policies: Vec<_> = granting.chain(accepting.map(|step| step.policy)).collect();
    policies.sort();
    policies.dedup();
    policies.retain(|policy| {
        let mut own = segment.clone();
        own.isolated = true;
        own.grants.retain(|grant| grant.policy == *policy);
        let kept = |act: Act, of: &Policy<'_>| act != Act::Accept || of == policy;
        own.admin.retain(|step| kept(step.act, &step.policy));
        own.baseline.retain(|step| kept(step.act, &step.policy));
        shared(&own, forbidden).is_some()
    });
    policies
}

fn ports(segment: &Segment<'_>) -> String {
    let Segment {
        protocol,
        first,
        last,
        ..
    } = segment;
    match (*first, *last) {
        (1, u16::MAX) => format!("every {protocol} port"),
        (first, last) if first == last => format!("{protocol} port {first}"),
        (first, last) => format!("{protocol} ports {first}–{last}"),
    }
}

impl Reached<'_> {
    /// The failure in words, but for what it is that is reached.
    pub(super) fn message(&self, what: &str, applying: &Applying<'_>) -> String {
        let Self {
            ports, policies, ..
        } = self;
        if policies.is_empty() {
            let because = if applying.is_isolated() {
                "no policy stops it"
            } else {
                "nothing isolates them for egress"
            };
            format!("its pods reach {what} at {ports}: {because}")
        } else {
            format!(
                "{} its pods reach {what} at {ports}",
                common::let_by(policies)
            )
        }
    }
}
