//! What a client is served: the certificate that the address of an entry point shows for a host.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use jiff::SignedDuration;

use super::{IngressTls, list, listener};
use crate::{
    analysis::{
        listeners::{Holder, holders},
        tls::{Shown, Target},
    },
    controls::{
        encryption::{
            served::{certificate, ends, version},
            time::{after, later},
        },
        prelude::*,
    },
    inventory::ingress::{Ingress, Listener},
};

/// Time between two handshakes with an entry point.
pub const HANDSHAKE_INTERVAL: Duration = Duration::from_hours(1);
/// What was seen is believed so long: two intervals, and the time that the handshakes take.
const BELIEVED: SignedDuration = SignedDuration::from_mins(150);
/// Handshakes at most: what is beyond is Unknown, and told.
const MOST: usize = 512;
/// Addresses of one entry point that are tried.
const ADDRESSES: usize = 2;
/// What stands for the star of a wildcard.
const ANY: &str = "probity-check";

/// Every handshake that tells something about an entry point of the cluster.
pub fn handshake_targets(inventory: &Inventory) -> BTreeSet<Target> {
    let tables = &inventory.tables;
    let ingresses = tables
        .ingresses
        .iter()
        .flat_map(|object| of_ingress(&object.spec));
    let mut listeners = Vec::new();
    holders(inventory, None, &mut |holder| {
        for listener in holder.listeners {
            listeners.extend(of_listener(inventory, &holder, listener));
        }
    });
    ingresses.chain(listeners).take(MOST).collect()
}

fn of_ingress(ingress: &Ingress) -> Vec<Target> {
    let hosts = ingress.hosts.iter().filter(|host| !host.is_empty());
    targets(&ingress.addresses, 443, hosts.map(|host| &**host))
}

fn of_listener(inventory: &Inventory, holder: &Holder<'_>, listener: &Listener) -> Vec<Target> {
    let Some(gateway) = holder.gateway else {
        return Vec::new();
    };
    if !matches!(&*listener.protocol, "HTTPS" | "TLS") {
        return Vec::new();
    }
    let addresses = &gateway.spec.addresses;
    if let Some(host) = &listener.hostname {
        return targets(addresses, listener.port, std::iter::once(&**host));
    }
    let routes = listener::attached(inventory, holder, listener);
    let hosts = routes.flat_map(|(_, route)| route.spec.hostnames.iter().map(|host| &**host));
    targets(addresses, listener.port, hosts)
}

fn targets<'a>(addresses: &[Sym], port: u16, hosts: impl Iterator<Item = &'a str>) -> Vec<Target> {
    let mut all = Vec::new();
    for host in hosts {
        let name = host
            .strip_prefix('*')
            .map_or_else(|| host.to_owned(), |parent| format!("{ANY}{parent}"));
        all.extend(addresses.iter().take(ADDRESSES).map(|address| Target {
            host: address.to_string(),
            port,
            name: name.clone(),
        }));
    }
    all
}

/// Judges what the clients of an Ingress are served.
pub(super) fn ingress(
    control: &IngressTls,
    context: &Context<'_>,
    object: &Object<Ingress>,
) -> Verdict {
    let targets = of_ingress(&object.spec).into_iter();
    let wanted = targets.filter(|target| !control.allows_http(&target.name));
    judge(control, context, &wanted.collect::<Vec<_>>())
}

/// Judges what the clients of a listener are served.
pub(super) fn listener(
    control: &IngressTls,
    context: &Context<'_>,
    holder: &Holder<'_>,
    listener: &Listener,
) -> Verdict {
    let targets = of_listener(context.inventory, holder, listener);
    judge(control, context, &targets)
}

fn judge(control: &IngressTls, context: &Context<'_>, targets: &[Target]) -> Verdict {
    if targets.is_empty() {
        let message = "its status shows no address, or no host is named: nothing to connect to";
        return Verdict::unknown("NothingToConnectTo", message);
    }
    let now = context.now;
    let Some(served) = &context.observed.served else {
        let soon = later(now, SignedDuration::from_mins(1));
        return Verdict::unknown("HandshakeNotTriedYet", "no handshake was tried yet")
            .recheck(soon);
    };
    let expiry = after(served.at, BELIEVED);
    if now >= expiry {
        let message = format!("the last handshakes were at {}", served.at);
        return Verdict::unknown("HandshakeTooOld", message);
    }
    let verdicts = targets.iter().map(|target| match served.shown.get(target) {
        Some(Ok(shown)) => shown_to(control, now, target, shown),
        Some(Err(why)) => Verdict::unknown("HandshakeFailed", format!("{}: {why}", target.name)),
        None => Verdict::unknown(
            "HandshakeNotTriedYet",
            format!("no handshake for {} was tried yet", target.name),
        ),
    });
    let hosts: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
    let verdict = super::super::worst(verdicts)
        .unwrap_or_else(|| Verdict::unknown("NothingToConnectTo", "nothing to connect to"));
    let recheck = verdict.recheck_at.map_or(expiry, |own| own.min(expiry));
    let mut verdict = verdict.recheck(recheck);
    if verdict.outcome == Outcome::Pass {
        verdict.message =
            format!("clients are served a good certificate for {}", list(&hosts)).into();
    }
    verdict
}

fn shown_to(control: &IngressTls, now: Timestamp, target: &Target, shown: &Shown) -> Verdict {
    let name = &target.name;
    let told = |mut verdict: Verdict| {
        verdict.message = format!("{name}: {}", verdict.message).into();
        verdict
    };
    let leaf = shown.chain.first();
    if !leaf.is_some_and(|leaf| leaf.holds(name)) {
        let message = "the certificate that is served holds other names";
        return told(Verdict::fail(
            Strength::Operating,
            "ServedForOtherHosts",
            message,
        ))
        .propose(
            "Look at the Secret of the tls block: a controller that can't read it serves a \
             certificate of its own.",
        );
    }
    let minimum = control.min_version.version();
    let failure =
        version(shown, minimum)
            .or_else(|| certificate(shown, now, SignedDuration::ZERO))
            .or_else(|| {
                let why = shown.distrust.clone()?;
                Some(Verdict::fail(Strength::Operating, "ServedNotTrusted", why).propose(
                "Serve the whole chain, issued by an authority that clients trust; or name the \
                 authority in trustedAuthorities.",
            ))
            });
    if let Some(failure) = failure {
        return told(failure);
    }
    let verdict = Verdict::pass(
        Strength::Operating,
        "TlsServed",
        "a good certificate is served",
    );
    match ends(shown, SignedDuration::ZERO) {
        Some(end) => verdict.recheck(later(end, SignedDuration::from_secs(1))),
        None => verdict,
    }
}
