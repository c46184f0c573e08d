//! `enc-secrets-provider-strength`

use super::{
    servers::{self, at_rest, expiry, reading, stored, unless_encrypted},
    time::{later, span},
};
use crate::{
    analysis::apiserver::{ENCRYPTED, Replica},
    api::Period,
    controls::prelude::*,
    engine::Canary,
};

/// What API servers encrypt, they encrypt with providers that are strong enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsProviderStrength {
    /// Providers that are strong enough. KMS v1 never is.
    #[serde(default = "strong")]
    #[schemars(length(min = 1, max = 4))]
    pub accepted: Vec<Provider>,

    /// Resources that are judged, such as `secrets`, `configmaps` or `widgets.example.com`.
    #[serde(default = "secrets")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    pub resources: Vec<String>,

    /// How far back what was written counts.
    #[serde(default = "a_day")]
    pub window: Period,
}

/// A provider of an `EncryptionConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// A key management service by its second protocol.
    #[serde(rename = "kms:v2")]
    KmsV2,
    /// `XSalsa20` and Poly1305, with a key on the control plane's disks.
    #[serde(rename = "secretbox")]
    Secretbox,
    /// AES-GCM, with a key on the control plane's disks that must be rotated often.
    #[serde(rename = "aesgcm")]
    AesGcm,
    /// AES-CBC, which does not show that data was changed.
    #[serde(rename = "aescbc")]
    AesCbc,
}

impl Provider {
    /// The provider with this prefix; `None` where it is not one of these.
    fn of(prefix: &str) -> Option<Self> {
        let name = prefix.strip_prefix(ENCRYPTED)?;
        [
            ("kms:v2:", Self::KmsV2),
            ("secretbox:", Self::Secretbox),
            ("aesgcm:", Self::AesGcm),
            ("aescbc:", Self::AesCbc),
        ]
        .into_iter()
        .find(|(begin, _)| name.starts_with(begin))
        .map(|(_, provider)| provider)
    }
}

impl Provider {
    /// The provider that `OpenShift` uses for a type of encryption (openshift/api,
    /// `config/v1/types_apiserver.go`).
    fn of_openshift(encryption: &str) -> Option<Self> {
        match encryption {
            "aescbc" => Some(Self::AesCbc),
            "aesgcm" => Some(Self::AesGcm),
            "KMS" => Some(Self::KmsV2),
            _ => None,
        }
    }
}

fn strong() -> Vec<Provider> {
    vec![Provider::KmsV2, Provider::Secretbox, Provider::AesGcm]
}

pub(super) fn secrets() -> Vec<String> {
    vec!["secrets".to_owned()]
}

fn a_day() -> Period {
    Period::hours(24)
}

impl Default for SecretsProviderStrength {
    fn default() -> Self {
        Self {
            accepted: strong(),
            resources: secrets(),
            window: a_day(),
        }
    }
}

impl SecretsProviderStrength {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-secrets-provider-strength",
        field: "encSecretsProviderStrength",
        title: "What is encrypted at rest is encrypted well",
        family: Family::Encryption,
        criteria: &["CC6.1"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 2,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::EncryptionCanary, Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Every provider through which an API server stored an object of these resources \
               within the window, by its own counters and by the canary, is one of those that are \
               accepted. What was stored as it is, although Secrets are encrypted, fails.",
        why: "AES-CBC does not notice that its data was changed, and KMS v1 is slow and gone from \
              new servers: an encryption that is on is not always one that holds.",
        fix: "Nothing is written to control planes. The proposal says which provider to put first.",
        by_hand: "Put an accepted provider first in the EncryptionConfiguration, keep the old one below it, \
                  and write everything anew.",
        prevention: "None: it is the API server's own configuration.",
        limits: "Not applicable where nothing is encrypted: enc-secrets-at-rest-active says so. \
                 secretbox and AES keep their keys on the control plane's disks, which the message \
                 notes: whoever gets the disk gets the keys. k3s and OpenShift use aescbc by \
                 default: to accept it, add it to `accepted` and set `severity: Medium`. A \
                 resource of which nothing was stored within the window is Unknown, unless OpenShift's \
                 APIServer object names a type of encryption that is not accepted. API servers \
                 are found as enc-secrets-at-rest-active finds them.",
    };

