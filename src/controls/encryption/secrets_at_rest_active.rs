//! `enc-secrets-at-rest-active`

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::Period,
    controls::prelude::*,
    engine::{Canary, CanaryRun},
    words::{either, many},
};

/// Each API server encrypts Secrets before it stores them, seen by writing a canary Secret
/// through it and reading its counters before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsAtRestActive {
    /// Time between two runs of the canary. A result older than twice that is no longer believed.
    #[serde(default = "six_hours")]
    pub interval: Period,

    /// API servers that are probed at most. Where there are more, not all are known.
    #[serde(default = "nine")]
    #[schemars(range(min = 1, max = 64))]
    pub max_replicas: u8,

    /// Whether every API server must be known and probed. Without that, those that are known
    /// decide.
    #[serde(default = "yes")]
    pub require_all_replicas: bool,

    /// Addresses of all API servers, for clusters whose Service `default/kubernetes` does not
    /// list them. Their certificate must be signed by the cluster's authority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 9, max = 512), regex(pattern = r"^https://[^/@?#]+/?$"))
    )]
    pub endpoints: Vec<String>,

    /// What to say on a managed platform whose API servers show no encryption: it may encrypt
    /// beneath them.
    #[serde(default)]
    pub managed_platform_policy: ManagedPlatformPolicy,
}

/// What to say on a managed platform whose API servers show no encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagedPlatformPolicy {
    /// Nobody can tell from within the cluster: rely on the provider's own report.
    #[default]
    Unknown,
    /// Encryption by the API server is required all the same.
    Fail,
}

fn six_hours() -> Period {
    Period::hours(6)
}

const fn nine() -> u8 {
    9
}

const fn yes() -> bool {
    true
}

impl Default for SecretsAtRestActive {
    fn default() -> Self {
        Self {
            interval: six_hours(),
            max_replicas: nine(),
            require_all_replicas: true,
            endpoints: Vec::new(),
            managed_platform_policy: ManagedPlatformPolicy::default(),
        }
    }
}

/// What to do about an API server that stores Secrets as they are.
const PROPOSAL: &str = "\
Give every API server this file by --encryption-provider-config, restart them one after the other, \
then rewrite all Secrets (kubectl get secrets -A -o json | kubectl replace -f -). Where a KMS is at \
hand, prefer a kms provider with apiVersion v2.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox:
          keys:
            - name: key1
              secret: PASTE_THE_KEY # made by: head -c 32 /dev/urandom | base64
      - identity: {}
";

impl SecretsAtRestActive {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-secrets-at-rest-active",
        field: "encSecretsAtRestActive",
        title: "Every API server encrypts Secrets before it stores them",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC6.7", "C1.1", "PI1.5"],
        severity: Severity::Critical,
        strength: Strength::Operating,
        rule_version: 1,
        reads: &[],
        subjects: &[],
        derives: &[],
        observes: &[Observation::EncryptionCanary],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Through the address of each API server a canary Secret (`probity-canary`, in \
               Probity's own namespace, nothing secret in it) is written and read back. The \
               counter of storage transformations of that server must have risen for Secrets, for \
               a provider that encrypts. It fails where only `identity` was counted, or nothing at \
               all: then no provider is configured.",
        why: "Whoever gets hold of etcd, its disk or a backup of it has every password, token and \
              key of the cluster, unless the API servers encrypt them.",
        fix: "Nothing is written to control planes. The proposal holds a complete \
              EncryptionConfiguration.",
        by_hand: "Write an EncryptionConfiguration with a real provider first, give it to every API \
               server with `--encryption-provider-config`, restart them, and rewrite existing \
               Secrets.",
        prevention: "None: it is the API server's own configuration.",
        limits: "The counters show that what is written now is encrypted; only a look into etcd \
                 proves what lies there. Secrets written before stay as they were until they are \
                 written again. Encryption by a managed platform beneath the API server, or of \
                 disks, is not seen. Needs `get` on `/metrics`, and a server of 1.32 or later.",
    };

