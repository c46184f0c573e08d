//! `enc-secrets-reencrypted`

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    secrets_provider_strength::secrets,
    servers::{AtRest, at_rest, expiry, incomplete, reading, unless_encrypted},
    time::{after, span},
};
use crate::{
    analysis::apiserver::{Change as Changed, Kms},
    api::Period,
    controls::prelude::*,
    inventory::{
        Availability, Uid,
        migration::{Migration, Stage},
    },
};

/// After each change of the encryption configuration or of a KMS key, everything is written anew
/// by a storage migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsReencrypted {
    /// How long after a change the migration may take.
    #[serde(default = "three_days")]
    pub grace: Period,

    /// Resources that must be migrated, such as `secrets`, `configmaps` or `widgets.example.com`.
    #[serde(default = "secrets")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    pub resources: Vec<String>,

    /// Whether Enforce may create the migration that is missing: it writes every object of the
    /// resource once.
    #[serde(default)]
    pub migrate: bool,
}

fn three_days() -> Period {
    Period::hours(72)
}

impl Default for SecretsReencrypted {
    fn default() -> Self {
        Self {
            grace: three_days(),
            resources: secrets(),
            migrate: false,
        }
    }
}

/// The versions of the API, the newest first: v1 since 1.37, v1beta1 since 1.35.
const VERSIONS: [Kind; 2] = [Kind::Migration, Kind::MigrationBeta];

/// How to write everything anew where no API does it.
const BY_HAND: &str =
    "Write all of them anew: kubectl get secrets -A -o json | kubectl replace -f -";