    /// By what was used; where nobody can tell, what `OpenShift` is to use fails if it is too weak.
    /// That it is strong enough proves nothing of what is.
    fn replica(&self, context: &Context<'_>, address: &str, replica: &Replica) -> Verdict {
        let verdict = self.by_use(context, address, replica);
        let declared = context.observed.api_servers.openshift.as_deref();
        match declared.and_then(Provider::of_openshift) {
            Some(provider)
                if verdict.outcome == Outcome::Unknown && !self.accepted.contains(&provider) =>
            {
                let message = format!(
                    "APIServer cluster of OpenShift has encryption type {}, which is not accepted",
                    declared.unwrap_or_default()
                );
                Verdict::fail(Strength::Declared, "ProviderNotAccepted", message).propose(
                    "Set spec.encryption.type to aesgcm; OpenShift writes everything anew.",
                )
            }
            _ => verdict,
        }
    }

    fn by_use(&self, context: &Context<'_>, address: &str, replica: &Replica) -> Verdict {
        if let Some(verdict) = unless_encrypted(&at_rest(context, address, replica)) {
            return verdict;
        }
        let (at, seen) = match reading(context, replica) {
            Ok(read) => read,
            Err(verdict) => return verdict,
        };
        if seen.old {
            let message = "the counters name no resource: the server is older than 1.32";
            return Verdict::unknown("CountersTooOld", message);
        }
        let from = later(context.now, -span(&self.window));
        let mut local = false;
        for resource in &self.resources {
            let used = used(context, address, replica, resource, from);
            if used.is_empty() {
                let message = format!("nothing of {resource} was stored within {}", self.window);
                return Verdict::unknown("NothingStored", message).recheck(expiry(at));
            }
            for prefix in used {
                if let Some(failure) = self.too_weak(resource, &prefix) {
                    return failure.recheck(expiry(at));
                }
                local |= Provider::of(&prefix) != Some(Provider::KmsV2);
            }
        }
        let message = if local {
            "every provider that was used is accepted; its key lies on the control plane's disks"
        } else {
            "every provider that was used is accepted, and its key lies in a KMS"
        };
        Verdict::pass(Strength::Operating, "ProvidersAccepted", message).recheck(expiry(at))
    }

    fn too_weak(&self, resource: &str, prefix: &str) -> Option<Verdict> {
        if prefix.is_empty() {
            let message = format!("{resource} are stored as they are, although Secrets are not");
            return Some(
                Verdict::fail(Strength::Operating, "ResourceNotEncrypted", message).propose(
                    "Add the resource to the EncryptionConfiguration, and write its objects anew.",
                ),
            );
        }
        if Provider::of(prefix).is_some_and(|provider| self.accepted.contains(&provider)) {
            return None;
        }
        let message = format!("{resource} are stored through {prefix}, which is not accepted");
        Some(
            Verdict::fail(Strength::Operating, "ProviderNotAccepted", message).propose(
                "Put a kms provider with apiVersion v2, or secretbox, first in the \
                 EncryptionConfiguration; leave the old one below it until everything is written \
                 anew.",
            ),
        )
    }
}

/// Prefixes through which something of a resource was stored.
fn used(
    context: &Context<'_>,
    address: &str,
    replica: &Replica,
    resource: &str,
    from: Timestamp,
) -> Vec<String> {
    let counted = stored(replica, resource, from).map(|(prefix, _)| prefix.to_owned());
    let mut used: Vec<String> = counted.collect();
    if let Some(run) = context
        .observed
        .canary
        .as_ref()
        .filter(|run| run.at >= from)
        && resource == "secrets"
        && let Some(Canary::Encrypted(prefixes)) = run.replicas.get(address)
    {
        used.extend(prefixes.iter().cloned());
    }
    used.sort();
    used.dedup();
    used
}

impl Control for SecretsProviderStrength {
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
        servers::judge(context, subject, |replica| {
            self.replica(context, &subject.name, replica)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OLD, encrypted, look_at, metrics, operations, started};
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        analysis::apiserver::{FlagSource, Flags},
        controls::testing::World,
        engine::CanaryRun,
    };

    const NOON: &str = "2026-06-01T12:00:00Z";

