//! `net-metadata-endpoint-blocked`

use serde_json::{Value, json};

use super::{
    common,
    reach::{Reached, reached},
};
use crate::{
    analysis::{Derived, addresses::Addresses},
    controls::{
        prelude::*,
        workloads::{self, Held},
    },
    inventory::network_policy::Cidr,
};

/// Workloads don't reach the cloud's metadata endpoint, which hands out the credentials of their
/// node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetadataEndpointBlocked {
    /// Service accounts whose pods need the endpoint, as `namespace/name`: agents that exchange
    /// identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 317)))]
    pub exempt_service_accounts: Vec<String>,

    /// Addresses of the endpoint.
    #[serde(default = "endpoints")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 2, max = 45)))]
    pub addresses: Vec<String>,

    /// Ports at which the endpoint is judged, of every protocol; absent means every port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ports: Vec<u16>,
}

fn endpoints() -> Vec<String> {
    vec!["169.254.169.254".to_owned(), "fd00:ec2::254".to_owned()]
}

impl Default for MetadataEndpointBlocked {
    fn default() -> Self {
        Self {
            exempt_service_accounts: Vec::new(),
            addresses: endpoints(),
            ports: Vec::new(),
        }
    }
}

impl MetadataEndpointBlocked {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "net-metadata-endpoint-blocked",
        field: "netMetadataEndpointBlocked",
        title: "Workloads don't reach the cloud's metadata endpoint",
        family: Family::Network,
        criteria: &["CC6.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 4,
        reads: &workloads::KINDS,
        subjects: &workloads::KINDS,
        derives: &[Derived::Isolation],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "For each workload, all policies for egress together keep its pods from \
               169.254.169.254 and fd00:ec2::254 on every port, or on `ports`. A rule of Cilium for domains reaches the first if it \
               names the endpoint (metadata.google.internal and the like) or is wildcards only, and \
               `egressDeny` of Cilium keeps from it. What nothing isolates reaches them.",
        why: "The endpoint answers whoever asks from a node with the credentials of that node: \
              with them one pod becomes every pod, and reaches the cloud account.",
        fix: "Proposed: an `except` in the rule that opens the way, or a rule of the Admin tier \
              that denies the endpoint to all. Nothing is changed: a policy that lacks it never \
              passed.",
        by_hand: "Add 169.254.169.254/32 to `except` of every block that holds it, or deny it to \
                  all pods in the Admin tier. On AWS set the hop limit of IMDSv2 to 1 as well.",
        prevention: "None: whether an address is reached is a matter of all policies together.",
        limits: "Judged by the template, and by how live pods look where that is otherwise. \
                 Effective policies are judged, not the endpoint: a hop limit of 1 (IMDSv2), \
                 metadata concealment, and endpoints that no cloud serves are not seen, and the \
                 verdict is Fail all the same; an exception says so. Pods in the node's network \
                 bypass every policy: see `net-host-network`. Some clouds serve DNS \
                 under the same address: where policies let it through, narrow `ports`. On other \
                 ports than those the address is not judged.",
    };

    fn endpoints(&self) -> Addresses {
        let mut endpoints = Addresses::default();
        for address in self.addresses.iter().filter_map(|text| parse(text)) {
            endpoints.add(address);
        }
        endpoints
    }

    fn is_exempt(&self, namespace: &str, account: Option<&Sym>) -> bool {
        let account = account.map_or("default", |account| account);
        let mut exempt = self.exempt_service_accounts.iter();
        exempt.any(|exempt| exempt.split_once('/') == Some((namespace, account)))
    }

    fn rule<'a>(&self, context: &Context<'a>, held: &Held<'a>) -> Verdict {
        if self.is_exempt(&held.meta.namespace, held.template.service_account.as_ref()) {
            let message = "exemptServiceAccounts lists its service account";
            return Verdict::not_applicable("ExemptServiceAccount", message);
        }
        if held.template.host_network {
            return common::host_network();
        }
        let endpoints = self.endpoints();
        let (applying, reached) = reached(context, held, &endpoints, &self.ports, |segment| {
            let ports = segment.first..=segment.last;
            self.ports.is_empty() || self.ports.iter().any(|port| ports.contains(port))
        });
        let Some(reached) = reached else {
            let verdict = Verdict::pass(Strength::Effective, "MetadataEndpointBlocked", "");
            return common::unless_doubtful(verdict, &applying);
        };
        if let (false, Some(what)) = (applying.is_isolated(), applying.doubt(|d| d.isolates)) {
            return common::doubtful(what);
        }
        let address = reached.addresses.example();
        let address = address.map_or(String::new(), |address| format!(" {address}"));
        let message = reached.message(&format!("the metadata endpoint{address}"), &applying);
        let proposal = self.proposal(held, &reached);
        let verdict = Verdict::fail(Strength::Effective, "MetadataEndpointReachable", message);
        common::unless_doubtful(verdict.propose(proposal), &applying)
    }

    /// What to write instead.
    fn proposal(&self, held: &Held<'_>, reached: &Reached<'_>) -> String {
        let others = self.others("0.0.0.0/0", 32);
        if !reached.policies.is_empty() {
            return format!(
                "in {}, take the endpoint out of the block: `{others}`",
                common::named(&reached.policies)
            );
        }
        // To some engines pods are no addresses: a block does not let them through.
        let peers = json!([{ "namespaceSelector": {} }, others, self.others("::/0", 128)]);
        format!(
            "deny the endpoint to all pods by a rule of the Admin tier, or let these reach all pods, \
             and all addresses but it (where blocks don't match nodes, as with Cilium, what they need \
             of nodes and the API server takes a rule of the engine's own): {}",
            common::isolating(held, "no-metadata", &json!([{ "to": peers }]))
        )
    }

    /// A peer for all addresses of a family, of so many bits, but the endpoint's.
    fn others(&self, all: &str, bits: u8) -> Value {
        let endpoints = self.addresses.iter().filter_map(|text| parse(text));
        let except: Vec<_> = endpoints
            .filter(|cidr| cidr.address.is_ipv4() == (bits == 32))
            .map(|cidr| format!("{}/{bits}", cidr.address))
            .collect();
        let mut block = json!({ "cidr": all });
        if !except.is_empty() {
            block["except"] = json!(except);
        }
        json!({ "ipBlock": block })
    }
}

fn parse(address: &str) -> Option<Cidr> {
    let bits = if address.contains(':') { 128 } else { 32 };
    Cidr::parse(&format!("{address}/{bits}"))
}

impl Control for MetadataEndpointBlocked {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if let Some(bad) = self
            .addresses
            .iter()
            .find(|address| parse(address).is_none())
        {
            return Err(format!(
                "addresses: {bad} is no address: write 169.254.169.254"
            ));
        }
        let mut accounts = self.exempt_service_accounts.iter();
        match accounts.find(|account| !account.contains('/')) {
            Some(bad) => Err(format!(
                "exemptServiceAccounts: {bad}: write namespace/name"
            )),
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
        workloads::each(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let held = workloads::find(context.inventory, subject)?;
        let judge = |look: &Held<'_>| self.rule(context, look);
        Some(common::worst_look(context, subject, &held, judge))
    }
}

#[cfg(test)]
mod tests;