impl SecretsReencrypted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-secrets-reencrypted",
        field: "encSecretsReencrypted",
        title: "Secrets are written anew when their encryption changes",
        family: Family::Encryption,
        criteria: &["CC6.1"],
        severity: Severity::Medium,
        strength: Strength::Effective,
        rule_version: 2,
        reads: &[Kind::Migration, Kind::MigrationBeta],
        subjects: &[],
        derives: &[],
        observes: &[Observation::EncryptionCanary, Observation::ApiServerFacts],
        writes: &[
            Write::create(Kind::Migration),
            Write::create(Kind::MigrationBeta),
        ],
        scope: ScopeUse::Ignored,
        what: "For every change of the encryption configuration's hash, or of the key id of a KMS \
               provider, that was seen on an API server there is a StorageVersionMigration of each \
               resource that was created after the change and succeeded, within `grace`.",
        why: "A new key or provider is used for what is written from then on. What was there \
              before stays under the old key, or under none, which is why that key was to be \
              replaced.",
        fix: "With `migrate: true`, Enforce creates the StorageVersionMigration once all API \
              servers use the same configuration. Without it, or where the API is not served, the \
              proposal holds the object, or the command.",
        by_hand: "Create a StorageVersionMigration of the resource, or write its objects anew with `kubectl \
                  get secrets -A -o json | kubectl replace -f -`.",
        prevention: "None: what lies in storage was admitted long ago.",
        limits: "Changes are seen while Probity runs: one that happened before is not known, and \
                 where none was seen the control is not applicable. The hash is shown since \
                 Kubernetes 1.34; without it the verdict is Unknown. StorageVersionMigration is \
                 served since 1.37, and as v1beta1 in 1.35 and 1.36 where its feature gate is on. \
                 Without it nobody can tell whether everything was written anew (OpenShift and \
                 managed platforms do so by themselves): Unknown. The key of a KMS may change \
                 while its id stays.",
    };

    fn resource(&self, context: &Context<'_>, resource: &str) -> Verdict {
        if let Some(verdict) = incomplete(context) {
            return verdict;
        }
        let servers = &context.observed.api_servers;
        let stored = servers.replicas.iter().map(|(a, r)| at_rest(context, a, r));
        let stored: Vec<AtRest> = stored.collect();
        let worst = [AtRest::NotSeen, AtRest::Plain];
        let worst = worst.iter().find(|state| stored.contains(state));
        if let Some(verdict) = worst.and_then(unless_encrypted) {
            return verdict;
        }
        let mut until = Timestamp::MAX;
        let mut hashless = false;
        for replica in servers.replicas.values() {
            match reading(context, replica) {
                Ok((at, reading)) => {
                    until = until.min(expiry(at));
                    hashless |= reading.config.is_none();
                }
                Err(verdict) => return verdict,
            }
        }
        let verdict = self.since_changes(context, resource, hashless);
        let recheck = verdict.recheck_at.map_or(until, |own| own.min(until));
        verdict.recheck(recheck)
    }

    /// The verdict on a resource while all API servers can be seen.
    fn since_changes(&self, context: &Context<'_>, resource: &str, hashless: bool) -> Verdict {
        if hashless {
            return Verdict::unknown(
                "ChangesNotVisible",
                "an API server does not show the hash of its encryption configuration, so that \
                 its changes can't be seen",
            );
        }
        let changes = changes(context.observed);
        if changes.is_empty() {
            let message = "no change of the encryption configuration or of a key was seen";
            return Verdict::not_applicable("NoChangeSeen", message);
        }
        self.lacking(context, resource, &changes)
            .unwrap_or_else(|| {
                let message = "all of them were written anew after the last change";
                Verdict::pass(Strength::Effective, "Reencrypted", message)
            })
    }

    /// The verdict on a resource, unless it was migrated after the last change.
    fn lacking(
        &self,
        context: &Context<'_>,
        resource: &str,
        changes: &[Changed],
    ) -> Option<Verdict> {
        let migrations: Vec<&Object<Migration>> = of(context.inventory, resource).collect();
        let done = migrations
            .iter()
            .filter(|m| matches!(m.spec.stage, Stage::Succeeded(_)));
        let done = done.map(|migration| migration.meta.created_at()).max();
        // Creation times have whole seconds: the one in which something changed is not after it.
        let open = changes
            .iter()
            .filter(|change| done.is_none_or(|done| done <= change.at));
        let first = open.clone().map(|change| change.at).min()?;
        let last = open.max_by_key(|change| change.at)?;
        let deadline = after(first, span(&self.grace));
        let message = format!(
            "{resource} were not written anew since the change at {}",
            last.at
        );
        let since = |m: &&&Object<Migration>| m.meta.created_at() > last.at;
        let begun = migrations.iter().find(since);
        if let Some(verdict) = begun.and_then(|migration| self.under_way(context, migration)) {
            return Some(verdict);
        }
        if context.now < deadline {
            return Some(Verdict::unknown("ReencryptionDue", message).recheck(deadline));
        }
        let Some(kind) = served(context.inventory) else {
            let why = format!("{message}, as far as can be seen without StorageVersionMigration");
            return Some(Verdict::unknown("MigrationNotVisible", why).propose(BY_HAND));
        };
        Some(match begun.map(|begun| (&begun.meta.name, begun.spec.stage)) {
            Some((name, Stage::Failed)) => Verdict::fail(
                Strength::Effective,
                "MigrationFailed",
                format!("{message}: migration {name} failed"),
            )
            .propose(format!(
                "Look at kubectl describe storageversionmigration {name}, mend the cause, delete \
                 it and create it again."
            )),
            Some((name, _)) => Verdict::fail(
                Strength::Effective,
                "MigrationUnfinished",
                format!("{message}: migration {name} has not ended"),
            ),
            None => self.missing(context, kind, resource, last, message),
        })
    }

    /// The verdict while a migration runs: it has the grace to end.
    fn under_way(&self, context: &Context<'_>, migration: &Object<Migration>) -> Option<Verdict> {
        let until = after(migration.meta.created_at(), span(&self.grace));
        (migration.spec.stage == Stage::Open && context.now < until).then(|| {
            let message = format!("migration {} is under way", migration.meta.name);
            Verdict::not_applicable("MigrationUnderWay", message).recheck(until)
        })
    }

    fn missing(
        &self,
        context: &Context<'_>,
        kind: Kind,
        resource: &str,
        last: &Changed,
        message: String,
    ) -> Verdict {
        let verdict = Verdict::fail(Strength::Effective, "NotReencrypted", message);
        let manifest = manifest(kind, resource, last);
        if !self.migrate {
            return verdict.propose(format!(
                "Set migrate: true, or create it by hand: kubectl create -f - <<< '{manifest}'"
            ));
        }
        // A server that still has the old configuration would write with the old key.
        let replicas = context.observed.api_servers.replicas.values();
        let readings = replicas.filter_map(|replica| replica.reading.as_ref());
        let hashes: BTreeSet<_> = readings.map(|(_, reading)| &reading.config).collect();
        if hashes.len() > 1 {
            let message = "A migration now would be too early: the API servers don't use the \
                           same configuration yet.";
            return verdict.propose(message);
        }
        verdict.remedy(Remedy::Create {
            target: Target {
                kind,
                namespace: Sym::from(""),
                name: manifest["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .into(),
            },
            manifest,
            consent: Consent::Given,
            owners: None,
        })
    }
}

