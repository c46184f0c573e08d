//! `backup-repo-secret-not-default`

use crate::{controls::prelude::*, engine::Password};

/// The password of Velero's repositories is not the one that is printed in Velero's source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepoSecretNotDefault {
    /// Namespace of Velero.
    #[serde(default = "velero")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

fn velero() -> String {
    "velero".to_owned()
}

impl Default for RepoSecretNotDefault {
    fn default() -> Self {
        Self {
            namespace: velero(),
        }
    }
}

/// The Secret that is judged.
const SECRET: &str = "velero-repo-credentials";

impl RepoSecretNotDefault {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "backup-repo-secret-not-default",
        field: "backupRepoSecretNotDefault",
        title: "Velero's repositories are not encrypted with the built-in password",
        family: Family::Backup,
        criteria: &["CC6.1"],
        severity: Severity::High,
        strength: Strength::Effective,
        rule_version: 1,
        reads: &[
            Kind::VeleroLocation,
            Kind::VeleroRepository,
            Kind::PodVolumeBackup,
            Kind::DataUpload,
        ],
        subjects: &[],
        derives: &[],
        observes: &[Observation::RepositoryPassword],
        writes: &[],
        scope: ScopeUse::Ignored,
        what: "Where Velero backs up as files or moves snapshots (there is a BackupRepository, a \
               PodVolumeBackup or a DataUpload in its namespace), key `repository-password` of the \
               Secret `velero-repo-credentials` is not the constant of Velero's source. It is \
               compared in memory; only whether they are equal is kept.",
        why: "Velero writes that constant by itself where nobody sets a password: whoever gets at \
              the bucket then reads all files of all volumes.",
        fix: "Nothing is written: Velero can't change the password of repositories that exist.",
        by_hand: "Create the Secret with a password of your own before the first backup as files. \
                  For repositories that exist: write a new Secret, delete the BackupRepositories, \
                  and let new backups begin new repositories in another prefix; keep the old ones, \
                  and the old password, until they have expired.",
        prevention: "None: admission would have to know the password.",
        limits: "The Secret is read only where the chart sets `velero.readRepositoryPassword`; \
                 without that right the verdict is Unknown. How strong another password is isn't \
                 judged.",
    };

    fn is_used(&self, inventory: &Inventory) -> bool {
        let tables = &inventory.tables;
        let namespace = &*self.namespace;
        tables
            .velero_repositories
            .in_namespace(namespace)
            .next()
            .is_some()
            || tables
                .pod_volume_backups
                .in_namespace(namespace)
                .next()
                .is_some()
            || tables.data_uploads.in_namespace(namespace).next().is_some()
    }

    fn judge_password(&self, context: &Context<'_>) -> Verdict {
        let effective = Strength::Effective;
        if !self.is_used(context.inventory) {
            let message = "nothing is backed up as files, and no snapshot is moved";
            return Verdict::not_applicable("RepositoriesNotUsed", message);
        }
        let seen = context.observed.repository_passwords.as_ref();
        match seen.and_then(|seen| seen.get(&*self.namespace)) {
            None => Verdict::unknown("NotLookedYet", "nobody has looked at the Secret yet"),
            Some(Password::NotSeen(why)) => Verdict::unknown("PasswordNotSeen", why.clone()),
            Some(Password::Missing) => Verdict::unknown(
                "PasswordMissing",
                "the Secret has no key repository-password, although repositories are in use",
            ),
            Some(Password::Own) => Verdict::pass(
                effective,
                "OwnPassword",
                "the password is not the built-in one",
            ),
            Some(Password::BuiltIn) => {
                let message = "the password is the constant that is printed in Velero's source";
                Verdict::fail(effective, "BuiltInPassword", message).propose(
                    "set a password of your own, and begin new repositories: Velero can't change \
                     that of those that exist",
                )
            }
        }
    }
}

impl Control for RepoSecretNotDefault {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        // Where Velero has never run, there is no password to judge.
        let tables = &context.inventory.tables;
        let mut locations = tables.velero_locations.in_namespace(&self.namespace);
        let there = self.is_used(context.inventory) || locations.next().is_some();
        if there && namespace.is_none_or(|namespace| namespace == self.namespace) {
            found(Subject {
                namespace: self.namespace.as_str().into(),
                kind: SubjectKind::RepositoryPassword,
                name: SECRET.into(),
            });
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let ours = subject.kind == SubjectKind::RepositoryPassword
            && *subject.namespace == *self.namespace;
        ours.then(|| self.judge_password(context))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::controls::{backup::fixtures::location, testing::World};

    fn used() -> World {
        World::new()
            .with(Kind::VeleroLocation, location(&json!({})))
            .with(
                Kind::VeleroRepository,
                json!({ "metadata": { "name": "shop-default-kopia", "namespace": "velero" } }),
            )
    }

    #[test]
    fn the_built_in_password_fails_where_repositories_are_used() {
        for (password, wanted) in [
            (None, "NotLookedYet"),
            (Some(Password::BuiltIn), "BuiltInPassword"),
            (Some(Password::Own), "OwnPassword"),
            (Some(Password::Missing), "PasswordMissing"),
            (
                Some(Password::NotSeen("forbidden".into())),
                "PasswordNotSeen",
            ),
        ] {
            let mut world = used();
            let found = password
                .clone()
                .map(|found| BTreeMap::from([("velero".into(), found)]));
            world.observed.repository_passwords = found;
            let verdicts = world.judge(&RepoSecretNotDefault::default());
            let verdict = &verdicts["Secret velero/velero-repo-credentials"];
            assert_eq!(verdict.reason, wanted, "{password:?}");
        }
    }

    #[test]
    fn where_nothing_is_backed_up_as_files_it_does_not_matter() {
        let mut world = World::new().with(Kind::VeleroLocation, location(&json!({})));
        let built_in = BTreeMap::from([("velero".into(), Password::BuiltIn)]);
        world.observed.repository_passwords = Some(built_in);
        let verdict = world.only(&RepoSecretNotDefault::default());
        assert_eq!(verdict.reason, "RepositoriesNotUsed");
        assert!(
            World::new()
                .judge(&RepoSecretNotDefault::default())
                .is_empty()
        );
        let elsewhere = RepoSecretNotDefault {
            namespace: "backup".into(),
        };
        assert!(used().judge(&elsewhere).is_empty());
    }
}