    fn expiry(&self, run: &CanaryRun) -> Timestamp {
        let twice =
            SignedDuration::try_from(self.interval.duration() * 2).unwrap_or(SignedDuration::MAX);
        run.at.saturating_add(twice).unwrap_or(Timestamp::MAX)
    }

    /// Whether some API server is known to be missing from the population.
    fn is_partial(&self, run: &CanaryRun) -> bool {
        run.replicas.is_empty() || (self.require_all_replicas && !run.all_replicas_known)
    }

    fn cluster(&self, context: &Context<'_>) -> Option<Verdict> {
        let Some(run) = &context.observed.canary else {
            let soon = context.now.saturating_add(SignedDuration::from_mins(1));
            let verdict = Verdict::unknown("CanaryNotRunYet", "the canary has not run yet");
            return Some(verdict.recheck(soon.unwrap_or(Timestamp::MAX)));
        };
        self.is_partial(run).then(|| {
            Verdict::unknown(
                "NotAllReplicasKnown",
                format!(
                    "{} {} probed, and there may be more whose address is not known",
                    many(run.replicas.len(), "API server"),
                    either(run.replicas.len(), "was", "were")
                ),
            )
            .propose(
                "List the addresses of all API servers in the parameter endpoints, raise \
                 maxReplicas, or set requireAllReplicas to false.",
            )
        })
    }

    fn replica(&self, context: &Context<'_>, address: &str) -> Option<Verdict> {
        let run = context.observed.canary.as_ref()?;
        let canary = run.replicas.get(address)?;
        let expiry = self.expiry(run);
        if context.now > expiry {
            let message = format!(
                "the canary last ran at {}, more than two intervals ago",
                run.at
            );
            return Some(Verdict::unknown("CanaryStale", message));
        }
        // A millisecond later, the result is too old.
        let after = expiry
            .saturating_add(SignedDuration::from_millis(1))
            .unwrap_or(expiry);
        Some(self.seen(run, canary).recheck(after))
    }

    fn seen(&self, run: &CanaryRun, canary: &Canary) -> Verdict {
        let identity = match canary {
            Canary::Encrypted(prefixes) => {
                let message = format!("the canary was stored through {}", prefixes.join(", "));
                return Verdict::pass(Strength::Operating, "CanaryEncrypted", message);
            }
            Canary::Unclear(why) => return Verdict::unknown("CanaryUnclear", why.clone()),
            Canary::Plaintext { identity } => *identity,
        };
        if let (Some(platform), false, ManagedPlatformPolicy::Unknown) =
            (&run.platform, identity, self.managed_platform_policy)
        {
            let message = format!(
                "no encryption provider is at work in the API server; {platform} may encrypt \
                 beneath it, which its own audit report has to show"
            );
            return Verdict::unknown("ManagedPlatform", message);
        }
        let (reason, message) = if identity {
            (
                "IdentityFirst",
                "the canary was stored as it is: the first provider is identity",
            )
        } else {
            (
                "NoEncryption",
                "the canary was stored as it is: no encryption provider is configured for Secrets",
            )
        };
        Verdict::fail(Strength::Operating, reason, message).propose(PROPOSAL)
    }
}