/// Resource and API group, of `widgets.example.com` for instance.
fn split(resource: &str) -> (&str, &str) {
    resource.split_once('.').unwrap_or((resource, ""))
}

/// The migration that a change asks for. Its name is that of the change: created once.
fn manifest(kind: Kind, resource: &str, change: &Changed) -> serde_json::Value {
    let digits = change.hash.rsplit(':').next().unwrap_or_default();
    let digits: String = digits
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(10)
        .collect();
    let (name, group) = split(resource);
    json!({
        "apiVersion": kind.info().api_version(),
        "kind": kind.info().kind,
        "metadata": {
            "name": format!("probity-{resource}-{}-{digits}", change.at.as_second()).to_lowercase(),
        },
        "spec": { "resource": { "group": group, "resource": name } },
    })
}

/// The newest version of the API that the server serves.
fn served(inventory: &Inventory) -> Option<Kind> {
    let mut versions = VERSIONS.into_iter();
    versions.find(|kind| *inventory.freshness.of(*kind) == Availability::Synced)
}

/// Migrations of a resource. A server that serves both versions shows each of them twice.
fn of<'a>(
    inventory: &'a Inventory,
    resource: &'a str,
) -> impl Iterator<Item = &'a Object<Migration>> {
    let tables = &inventory.tables;
    let (name, group) = split(resource);
    let mut seen: BTreeSet<Uid> = BTreeSet::new();
    let all = tables
        .migrations
        .iter()
        .chain(tables.beta_migrations.iter());
    all.filter(move |object| {
        let Migration {
            group: of_group,
            resource: of_name,
            ..
        } = &object.spec;
        &**of_name == name && &**of_group == group && seen.insert(object.meta.uid)
    })
}

/// When the last migration of a resource that succeeded was done.
pub(super) fn last_migration(inventory: &Inventory, resource: &str) -> Option<Timestamp> {
    let ends = of(inventory, resource).filter_map(|object| match object.spec.stage {
        Stage::Succeeded(at) => at,
        Stage::Open | Stage::Failed => None,
    });
    ends.max()
}

/// Every change that was seen on an API server.
fn changes(observed: &Observed) -> Vec<Changed> {
    let replicas = observed.api_servers.replicas.values();
    let all = replicas.flat_map(|replica| {
        let keys = replica.kms.values().flat_map(Kms::key_changes);
        replica.config_changes().iter().chain(keys)
    });
    all.cloned().collect()
}

impl Control for SecretsReencrypted {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(&self, _: &Context<'_>, namespace: Option<&str>, found: &mut dyn FnMut(Subject)) {
        if namespace.is_some() {
            return;
        }
        for resource in &self.resources {
            found(Subject::named(SubjectKind::Resource, resource.as_str()));
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let asked = subject.kind == SubjectKind::Resource
            && self
                .resources
                .iter()
                .any(|resource| *resource == *subject.name);
        asked.then(|| self.resource(context, &subject.name))
    }
}