    fn stored_through(prefixes: &[&str]) -> World {
        let mut world = World::new();
        let mut text = started("2026-06-01T06:00:00Z");
        for prefix in prefixes {
            text += &operations("secrets", "to_storage", prefix, 3);
        }
        look_at(&mut world, NOON, &[metrics(&text)]);
        world
    }

    fn judged(world: &mut World) -> (Outcome, &'static str) {
        let verdict = world.only(&SecretsProviderStrength::default());
        (verdict.outcome, verdict.reason)
    }

    #[test]
    fn every_provider_that_was_used_is_accepted() {
        use Outcome::{Fail, NotApplicable, Pass, Unknown};
        for (prefixes, wanted) in [
            (
                vec!["k8s:enc:secretbox:v1:", "key1:"],
                (Pass, "ProvidersAccepted"),
            ),
            (vec!["k8s:enc:kms:v2:vault:"], (Pass, "ProvidersAccepted")),
            (vec!["k8s:enc:aesgcm:v1:"], (Pass, "ProvidersAccepted")),
            (vec!["k8s:enc:aescbc:v1:"], (Fail, "ProviderNotAccepted")),
            (vec!["k8s:enc:kms:v1:vault:"], (Fail, "ProviderNotAccepted")),
            (
                vec!["k8s:enc:kms:v2:vault:", "k8s:enc:aescbc:v1:"],
                (Fail, "ProviderNotAccepted"),
            ),
            (vec!["k8s:enc:tomorrow:v1:"], (Fail, "ProviderNotAccepted")),
            (vec![""], (NotApplicable, "NothingEncrypted")),
            (vec!["key1:"], (Unknown, "EncryptionNotSeen")),
            (vec![], (Unknown, "EncryptionNotSeen")),
        ] {
            assert_eq!(
                judged(&mut stored_through(&prefixes)),
                wanted,
                "{prefixes:?}"
            );
        }
    }

    #[test]
    fn where_keys_lie_is_told() {
        let control = SecretsProviderStrength::default();
        let local = stored_through(&["k8s:enc:secretbox:v1:"]).only(&control);
        assert!(local.message.contains("disks"), "{}", local.message);
        let kms = stored_through(&["k8s:enc:kms:v2:vault:"]).only(&control);
        assert!(kms.message.contains("KMS"), "{}", kms.message);
    }

    #[test]
    fn the_canary_says_that_nothing_is_encrypted() {
        let mut world = stored_through(&["k8s:enc:secretbox:v1:"]);
        let identity = Canary::Plaintext { identity: true };
        world.observed.canary = Some(CanaryRun {
            at: NOON.parse().unwrap(),
            all_replicas_known: true,
            platform: None,
            replicas: [("10.0.0.0:6443".into(), identity)].into(),
        });
        assert_eq!(
            judged(&mut world),
            (Outcome::NotApplicable, "NothingEncrypted")
        );
    }

    #[test]
    fn the_canary_counts_where_nothing_else_was_stored() {
        let mut world = encrypted(1);
        look_at(
            &mut world,
            NOON,
            &[metrics(&started("2026-05-01T00:00:00Z"))],
        );
        assert_eq!(judged(&mut world), (Outcome::Pass, "ProvidersAccepted"));
        let later = "2026-06-03T12:00:00Z";
        look_at(
            &mut world,
            later,
            &[metrics(&started("2026-05-01T00:00:00Z"))],
        );
        assert_eq!(judged(&mut world), (Outcome::Unknown, "NothingStored"));
    }

    #[test]
    fn a_provider_of_the_past_is_forgotten_after_the_window() {
        let start = started("2026-06-01T06:00:00Z");
        let old = operations("secrets", "to_storage", "k8s:enc:aescbc:v1:", 3);
        let new = operations("secrets", "to_storage", "k8s:enc:secretbox:v1:", 1);
        let mut world = encrypted(1);
        look_at(&mut world, NOON, &[metrics(&format!("{start}{old}"))]);
        assert_eq!(judged(&mut world).0, Outcome::Fail);
        let both = metrics(&format!("{start}{old}{new}"));
        look_at(
            &mut world,
            "2026-06-02T11:00:00Z",
            std::slice::from_ref(&both),
        );
        assert_eq!(judged(&mut world).0, Outcome::Fail);
        look_at(&mut world, "2026-06-02T12:05:00Z", &[both]);
        assert_eq!(judged(&mut world), (Outcome::Pass, "ProvidersAccepted"));
    }

