//! `backup-encrypted`

use super::common::{affected, is_used, places, touched_places};
use serde_json::json;

use crate::{
    analysis::{
        Derived,
        backup::{Recovery, location::in_use, site::host},
    },
    controls::{prelude::*, restricted::command},
    inventory::{cnpg::Store, k8up::K8upSchedule, longhorn::BackupTarget, velero::Location},
    words::{either, many},
};

/// Every place that backups lie in encrypts them, and is reached over an encrypted connection.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encrypted {
    /// Whether the key must be the customer's own rather than the provider's.
    #[serde(default)]
    pub require_customer_key: bool,
}

const SUBJECTS: &[Kind] = &[
    Kind::VeleroLocation,
    Kind::ObjectStore,
    Kind::Database,
    Kind::BackupTarget,
    Kind::K8upSchedule,
];

/// What shows that a place encrypts.
enum Proof {
    /// The customer's own key is named.
    CustomerKey,
    /// The provider is asked to, or does so whatever it is asked.
    Provider(&'static str),
    /// A service that is only compatible was asked to: it may ignore that.
    OnlyAsked,
    /// Nothing.
    None,
}

impl Encrypted {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-encrypted",
        field: "backupEncrypted",
        title: "Backups are encrypted where they lie and on the way there",
        family: Family::Backup,
        criteria: &["CC6.1", "CC6.7", "C1.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 3,
        reads: &[
            Kind::VeleroLocation,
            Kind::VeleroSchedule,
            Kind::ObjectStore,
            Kind::Database,
            Kind::BackupTarget,
            Kind::LonghornVolume,
            Kind::K8upSchedule,
        ],
        subjects: SUBJECTS,
        derives: &[Derived::Recovery],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Each place in use that backups lie in shows that it encrypts: a Velero \
               BackupStorageLocation by `kmsKeyId` or a customer's key, by \
               `serverSideEncryption`, or because its provider (AWS S3, Google Cloud Storage, \
               Azure) encrypts everything; a Barman store by `data.encryption` and \
               `wal.encryption`, or its provider; a K8up backend by restic, which always \
               encrypts, with a password that the Schedule names; a Longhorn BackupTarget in that \
               every volume with backups there is encrypted. Endpoints (`s3Url`, and \
               `storageAccountURI` of Azure) with http:// fail.",
        why: "Whoever gets at the bucket has all data of all namespaces at once.",
        fix: "Nothing is written: encryption is chosen with the bucket and its key.",
        by_hand: "Set `kmsKeyId` (or `data.encryption` and `wal.encryption`), use https://, encrypt Longhorn volumes by their storage \
                  class.",
        prevention: "A ValidatingAdmissionPolicy can require these fields on \
                     BackupStorageLocations and ObjectStores, and refuse http:// endpoints.",
        limits: "What a provider does by default is taken from its documentation, Declared, and is \
                 a complementary control of the service organisation. A service that is only \
                 compatible with S3 may ignore the header that asks for encryption: Unknown, \
                 unless a key is named, which it must know. So is what lies behind a \
                 `storageAccountURI` that is none of Azure's own. Volume snapshots lie beside the volume \
                 and are encrypted as it is. Backups as files and moved snapshots are encrypted by \
                 kopia besides, with the password that `backup-repo-secret-not-default` judges; \
                 manifests are not. Where the endpoint of a Longhorn target is in a Secret, its \
                 connection is not judged. Secrets are never read.",
    };

    /// What to set of a Velero location: its address where that is plain, else a key.
    fn mend_location(location: &Object<Location>, reason: &str) -> String {
        let (meta, config) = (&location.meta, &location.spec.config);
        let provider = location
            .spec
            .provider
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let plain = ["s3Url", "storageAccountURI"]
            .into_iter()
            .find_map(|field| {
                let url = config.get(field)?;
                Some((field, secure(url)?))
            });
        let fields = match plain.filter(|_| reason == PLAIN) {
            Some((field, url)) => json!({ field: url }),
            None if provider == "gcp" => json!({ "kmsKeyName": "KEY" }),
            None => json!({ "kmsKeyId": "KEY" }),
        };
        let fields = json!({ "spec": { "config": fields } });
        command::set(Kind::VeleroLocation, &meta.namespace, &meta.name, &fields)
    }

