//! `enc-secrets-no-plaintext-reads`

use jiff::SignedDuration;

use super::{
    secrets_provider_strength::secrets,
    secrets_reencrypted::last_migration,
    servers::{self, at_rest, expiry, reading, unless_encrypted},
    time::{later, span},
};
use crate::{
    analysis::apiserver::{Direction, IDENTITY, Operation, Reading, Replica},
    api::Period,
    controls::prelude::*,
};

/// No API server finds a Secret in storage that is not encrypted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsNoPlaintextReads {
    /// How far back what was read counts.
    #[serde(default = "a_day")]
    pub window: Period,

    /// Resources that are judged, such as `secrets`, `configmaps` or `widgets.example.com`.
    #[serde(default = "secrets")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    pub resources: Vec<String>,
}

fn a_day() -> Period {
    Period::hours(24)
}

impl Default for SecretsNoPlaintextReads {
    fn default() -> Self {
        Self {
            window: a_day(),
            resources: secrets(),
        }
    }
}

impl SecretsNoPlaintextReads {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-secrets-no-plaintext-reads",
        field: "encSecretsNoPlaintextReads",
        title: "No Secret is left in storage as it was before encryption",
        family: Family::Encryption,
        criteria: &["CC6.1", "C1.1"],
        severity: Severity::High,
        strength: Strength::Operating,
        rule_version: 2,
        reads: &[Kind::Migration, Kind::MigrationBeta],
        subjects: &[],
        derives: &[],
        observes: &[Observation::EncryptionCanary, Observation::ApiServerFacts],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Each API server counts what it reads from storage by provider. Since the window \
               began, the last storage migration ended and the encryption configuration last \
               changed, whichever was last, `identity` must not have been counted for these \
               resources: that is an object that lies there as it is.",
        why: "Switching encryption on changes nothing about what was stored before: it stays \
              readable in etcd, and in every backup of it, until it is written again.",
        fix: "Nothing is written. enc-secrets-reencrypted has the migration that mends it.",
        by_hand: "Write all objects anew: with a StorageVersionMigration, or with `kubectl get secrets -A -o \
                  json | kubectl replace -f -`.",
        prevention: "None: what lies in storage was admitted long ago.",
        limits: "Nothing read proves little: an object that nobody asks for is not counted. API \
                 servers read everything when they start, without naming the resource, so that a \
                 process that started within the window is the best proof; what they count then \
                 is told in the message only, because it may be a resource that is not to be \
                 encrypted. What was counted before Probity first looked is counted only where \
                 the process itself started later than that. Not applicable where nothing is \
                 encrypted: enc-secrets-at-rest-active says so.",
    };

    fn replica(&self, context: &Context<'_>, address: &str, replica: &Replica) -> Verdict {
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
        if seen.operations.is_empty() {
            let message = "the server shows no counters of what it reads from storage";
            return Verdict::unknown("CountersNotShown", message);
        }
        let mut open = false;
        for resource in &self.resources {
            let baseline = self.baseline(context, replica, resource);
            let operation = plain(resource);
            if replica.rose_after(&operation, baseline).is_some() {
                let message = format!("{resource} were read from storage that are not encrypted");
                return Verdict::fail(Strength::Operating, "PlaintextRead", message)
                    .propose(
                        "Write all of them anew: with a StorageVersionMigration (see \
                         enc-secrets-reencrypted), or by hand with \
                         kubectl get secrets -A -o json | kubectl replace -f -",
                    )
                    .recheck(expiry(at));
            }
            open |= certain(replica, seen, &operation) > baseline;
        }
        if open {
            let message = format!(
                "what was read within {} can't be told yet from what was read before",
                self.window
            );
            return Verdict::unknown("WindowNotCovered", message).recheck(expiry(at));
        }
        let baseline = later(context.now, -span(&self.window));
        let caches = replica.rose_after(&plain(""), baseline).is_some();
        let message = if caches {
            "none of them was read as it is by name; a cache was filled with something that is \
             not encrypted, which may be a resource that need not be"
        } else {
            "nothing was read from storage that is not encrypted"
        };
        Verdict::pass(Strength::Operating, "NoPlaintextReads", message).recheck(expiry(at))
    }

    /// Since when nothing plain must have been read.
    fn baseline(&self, context: &Context<'_>, replica: &Replica, resource: &str) -> Timestamp {
        let window = later(context.now, -span(&self.window));
        let migrated = last_migration(context.inventory, resource);
        let changed = replica.config_changes().last().map(|change| change.at);
        let moments = [Some(window), migrated, changed];
        moments.into_iter().flatten().max().unwrap_or(window)
    }
}

/// What counts reads of a resource that is stored as it is.
fn plain(resource: &str) -> Operation {
    Operation {
        resource: resource.to_owned(),
        direction: Direction::FromStorage,
        prefix: IDENTITY.to_owned(),
    }
}

/// Since when it is certain that none was read: where one ever was, since that was seen at the
/// latest; else since the process started.
fn certain(replica: &Replica, seen: &Reading, operation: &Operation) -> Timestamp {
    let counter = replica.operations.get(operation);
    match (counter.and_then(|counter| counter.rise), seen.start) {
        (Some(rise), _) => rise.to.max(replica.since),
        (None, Some(start)) => start.min(replica.since),
        (None, None) => replica.since,
    }
}

impl Control for SecretsNoPlaintextReads {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn check(&self) -> Result<(), String> {
        if span(&self.window) < SignedDuration::from_mins(10) {
            return Err(format!("window is {}: write 10m or more", self.window));
        }
        Ok(())
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
    use serde_json::json;

