//! `net-egress-internet-restricted`

use serde_json::json;

use super::{
    common,
    reach::{Reached, reached},
};
use crate::{
    analysis::{Derived, addresses::Addresses},
    controls::{
        labels::LabelSelector,
        prelude::*,
        workloads::{self, Held},
    },
    inventory::{meta::Labels, network_policy::Cidr},
};

/// Workloads reach no public address but those that the policy lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressInternetRestricted {
    /// Namespaces, by label, whose workloads are judged. Absent means all in scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,

    /// Public addresses that every workload may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub allowed_cidrs: Vec<String>,

    /// Public addresses that count as private, beside RFC 1918, RFC 6598 and unique local ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub private_ranges: Vec<String>,
}

impl EgressInternetRestricted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-egress-internet-restricted",
        field: "netEgressInternetRestricted",
        title: "Workloads reach only the public addresses that they need",
        family: Family::Network,
        criteria: &["CC6.6", "CC6.7", "P6.1"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &workloads::KINDS,
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "For each workload of the namespaces that `selector` selects, all policies for \
               egress together let no public address through, on any port, beside \
               `allowedCidrs`; IPv4 addresses count as well where they are written as IPv6 \
               (64:ff9b::/96 of NAT64, ::ffff:0:0/96). Rules that name domains (of Cilium or of the \
               Admin tier) are explicit, and allowed, unless a pattern is wildcards only. What nothing isolates reaches everything.",
        why: "Data leaves, and tools of an attacker come in, through whatever connection to the \
              internet a compromised pod can open.",
        fix: "Proposed: the policy to narrow, with an `except` or a list of what is needed. \
              Nothing is changed, because only the owner knows what that is.",
        by_hand: "Replace blocks that hold public addresses by the addresses that the workload \
                  needs, and send the rest through a proxy that knows names.",
        prevention: "A ValidatingAdmissionPolicy can refuse blocks of public addresses in one \
                     policy; what several come to, and pods without any, it does not see.",
        limits: "Judged by the template, and by how live pods look where that is otherwise. \
                 Special-purpose addresses (loopback, link-local, documentation, multicast, reserved) are neither public nor private, and ignored: \
                 see `net-metadata-endpoint-blocked`. A proxy or NAT gateway with a private address \
                 that leads to the internet is not seen. Some network plugins apply egress rules \
                 to the address of a Service, some to that of its pods. Images are pulled by \
                 nodes, which no policy of pods restricts.",
    };

    fn forbidden(&self) -> Addresses {
        let mut forbidden = Addresses::public().clone();
        let allowed = self.allowed_cidrs.iter().chain(&self.private_ranges);
        for cidr in allowed.filter_map(|cidr| Cidr::parse(cidr)) {
            forbidden.remove_translated(cidr);
        }
        forbidden
    }

    fn is_selected(&self, labels: &Labels) -> bool {
        let selector = self.selector.as_ref();
        selector.is_none_or(|selector| selector.matches(labels))
    }

    fn rule<'a>(&self, context: &Context<'a>, held: &Held<'a>) -> Verdict {
        if held.template.host_network {
            return common::host_network();
        }
        let (applying, reached) = reached(context, held, &self.forbidden(), &[], |_| true);
        let verdict = match &reached {
            None => Verdict::pass(Strength::Effective, "EgressRestricted", ""),
            Some(reached) => {
                let example = reached.addresses.example();
                let example = example.map_or(String::new(), |ip| format!(", such as {ip},"));
                let what = format!("public addresses{example}");
                let message = reached.message(&what, &applying);
                Verdict::fail(Strength::Effective, "EgressToInternet", message)
                    .propose(proposal(held, reached))
            }
        };
        let isolates = applying.doubt(|doubt| doubt.isolates);
        match isolates {
            Some(what) if verdict.outcome == Outcome::Fail && !applying.is_isolated() => {
                common::doubtful(what)
            }
            _ => common::unless_doubtful(verdict, &applying),
        }
    }
}

/// What to write instead.
fn proposal(held: &Held<'_>, reached: &Reached<'_>) -> String {
    if reached.policies.is_empty() {
        let dns = super::default_deny::dns();
        return format!(
            "isolate the pods for egress, with what they need beside name resolution: {}",
            common::isolating(held, "only-dns", &json!([dns]))
        );
    }
    format!(
        "in {}, replace the block by the addresses that the workload needs, or list them in \
         allowedCidrs if every workload may reach them",
        common::named(&reached.policies)
    )
}

impl Control for EgressInternetRestricted {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        let mut selector = self.selector.iter();
        selector.try_for_each(|selector| selector.check("selector"))?;
        let mut all = self.allowed_cidrs.iter().chain(&self.private_ranges);
        match all.find(|cidr| Cidr::parse(cidr).is_none()) {
            Some(bad) => Err(format!("{bad} is no address block: write 203.0.113.0/24")),
            None => Ok(()),
        }
    }

    fn touched(&self, change: &Change) -> Touched {
        common::touched(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        common::affected(subject)
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let wanted = |labels: &Labels| self.is_selected(labels);
        common::workloads_of(context.inventory, namespace, wanted, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let meta = context
            .inventory
            .meta(Kind::Namespace, "", &held.meta.namespace)?;
        if !self.is_selected(&meta.labels) {
            return None;
        }
        let judge = |look: &Held<'_>| self.rule(context, look);
        Some(common::worst_look(context, subject, &held, judge))
    }
}

#[cfg(test)]
mod tests;
