//! `enc-apiserver-tls-profile`

use jiff::SignedDuration;

use super::{
    served,
    servers::{self},
};
use crate::{
    analysis::{apiserver::Replica, tls::TlsVersion},
    controls::prelude::*,
};

/// API servers refuse old versions of TLS, and their certificate is strong and does not end soon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiserverTlsProfile {
    /// The oldest version of TLS that may be taken.
    #[serde(default)]
    pub min_version: MinVersion,

    /// Days that the certificate must still be valid.
    #[serde(default = "three_weeks")]
    #[schemars(range(min = 0, max = 3650))]
    pub min_days: u16,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

impl MinVersion {
    pub(super) const fn version(self) -> TlsVersion {
        match self {
            Self::V1_2 => TlsVersion::V1_2,
            Self::V1_3 => TlsVersion::V1_3,
        }
    }
}

const fn three_weeks() -> u16 {
    21
}

impl Default for ApiserverTlsProfile {
    fn default() -> Self {
        Self {
            min_version: MinVersion::default(),
            min_days: three_weeks(),
        }
    }
}

impl ApiserverTlsProfile {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-apiserver-tls-profile",
        field: "encApiserverTlsProfile",
        title: "API servers take no old TLS, and their certificate holds",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC6.7"],
        severity: Severity::Medium,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "A handshake with each API server shows a certificate that is valid for `minDays` \
               or longer and strong (RSA of 2048 or an elliptic curve of 256 bits or more, no MD5 \
               or SHA-1 below the root). Offered TLS 1.0, 1.1 (and 1.2 where `minVersion` is 1.3), \
               the server refuses.",
        why: "Everything that administers the cluster goes through this door. Old versions of TLS \
              can be broken, and an expired certificate locks everybody out at once.",
        fix: "Nothing is written to control planes. The proposal names the flag, or how to renew.",
        by_hand: "Start the API servers with `--tls-min-version=VersionTLS12`, and renew their certificate \
                  with `kubeadm certs renew apiserver`.",
        prevention: "None: it is the API server's own configuration.",
        limits: "Where a load balancer ends TLS, its profile is what is seen. Old versions are \
                 offered by a bare first message, which the server's log shows as a failed \
                 handshake, at most once an hour. Where no handshake is possible the flag \
                 `tls-min-version` is reported if the server shows it, or its static pod, or \
                 kubeadm's ConfigMap, and the verdict is Unknown. Cipher suites are not judged: Go's own choice for TLS 1.2 and later \
                 holds unless `tls-cipher-suites` names worse ones.",
    };

    fn replica(&self, context: &Context<'_>, replica: &Replica) -> Verdict {
        let shown = match &replica.look.tls {
            Some(Ok(shown)) => shown,
            Some(Err(why)) => return unseen(replica, why),
            None => return unseen(replica, "no handshake was tried yet"),
        };
        let minimum = self.min_version.version();
        if let Some(failure) = served::version(shown, minimum) {
            return failure.propose(format!(
                "Start the API servers with --tls-min-version=VersionTLS1{}.",
                minimum.as_str().trim_start_matches("1.")
            ));
        }
        let remaining = SignedDuration::from_hours(24 * i64::from(self.min_days));
        if let Some(failure) = served::certificate(shown, context.now, remaining) {
            return failure.propose(
                "Renew the certificate of the API server, on this control plane node: \
                 kubeadm certs renew apiserver, then restart it.",
            );
        }
        if shown.oldest.is_none() {
            let message = "whether old versions of TLS are refused could not be found out";
            return Verdict::unknown("OldVersionsNotProbed", message);
        }
        let message = format!("nothing older than TLS {} is taken", minimum.as_str());
        let verdict = Verdict::pass(Strength::Operating, "TlsProfileHolds", message);
        match served::ends(shown, remaining) {
            Some(soon) => verdict.recheck(soon),
            None => verdict,
        }
    }
}

