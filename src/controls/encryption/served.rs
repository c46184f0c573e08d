//! What a TLS server shows to its clients, judged.

use jiff::SignedDuration;

use super::time::later;
use crate::{
    analysis::{
        certificates::{Certificate, chain_fault},
        tls::{Shown, TlsVersion},
    },
    controls::prelude::*,
};

/// The failure of a server that takes versions older than `minimum`.
pub(super) fn version(shown: &Shown, minimum: TlsVersion) -> Option<Verdict> {
    let oldest = shown.oldest.unwrap_or(shown.version).min(shown.version);
    (oldest < minimum).then(|| {
        let message = format!("TLS {} is taken", oldest.as_str());
        Verdict::fail(Strength::Operating, "OldTlsTaken", message)
    })
}

/// The failure of a server whose certificate or chain is weak, out of order, not valid, or not
/// valid for `remaining`.
pub(super) fn certificate(
    shown: &Shown,
    now: Timestamp,
    remaining: SignedDuration,
) -> Option<Verdict> {
    let failing = |reason, message| Some(Verdict::fail(Strength::Operating, reason, message));
    for (at, certificate) in looked_at(shown) {
        let which = if at == 0 {
            "the certificate".to_owned()
        } else {
            format!("certificate {} of the chain", at + 1)
        };
        let member = &certificate.member;
        if now < member.begins() {
            let message = format!("{which} is not valid before {}", member.begins());
            return failing("CertificateNotYetValid", message);
        }
        if !member.is_valid(now) {
            return failing(
                "CertificateExpired",
                format!("{which} ended at {}", member.ends()),
            );
        }
        if let Some(weakness) = member.weakness {
            return failing("CertificateWeak", format!("{which} has {weakness}"));
        }
    }
    if let Some(at) = chain_fault(&shown.chain) {
        let message = format!(
            "certificate {} of the chain did not sign the one before it",
            at + 1
        );
        return failing("ChainOutOfOrder", message);
    }
    let end = first_end(shown)?;
    (now >= later(end, -remaining)).then(|| {
        let message = format!("the certificate, or one of its chain, ends at {end}");
        Verdict::fail(Strength::Operating, "CertificateEndsSoon", message)
    })
}

/// When the first certificate of the chain has only `remaining` left.
pub(super) fn ends(shown: &Shown, remaining: SignedDuration) -> Option<Timestamp> {
    let end = first_end(shown)?;
    Some(later(end, -remaining))
}

/// The certificates that clients look at, with their places: a root that is sent along is trusted
/// for what it is, or not at all.
fn looked_at(shown: &Shown) -> impl Iterator<Item = (usize, &Certificate)> {
    let chain = shown.chain.iter().enumerate();
    chain.filter(|(at, certificate)| *at == 0 || !certificate.is_root())
}

fn first_end(shown: &Shown) -> Option<Timestamp> {
    looked_at(shown)
        .map(|(_, certificate)| certificate.member.ends())
        .min()
}