impl Control for SecretsAtRestActive {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        // Each run is one write and two scrapes of megabytes per API server.
        if self.interval.duration().as_secs() < 60 {
            return Err(format!("interval is {}: write 1m or more", self.interval));
        }
        Ok(())
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
        let observed = context.observed;
        if namespace.is_some() {
            return;
        }
        if observed
            .canary
            .as_ref()
            .is_none_or(|run| self.is_partial(run))
        {
            found(Subject::named(SubjectKind::Cluster, "cluster"));
        }
        for address in observed.canary.iter().flat_map(|run| run.replicas.keys()) {
            found(Subject::named(SubjectKind::ApiServer, address.clone()));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        match subject.kind {
            SubjectKind::Cluster => self.cluster(context),
            SubjectKind::ApiServer => self.replica(context, &subject.name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::World, verdict::Outcome};

    const PLAIN: Canary = Canary::Plaintext { identity: false };

    fn sealed() -> Canary {
        Canary::Encrypted(vec!["k8s:enc:secretbox:v1:".to_owned()])
    }

    /// A world in which the canary ran an hour ago.
    fn world(replicas: &[Canary]) -> World {
        let mut world = World::new();
        let named = replicas.iter().enumerate();
        world.observed.canary = Some(CanaryRun {
            at: "2026-06-01T11:00:00Z".parse().unwrap(),
            all_replicas_known: true,
            platform: None,
            replicas: named
                .map(|(i, c)| (format!("10.0.0.{i}:6443").into(), c.clone()))
                .collect(),
        });
        world
    }

    fn run(world: &mut World) -> &mut CanaryRun {
        world.observed.canary.as_mut().unwrap()
    }

    #[test]
    fn each_replica_is_judged_by_what_it_did() {
        let control = SecretsAtRestActive::default();
        let identity = Canary::Plaintext { identity: true };
        let unclear = Canary::Unclear("no".to_owned());
        let mut world = world(&[sealed(), PLAIN, identity, unclear]);
        let found: Vec<_> = world.outcomes(&control).into_iter().collect();
        let wanted = [
            (Outcome::Pass, "CanaryEncrypted"),
            (Outcome::Fail, "NoEncryption"),
            (Outcome::Fail, "IdentityFirst"),
            (Outcome::Unknown, "CanaryUnclear"),
        ];
        for (i, wanted) in wanted.into_iter().enumerate() {
            assert_eq!(found[i], (format!("APIServer 10.0.0.{i}:6443"), wanted));
        }
        assert_eq!(found.len(), wanted.len());
    }

    #[test]
    fn before_the_first_run_nobody_can_tell() {
        let verdict = World::new().only(&SecretsAtRestActive::default());
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Unknown, "CanaryNotRunYet")
        );
        assert!(verdict.recheck_at.is_some());
    }

    #[test]
    fn an_old_result_is_not_believed() {
        let control = SecretsAtRestActive::default();
        let mut world = world(&[sealed()]);
        world.now = "2026-06-01T23:00:00Z".parse().unwrap();
        let verdict = world.only(&control);
        assert_eq!(verdict.outcome, Outcome::Pass);
        world.now = verdict.recheck_at.unwrap();
        assert_eq!(world.only(&control).reason, "CanaryStale");
    }

    #[test]
    fn an_unknown_replica_keeps_the_control_from_passing() {
        let mut world = world(&[sealed()]);
        run(&mut world).all_replicas_known = false;
        let mut control = SecretsAtRestActive::default();
        let outcomes = world.outcomes(&control);
        assert_eq!(
            outcomes["Cluster cluster"],
            (Outcome::Unknown, "NotAllReplicasKnown")
        );
        assert_eq!(outcomes["APIServer 10.0.0.0:6443"].0, Outcome::Pass);
        control.require_all_replicas = false;
        assert_eq!(world.only(&control).outcome, Outcome::Pass);
    }

    #[test]
    fn a_run_without_replicas_is_never_an_empty_population() {
        let control = SecretsAtRestActive {
            require_all_replicas: false,
            ..Default::default()
        };
        assert_eq!(world(&[]).only(&control).outcome, Outcome::Unknown);
    }

    #[test]
    fn a_managed_platform_may_encrypt_beneath() {
        let mut world = world(&[PLAIN]);
        run(&mut world).platform = Some("GKE".into());
        let mut control = SecretsAtRestActive::default();
        assert_eq!(world.only(&control).reason, "ManagedPlatform");
        control.managed_platform_policy = ManagedPlatformPolicy::Fail;
        assert_eq!(world.only(&control).outcome, Outcome::Fail);
    }

    #[test]
    fn the_proposal_is_ready_to_use() {
        let proposal = world(&[PLAIN])
            .only(&SecretsAtRestActive::default())
            .proposal
            .unwrap();
        let yaml = &proposal[proposal.find("apiVersion: ").unwrap()..];
        let config: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(config["kind"], "EncryptionConfiguration");
        assert_eq!(
            config["resources"][0]["providers"][1],
            serde_json::json!({ "identity": {} })
        );
    }
}