fn unseen(replica: &Replica, why: &str) -> Verdict {
    let flags = replica.look.flags.as_ref().ok();
    let said = flags.and_then(|flags| {
        let (flag, source) = ("tls-min-version", flags.source.as_str());
        if flags.is_unset(flag) {
            return Some(format!(
                "; {source}, its flag leaves the choice to Go, which takes 1.2 and later"
            ));
        }
        let version = flags.values.get(flag)?;
        Some(format!("; {source}, its flag says {version}"))
    });
    let said = said.unwrap_or_default();
    Verdict::unknown("NoHandshake", format!("{why}{said}"))
}

impl Control for ApiserverTlsProfile {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, _: &Change) -> Touched {
        Touched::Nothing
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        servers::population(context, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        servers::judge(context, subject, |replica| self.replica(context, replica))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{look_at, shown};
    use super::*;
    use crate::{
        analysis::{
            apiserver::{FlagSource, Flags},
            certificates::Certificate,
            tls::Shown,
        },
        controls::testing::World,
    };

    fn certificate(pem: &str) -> Certificate {
        let pem = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()).next();
        Certificate::read(&pem.unwrap().unwrap().contents).unwrap()
    }

    fn strong() -> Shown {
        Shown {
            version: TlsVersion::V1_3,
            oldest: Some(TlsVersion::V1_2),
            chain: vec![certificate(include_str!("samples/strong.pem"))],
            distrust: None,
        }
    }

    fn world(seen: Result<Shown, String>) -> World {
        let mut world = World::new();
        look_at(&mut world, "2027-06-01T12:00:00Z", &[shown(seen)]);
        world
    }

    fn judged(seen: Shown) -> (Outcome, &'static str) {
        let verdict = world(Ok(seen)).only(&ApiserverTlsProfile::default());
        (verdict.outcome, verdict.reason)
    }

    #[test]
    fn old_versions_are_refused() {
        let with = |oldest| Shown { oldest, ..strong() };
        let holds = (Outcome::Pass, "TlsProfileHolds");
        assert_eq!(judged(strong()), holds);
        assert_eq!(judged(with(Some(TlsVersion::V1_3))), holds);
        let taken = (Outcome::Fail, "OldTlsTaken");
        assert_eq!(judged(with(Some(TlsVersion::V1_1))), taken);
        assert_eq!(judged(with(Some(TlsVersion::V1_0))), taken);
        assert_eq!(
            judged(with(None)),
            (Outcome::Unknown, "OldVersionsNotProbed")
        );
        let strict = ApiserverTlsProfile {
            min_version: MinVersion::V1_3,
            ..ApiserverTlsProfile::default()
        };
        let verdict = world(Ok(strong())).only(&strict);
        assert_eq!(verdict.reason, "OldTlsTaken");
        assert!(verdict.proposal.unwrap().contains("VersionTLS13"));
    }

    #[test]
    fn the_certificate_holds() {
        let weak = certificate(include_str!("samples/weak.pem"));
        let with = |chain| Shown { chain, ..strong() };
        assert_eq!(judged(with(vec![weak.clone()])).1, "CertificateWeak");
        let [root] = &strong().chain[..] else {
            panic!("one")
        };
        let out_of_order = with(vec![root.clone(), root.clone()]);
        assert_eq!(judged(out_of_order).1, "TlsProfileHolds");
        let mut world = world(Ok(strong()));
        let control = ApiserverTlsProfile::default();
        world.now = world.only(&control).recheck_at.unwrap();
        assert_eq!(world.only(&control).reason, "CertificateEndsSoon");
        world.now = "2127-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(world.only(&control).reason, "CertificateExpired");
        world.now = "2020-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(world.only(&control).reason, "CertificateNotYetValid");
    }

    #[test]
    fn without_a_handshake_the_flag_is_told() {
        let mut look = shown(Err("refused".to_owned()));
        let flags = [("tls-min-version".to_owned(), "VersionTLS12".to_owned())];
        look.flags = Ok(Flags {
            values: flags.into(),
            source: FlagSource::Kubeadm,
        });
        let mut world = World::new();
        look_at(&mut world, "2027-06-01T12:00:00Z", &[look]);
        let verdict = world.only(&ApiserverTlsProfile::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "NoHandshake")
        );
        assert!(
            verdict
                .message
                .contains("kubeadm-config, its flag says VersionTLS12"),
            "{}",
            verdict.message
        );
    }
}
