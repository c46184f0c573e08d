//! Certificates that cert-manager issues.

use jiff::Timestamp;
use serde::Deserialize;

use super::syms;
use crate::inventory::{
    Projected, Projection,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
};

/// A cert-manager Certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Name of the Secret that it fills.
    pub secret: Sym,
    /// Names in the certificate.
    pub dns_names: Box<[Sym]>,
    /// Whether condition `Ready` is `True`.
    pub ready: bool,
    /// Since when condition `Ready` says what it says.
    pub ready_since: Option<Timestamp>,
    /// When the certificate begins.
    pub not_before: Option<Timestamp>,
    /// When the certificate ends.
    pub not_after: Option<Timestamp>,
    /// When cert-manager renews it.
    pub renewal: Option<Timestamp>,
    /// Attempts to issue it that failed since the last that did not.
    pub failed_attempts: u32,
    /// How long each certificate is to be valid, in seconds, where the spec says.
    pub duration: Option<i64>,
    /// Bits of its RSA key, where the spec says.
    pub rsa_bits: Option<u32>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireCertificate<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: CertificateSpec<'a>,
    #[serde(borrow)]
    status: Option<CertificateStatus<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateSpec<'a> {
    #[serde(borrow)]
    secret_name: Str<'a>,
    #[serde(borrow)]
    dns_names: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    common_name: Option<Str<'a>>,
    #[serde(borrow)]
    duration: Option<Str<'a>>,
    #[serde(borrow)]
    private_key: Option<PrivateKey<'a>>,
}

#[derive(Debug, Deserialize)]
struct PrivateKey<'a> {
    #[serde(borrow)]
    algorithm: Option<Str<'a>>,
    size: Option<u32>,
}

impl PrivateKey<'_> {
    /// Bits of the key where it is one of RSA, which it is by default.
    fn rsa_bits(&self) -> Option<u32> {
        let algorithm = self.algorithm.as_deref().unwrap_or("RSA");
        (algorithm == "RSA").then_some(self.size).flatten()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateStatus<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
    #[serde(borrow)]
    not_before: Option<Str<'a>>,
    #[serde(borrow)]
    not_after: Option<Str<'a>>,
    #[serde(borrow)]
    renewal_time: Option<Str<'a>>,
    failed_issuance_attempts: Option<u32>,
}

/// A condition of a status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::inventory) struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    pub(in crate::inventory) kind: Str<'a>,
    #[serde(borrow)]
    pub(in crate::inventory) status: Str<'a>,
    #[serde(borrow)]
    pub(in crate::inventory) last_transition_time: Option<Str<'a>>,
}

impl Projection for Certificate {
    type Wire<'a> = WireCertificate<'a>;

    fn project(wire: WireCertificate<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let mut names = wire.spec.dns_names.unwrap_or_default();
        names.extend(wire.spec.common_name);
        let status = wire.status.as_ref();
        let mut conditions = status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ready = conditions.find(|condition| &*condition.kind == "Ready");
        let time = |text: Option<&Str<'_>>| text.and_then(|text| text.parse().ok());
        let duration = wire.spec.duration;
        let duration = duration.and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let key = wire.spec.private_key.as_ref();
        let certificate = Self {
            secret: interner.string(&wire.spec.secret_name),
            dns_names: syms(Some(names), interner),
            ready: ready.is_some_and(|condition| &*condition.status == "True"),
            ready_since: time(ready.and_then(|condition| condition.last_transition_time.as_ref())),
            not_before: time(status.and_then(|status| status.not_before.as_ref())),
            not_after: time(status.and_then(|status| status.not_after.as_ref())),
            renewal: time(status.and_then(|status| status.renewal_time.as_ref())),
            failed_attempts: status
                .and_then(|status| status.failed_issuance_attempts)
                .unwrap_or_default(),
            duration: duration.map(|duration| duration.as_secs()),
            rsa_bits: key.and_then(PrivateKey::rsa_bits),
        };
        Ok((meta, certificate))
    }
}