    #[test]
    fn other_resources_can_be_asked_for() {
        let control = SecretsProviderStrength {
            resources: vec!["secrets".to_owned(), "configmaps".to_owned()],
            ..SecretsProviderStrength::default()
        };
        let mut world = stored_through(&["k8s:enc:secretbox:v1:"]);
        assert_eq!(world.only(&control).reason, "NothingStored");
        let mut text = started("2026-06-01T06:00:00Z");
        text += &operations("secrets", "to_storage", "k8s:enc:secretbox:v1:", 3);
        text += &operations("configmaps", "to_storage", "", 3);
        look_at(&mut world, NOON, &[metrics(&text)]);
        assert_eq!(world.only(&control).reason, "ResourceNotEncrypted");
    }

    #[test]
    fn what_was_seen_too_long_ago_is_not_believed() {
        let mut world = stored_through(&["k8s:enc:secretbox:v1:"]);
        let verdict = world.only(&SecretsProviderStrength::default());
        world.now = verdict.recheck_at.unwrap();
        assert_eq!(judged(&mut world), (Outcome::Unknown, "MetricsNotRead"));
    }

    #[test]
    fn counters_that_name_no_resource_tell_nothing() {
        let mut world = encrypted(1);
        look_at(&mut world, NOON, &[metrics(OLD)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "CountersTooOld"));
    }

    #[test]
    fn what_openshift_is_to_use_fails_where_it_is_too_weak_and_proves_nothing_else() {
        for (encryption, wanted) in [
            ("aescbc", (Outcome::Fail, "ProviderNotAccepted")),
            ("aesgcm", (Outcome::Unknown, "EncryptionNotSeen")),
            ("KMS", (Outcome::Unknown, "EncryptionNotSeen")),
            ("tomorrow", (Outcome::Unknown, "EncryptionNotSeen")),
            ("identity", (Outcome::NotApplicable, "NothingEncrypted")),
            ("", (Outcome::NotApplicable, "NothingEncrypted")),
        ] {
            let mut world = stored_through(&[]);
            world.observed.api_servers.openshift = Some(encryption.to_owned());
            assert_eq!(judged(&mut world), wanted, "{encryption}");
        }
        // What was counted says more.
        let mut world = stored_through(&["k8s:enc:secretbox:v1:"]);
        world.observed.api_servers.openshift = Some("aescbc".to_owned());
        assert_eq!(judged(&mut world), (Outcome::Pass, "ProvidersAccepted"));
    }

    #[test]
    fn a_server_that_is_given_no_configuration_encrypts_nothing() {
        let flag = |value: &str| [("encryption-provider-config".to_owned(), value.to_owned())];
        let none = BTreeMap::new;
        let nothing = (Outcome::NotApplicable, "NothingEncrypted");
        let not_seen = (Outcome::Unknown, "EncryptionNotSeen");
        for (values, source, wanted) in [
            (flag("").into(), FlagSource::Flagz, nothing),
            (none(), FlagSource::StaticPod, nothing),
            (flag("/e.yaml").into(), FlagSource::StaticPod, not_seen),
            (none(), FlagSource::Flagz, not_seen),
            (none(), FlagSource::Kubeadm, not_seen),
        ] {
            let mut look = metrics(&started("2026-06-01T06:00:00Z"));
            look.flags = Ok(Flags { values, source });
            let mut world = World::new();
            look_at(&mut world, NOON, &[look]);
            assert_eq!(judged(&mut world), wanted, "{source:?}");
        }
    }

    #[test]
    fn before_the_first_look_nobody_can_tell() {
        assert_eq!(
            judged(&mut World::new()),
            (Outcome::Unknown, "NotLookedYet")
        );
        let mut world = stored_through(&["k8s:enc:secretbox:v1:"]);
        world.observed.api_servers.all_known = false;
        let outcomes = world.outcomes(&SecretsProviderStrength::default());
        assert_eq!(
            outcomes["Cluster cluster"],
            (Outcome::Unknown, "NotAllReplicasKnown")
        );
    }
}
