//! Controls of the family `encryption`.

mod aggregated_and_webhook_tls;
mod apiserver_tls_profile;
mod certificates_valid;
mod config_consistent_across_replicas;
mod etcd_tls;
mod ingress_tls;
mod kms_healthy_and_rotated;
mod persistent_volumes;
mod pod_traffic;
mod secrets_at_rest_active;
mod secrets_no_plaintext_reads;
mod secrets_provider_strength;
mod secrets_reencrypted;
mod served;
pub(in crate::controls) mod servers;
#[cfg(test)]
pub(in crate::controls) mod testing;
pub(in crate::controls) mod time;

pub use self::{
    aggregated_and_webhook_tls::AggregatedAndWebhookTls,
    apiserver_tls_profile::{ApiserverTlsProfile, MinVersion},
    certificates_valid::CertificatesValid,
    config_consistent_across_replicas::ConfigConsistentAcrossReplicas,
    etcd_tls::EtcdTls,
    ingress_tls::{HANDSHAKE_INTERVAL, IngressTls, handshake_targets},
    kms_healthy_and_rotated::KmsHealthyAndRotated,
    persistent_volumes::{NodeLabel, PersistentVolumes, UnknownDriver},
    pod_traffic::{Encryption, PodTraffic},
    secrets_at_rest_active::{ManagedPlatformPolicy, SecretsAtRestActive},
    secrets_no_plaintext_reads::SecretsNoPlaintextReads,
    secrets_provider_strength::{Provider, SecretsProviderStrength},
    secrets_reencrypted::SecretsReencrypted,
    servers::NOT_LOOKED_YET,
};
use crate::{controls::prelude::*, controls::subject::objects};

/// Calls `found` with everything that the API server calls: webhook configurations, and the APIs
/// that it does not serve itself. None of them is in a namespace.
fn callees(inventory: &Inventory, namespace: Option<&str>, found: &mut dyn FnMut(Subject)) {
    if namespace.is_some() {
        return;
    }
    let tables = &inventory.tables;
    objects(
        Kind::ValidatingWebhook,
        &tables.validating_webhooks,
        None,
        found,
    );
    objects(
        Kind::MutatingWebhook,
        &tables.mutating_webhooks,
        None,
        found,
    );
    let apis = tables.api_services.iter();
    for api in apis.filter(|api| api.spec.service.is_some()) {
        found(Subject::of(Kind::ApiService, &api.meta));
    }
}

/// How much worse an outcome is than `Pass`, in the order in which outcomes make up a control's.
const fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::NotApplicable => 0,
        Outcome::Pass => 1,
        Outcome::Excepted => 2,
        Outcome::Unknown => 3,
        Outcome::Fail => 4,
    }
}

/// The worst of several verdicts on parts of one subject, the first of equals; judged again when
/// the first of them is to be.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.reduce(|a, b| {
        let recheck = [a.recheck_at, b.recheck_at].into_iter().flatten().min();
        let mut worse = if rank(b.outcome) > rank(a.outcome) {
            b
        } else {
            a
        };
        worse.recheck_at = recheck;
        worse
    })
}