    /// The verdict by what was found.
    fn by_proof(&self, proof: &Proof) -> Verdict {
        let declared = Strength::Declared;
        match proof {
            Proof::CustomerKey => Verdict::pass(
                declared,
                "CustomerKey",
                "it is encrypted with a key of your own",
            ),
            Proof::Provider(_) if self.require_customer_key => {
                let message = "it is encrypted with a key of the provider, and a key of your own \
                               is required";
                Verdict::fail(declared, "NoCustomerKey", message)
            }
            Proof::Provider(how) => Verdict::pass(declared, "ProviderKey", *how),
            Proof::OnlyAsked => {
                let message = "the service is asked to encrypt, but is only compatible with S3: \
                               whether it does can't be seen";
                Verdict::unknown("EncryptionNotShown", message)
            }
            Proof::None => {
                let message = "nothing shows that it is encrypted";
                Verdict::fail(declared, "NotEncrypted", message)
            }
        }
    }

    fn judge_location(&self, context: &Context<'_>, location: &Object<Location>) -> Verdict {
        let recovery = context.analyses.recovery();
        if in_use(context.inventory, recovery, context.now, location).is_none() {
            return Verdict::not_applicable("NotInUse", "no backup lies there or is written to it");
        }
        let spec = &location.spec;
        let set = |key: &str| {
            spec.config
                .get(key)
                .filter(|value| !value.trim().is_empty())
        };
        let provider = spec.provider.rsplit('/').next().unwrap_or_default();
        let endpoint = match provider {
            "azure" => set("storageAccountURI"),
            _ => set("s3Url"),
        };
        if let Some(verdict) = plain(endpoint) {
            return verdict;
        }
        let own = [
            "kmsKeyId",
            "kmsKeyName",
            "customerKeyEncryptionFile",
            "customerKeyEncryptionSecret",
        ];
        if own.iter().any(|key| set(key).is_some()) {
            return self.by_proof(&Proof::CustomerKey);
        }
        let proof = match provider {
            "aws" if set("s3Url").is_none_or(is_aws) => {
                Proof::Provider("Amazon S3 encrypts every object since 2023")
            }
            "aws" if set("serverSideEncryption").is_some() => Proof::OnlyAsked,
            "aws" => Proof::None,
            "gcp" => Proof::Provider("Google Cloud Storage encrypts every object"),
            // Its key is chosen on the account, which is not seen.
            "azure" if self.require_customer_key => {
                let message = "the key of an Azure storage account is not seen from here";
                return Verdict::unknown("KeyNotSeen", message);
            }
            "azure" if endpoint.is_some_and(|endpoint| !is_azure(endpoint)) => {
                let message = "whether the service at config.storageAccountURI encrypts is not seen: \
                               whoever runs it knows";
                return Verdict::unknown("EncryptionNotShown", message);
            }
            "azure" => Proof::Provider("Azure Storage encrypts every object"),
            other => {
                let message = format!("what provider {other:?} encrypts is not known");
                return Verdict::unknown("ProviderNotKnown", message);
            }
        };
        self.by_proof(&proof)
    }