    use super::super::testing::{OLD, config, encrypted, look_at, metrics, operations, started};
    use super::*;
    use crate::{analysis::apiserver::Look, controls::testing::World};

    /// A process that started at a time, and read so many Secrets, and caches, as they are.
    fn look(start: &str, secrets: u32, caches: u32) -> Look {
        let mut text = started(start);
        text += &operations("secrets", "from_storage", "k8s:enc:secretbox:v1:", 9);
        if secrets > 0 {
            text += &operations("secrets", "from_storage", "identity", secrets);
        }
        if caches > 0 {
            text += &operations("", "from_storage", "identity", caches);
        }
        metrics(&text)
    }

    fn judged(world: &mut World) -> (Outcome, &'static str) {
        let verdict = world.only(&SecretsNoPlaintextReads::default());
        (verdict.outcome, verdict.reason)
    }

    const LONG_AGO: &str = "2026-05-01T00:00:00Z";
    const TODAY: &str = "2026-06-01T06:00:00Z";

    #[test]
    fn a_plain_secret_that_was_read_fails() {
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[look(TODAY, 1, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Fail, "PlaintextRead"));
        // It may have been before the window began, which is forgotten.
        look_at(&mut world, "2026-06-02T06:10:00Z", &[look(TODAY, 1, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "WindowNotCovered"));
        look_at(&mut world, "2026-06-02T12:00:00Z", &[look(TODAY, 1, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Pass, "NoPlaintextReads"));
        look_at(&mut world, "2026-06-02T12:05:00Z", &[look(TODAY, 2, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Fail, "PlaintextRead"));
    }

    #[test]
    fn nothing_read_since_the_process_started_passes() {
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[look(LONG_AGO, 0, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Pass, "NoPlaintextReads"));
        // The process is younger than the window, and nobody saw the one before it.
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[look(TODAY, 0, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "WindowNotCovered"));
    }

    #[test]
    fn what_was_read_before_the_first_look_proves_nothing() {
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[look(LONG_AGO, 7, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "WindowNotCovered"));
        look_at(&mut world, "2026-06-02T12:00:00Z", &[look(LONG_AGO, 7, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Pass, "NoPlaintextReads"));
    }

    #[test]
    fn caches_are_only_told() {
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[look(LONG_AGO, 0, 0)]);
        look_at(&mut world, "2026-06-01T12:05:00Z", &[look(LONG_AGO, 0, 3)]);
        let verdict = world.only(&SecretsNoPlaintextReads::default());
        assert_eq!(verdict.outcome, Outcome::Pass);
        assert!(verdict.message.contains("cache"), "{}", verdict.message);
    }

    #[test]
    fn what_was_read_before_a_migration_ended_is_forgiven() {
        let mut world = encrypted(1);
        look_at(&mut world, "2026-06-01T11:00:00Z", &[look(LONG_AGO, 0, 0)]);
        look_at(&mut world, "2026-06-01T11:05:00Z", &[look(LONG_AGO, 4, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Fail, "PlaintextRead"));
        let migration = |end: &str| {
            json!({
                "metadata": { "name": "m", "creationTimestamp": "2026-06-01T11:01:00Z" },
                "spec": { "resource": { "group": "", "resource": "secrets" } },
                "status": { "conditions": [
                    { "type": "Succeeded", "status": "True", "lastTransitionTime": end },
                ] },
            })
        };
        world.put(Kind::Migration, migration("2026-06-01T11:04:00Z"));
        look_at(&mut world, "2026-06-01T11:10:00Z", &[look(LONG_AGO, 4, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "WindowNotCovered"));
        world.put(Kind::Migration, migration("2026-06-01T11:06:00Z"));
        assert_eq!(judged(&mut world), (Outcome::Pass, "NoPlaintextReads"));
        look_at(&mut world, "2026-06-01T11:15:00Z", &[look(LONG_AGO, 5, 0)]);
        assert_eq!(judged(&mut world), (Outcome::Fail, "PlaintextRead"));
    }

    #[test]
    fn a_change_of_the_configuration_begins_the_window_anew() {
        let mut world = encrypted(1);
        let with = |hash: &str, secrets| {
            let Look {
                metrics: Ok(mut reading),
                ..
            } = look(LONG_AGO, secrets, 0)
            else {
                panic!("it reads");
            };
            reading.line(config(hash).trim_end());
            Look {
                metrics: Ok(reading),
                ..metrics("")
            }
        };
        look_at(&mut world, "2026-06-01T11:00:00Z", &[with("a", 0)]);
        look_at(&mut world, "2026-06-01T11:05:00Z", &[with("b", 4)]);
        assert_ne!(judged(&mut world).0, Outcome::Fail);
        look_at(&mut world, "2026-06-01T11:10:00Z", &[with("b", 5)]);
        assert_eq!(judged(&mut world).0, Outcome::Fail);
    }

    #[test]
    fn without_encryption_or_counters_there_is_nothing_to_judge() {
        let mut world = World::new();
        let plain = operations("secrets", "to_storage", "", 4);
        look_at(&mut world, "2026-06-01T12:00:00Z", &[metrics(&plain)]);
        assert_eq!(
            judged(&mut world),
            (Outcome::NotApplicable, "NothingEncrypted")
        );
        let mut world = encrypted(1);
        look_at(
            &mut world,
            "2026-06-01T12:00:00Z",
            &[metrics(&started(TODAY))],
        );
        assert_eq!(judged(&mut world), (Outcome::Unknown, "CountersNotShown"));
        look_at(&mut world, "2026-06-01T12:00:00Z", &[metrics(OLD)]);
        assert_eq!(judged(&mut world), (Outcome::Unknown, "CountersTooOld"));
    }
}