    fn judge_store(&self, store: &Store) -> Verdict {
        if let Some(verdict) = plain(store.endpoint.as_deref()) {
            return verdict;
        }
        let destination = store.destination.as_deref().unwrap_or_default();
        let aws = destination.starts_with("s3:") && store.endpoint.as_deref().is_none_or(is_aws);
        let both = store.data_encryption.is_some() && store.log_encryption.is_some();
        let proof = if aws {
            Proof::Provider("Amazon S3 encrypts every object since 2023")
        } else if destination.starts_with("gs:") {
            Proof::Provider("Google Cloud Storage encrypts every object")
        } else if host(destination).ends_with(".blob.core.windows.net") {
            Proof::Provider("Azure Storage encrypts every object")
        } else if both {
            Proof::OnlyAsked
        } else if store.data_encryption.is_some() || store.log_encryption.is_some() {
            let message = "only one of data.encryption and wal.encryption is set";
            return Verdict::fail(Strength::Declared, "EncryptedInPart", message);
        } else {
            Proof::None
        };
        self.by_proof(&proof)
    }
}

/// Backups go there in the clear.
const PLAIN: &str = "PlainTransport";

/// The same address by https; `None` where it is not plain.
fn secure(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_at_checked("http://".len())?;
    scheme
        .eq_ignore_ascii_case("http://")
        .then(|| format!("https://{rest}"))
}

/// The verdict on an endpoint that is reached in the clear.
fn plain(endpoint: Option<&str>) -> Option<Verdict> {
    let endpoint = endpoint?;
    secure(endpoint).map(|_| {
        let message = format!("backups go to {endpoint} in the clear");
        Verdict::fail(Strength::Declared, PLAIN, message)
    })
}

fn is_aws(endpoint: &str) -> bool {
    let host = host(endpoint).to_ascii_lowercase();
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

/// Whether an endpoint is one of Azure's clouds.
fn is_azure(endpoint: &str) -> bool {
    let host = host(endpoint).to_ascii_lowercase();
    let clouds = [
        ".core.windows.net",
        ".core.chinacloudapi.cn",
        ".core.usgovcloudapi.net",
        ".storage.azure.net",
    ];
    clouds.iter().any(|cloud| host.ends_with(cloud))
}

fn judge_target(
    inventory: &Inventory,
    recovery: &Recovery,
    target: &Object<BackupTarget>,
) -> Verdict {
    if target.spec.url.is_none() {
        return Verdict::not_applicable("NotInUse", "it has no address");
    }
    let volumes = inventory
        .tables
        .longhorn_volumes
        .in_namespace(&target.meta.namespace);
    let volumes = volumes.filter(|volume| {
        volume.spec.target.as_deref().unwrap_or("default") == &*target.meta.name
            && recovery.has_longhorn_backups(&volume.meta.name)
    });
    let (mut all, mut clear) = (0_u64, 0_u64);
    for volume in volumes {
        all += 1;
        clear += u64::from(!volume.spec.encrypted);
    }
    match (all, clear) {
        (0, _) => Verdict::not_applicable("NotInUse", "no volume has backups there"),
        (_, 0) => {
            let message = format!(
                "all of {} with backups there {} encrypted",
                many(all, "volume"),
                either(all, "is", "are")
            );
            Verdict::pass(Strength::Effective, "VolumesEncrypted", message)
        }
        _ => {
            let message = format!(
                "{clear} of {} with backups there {} not encrypted, and neither are \
                 the backups",
                many(all, "volume"),
                either(clear, "is", "are")
            );
            Verdict::fail(Strength::Effective, "VolumesNotEncrypted", message)
        }
    }
}

fn judge_k8up(schedule: &Object<K8upSchedule>) -> Option<Verdict> {
    let backend = schedule.spec.backend.as_deref()?;
    schedule.spec.cron.as_ref()?;
    Some(plain(backend.endpoint.as_deref()).unwrap_or_else(|| {
        if backend.password {
            let message = "restic encrypts with the password that the backend names";
            Verdict::pass(Strength::Declared, "ResticPassword", message)
        } else {
            let message = "the backend names no password: that of the operator, which is not seen, \
                           is taken";
            Verdict::unknown("PasswordNotNamed", message)
        }
    }))
}

impl Control for Encrypted {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        touched_places(change)
    }

    fn affected(&self, _: Derived, subject: &Subject) -> Touched {
        affected(&[Kind::VeleroLocation], subject)
    }

    fn fails_whatever(&self, _: &Subject, reason: &str, _: Kind) -> bool {
        // More objects put a place to more use; none changes its address.
        reason == PLAIN
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        places(context.inventory, namespace, found);
        let tables = &context.inventory.tables;
        tables.k8up_schedules.within(namespace, |schedule| {
            if judge_k8up(schedule).is_some() {
                found(Subject::of(Kind::K8upSchedule, &schedule.meta));
            }
        });
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let tables = &context.inventory.tables;
        let (namespace, name) = (&*subject.namespace, &*subject.name);
        match subject.object_kind()? {
            Kind::VeleroLocation => {
                let location = tables.velero_locations.get(namespace, name)?;
                let verdict = self.judge_location(context, location);
                Some(verdict.propose_if_failing(|v| Self::mend_location(location, v.reason)))
            }
            Kind::ObjectStore => {
                let store = tables.object_stores.get(namespace, name)?;
                Some(if is_used(context.inventory, store) {
                    self.judge_store(&store.spec.store)
                } else {
                    let message = "no database cluster names it, and nothing lies there";
                    Verdict::not_applicable("NotInUse", message)
                })
            }
            Kind::Database => {
                let database = tables.databases.get(namespace, name)?;
                database
                    .spec
                    .store
                    .as_ref()
                    .map(|store| self.judge_store(store))
            }
            Kind::BackupTarget => {
                let target = tables.backup_targets.get(namespace, name)?;
                Some(judge_target(
                    context.inventory,
                    context.analyses.recovery(),
                    target,
                ))
            }
            Kind::K8upSchedule => judge_k8up(tables.k8up_schedules.get(namespace, name)?),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
