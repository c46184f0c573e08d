//! What the controls that judge API servers share: which there are, and what was last seen.

use jiff::SignedDuration;

use super::time::{after, later};
use crate::{
    analysis::apiserver::{Direction, ENCRYPTED, Operation, Reading, Replica},
    controls::prelude::*,
    engine::Canary,
    words::{either, many},
};

/// What was seen is believed so long: three looks.
pub(in crate::controls) const BELIEVED: SignedDuration = SignedDuration::from_mins(16);

/// Why nothing is known of API servers at first.
pub const NOT_LOOKED_YET: &str = "NotLookedYet";

/// Calls `found` with each API server, and with the cluster where not all of them are known.
pub(in crate::controls) fn population(
    context: &Context<'_>,
    namespace: Option<&str>,
    found: &mut dyn FnMut(Subject),
) {
    let servers = &context.observed.api_servers;
    if namespace.is_some() {
        return;
    }
    if !servers.all_known || servers.replicas.is_empty() {
        found(Subject::named(SubjectKind::Cluster, "cluster"));
    }
    for address in servers.replicas.keys() {
        found(Subject::named(SubjectKind::ApiServer, address.clone()));
    }
}

/// Judges one API server by `rule`, or the cluster for those that are not known.
pub(in crate::controls) fn judge(
    context: &Context<'_>,
    subject: &Subject,
    rule: impl FnOnce(&Replica) -> Verdict,
) -> Option<Verdict> {
    let servers = &context.observed.api_servers;
    match subject.kind {
        SubjectKind::Cluster => incomplete(context),
        SubjectKind::ApiServer => servers.replicas.get(&subject.name).map(rule),
        _ => None,
    }
}

/// The verdict on the cluster where not all API servers are known.
pub(in crate::controls) fn incomplete(context: &Context<'_>) -> Option<Verdict> {
    let servers = &context.observed.api_servers;
    if servers.at.is_none() {
        let verdict = Verdict::unknown(NOT_LOOKED_YET, "the API servers were not looked at yet");
        return Some(verdict.recheck(later(context.now, SignedDuration::from_mins(1))));
    }
    if servers.all_known && !servers.replicas.is_empty() {
        return None;
    }
    let verdict = Verdict::unknown(
        "NotAllReplicasKnown",
        format!(
            "{} {} looked at, and there may be more whose address is not known",
            many(servers.replicas.len(), "API server"),
            either(servers.replicas.len(), "was", "were")
        ),
    );
    Some(verdict.propose(
        "List the addresses of all API servers in the parameter endpoints of \
         enc-secrets-at-rest-active, or raise its maxReplicas.",
    ))
}

/// The metrics of a server that are still believed, or the verdict where there are none.
pub(in crate::controls) fn reading<'a>(
    context: &Context<'_>,
    replica: &'a Replica,
) -> Result<(Timestamp, &'a Reading), Verdict> {
    let trouble = replica.look.metrics.as_ref().err();
    let read = replica.reading.as_ref();
    if let Some((at, reading)) = read
        && context.now <= later(*at, BELIEVED)
    {
        return Ok((*at, reading));
    }
    let why = trouble.map_or("its metrics were not read for a while", String::as_str);
    Err(Verdict::unknown("MetricsNotRead", why.to_owned()))
}

/// When a verdict that rests on a reading is no longer believed.
pub(in crate::controls) fn expiry(at: Timestamp) -> Timestamp {
    after(at, BELIEVED)
}

/// How Secrets are stored, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls) enum AtRest {
    /// Encrypted.
    Encrypted,
    /// As they are.
    Plain,
    /// Nobody can tell.
    NotSeen,
}

/// How a server stores Secrets: by the canary, else by what it counted.
pub(in crate::controls) fn at_rest(
    context: &Context<'_>,
    address: &str,
    replica: &Replica,
) -> AtRest {
    let canary = context.observed.canary.as_ref();
    match canary.and_then(|run| run.replicas.get(address)) {
        Some(Canary::Encrypted(_)) => return AtRest::Encrypted,
        Some(Canary::Plaintext { .. }) => return AtRest::Plain,
        Some(Canary::Unclear(_)) | None => {}
    }
    let risen = stored(replica, "secrets", Timestamp::MIN);
    let latest = risen.max_by_key(|(_, at)| *at);
    match latest {
        Some((prefix, _)) if prefix.starts_with(ENCRYPTED) => AtRest::Encrypted,
        Some(_) => AtRest::Plain,
        None if declares_none(context, replica) => AtRest::Plain,
        None => AtRest::NotSeen,
    }
}

/// Whether it is declared that nothing is encrypted: no flag names a configuration, or `OpenShift` is
/// to store everything as it is, which it is unless told otherwise (openshift/api,
/// `config/v1/types_apiserver.go`).
fn declares_none(context: &Context<'_>, replica: &Replica) -> bool {
    let declared = context.observed.api_servers.openshift.as_deref();
    let flags = replica.look.flags.as_ref().ok();
    match declared {
        // Its operator passes a configuration file rather than flags.
        Some(encryption) => matches!(encryption, "" | "identity"),
        None => flags.is_some_and(|flags| flags.is_unset("encryption-provider-config")),
    }
}

/// The verdict where Secrets are not known to be encrypted: one cause, one finding.
pub(in crate::controls) fn unless_encrypted(at_rest: &AtRest) -> Option<Verdict> {
    match at_rest {
        AtRest::Encrypted => None,
        AtRest::Plain => Some(Verdict::not_applicable(
            "NothingEncrypted",
            "Secrets are stored as they are: see enc-secrets-at-rest-active",
        )),
        AtRest::NotSeen => Some(Verdict::unknown(
            "EncryptionNotSeen",
            "whether Secrets are encrypted was not seen yet: see enc-secrets-at-rest-active",
        )),
    }
}

/// Providers that something of a resource was stored through after a moment, and when last. Of
/// the prefixes of nested providers only those say something that begin with [`ENCRYPTED`].
pub(in crate::controls) fn stored<'a>(
    replica: &'a Replica,
    resource: &'a str,
    after: Timestamp,
) -> impl Iterator<Item = (&'a str, Timestamp)> {
    let operations = replica.operations.iter();
    operations.filter_map(move |(operation, counter)| {
        let Operation {
            resource: of,
            direction,
            prefix,
        } = operation;
        let means = prefix.is_empty() || prefix.starts_with(ENCRYPTED);
        let rise = counter.rise.filter(|rise| rise.to >= after)?;
        (of == resource && *direction == Direction::ToStorage && means)
            .then_some((prefix.as_str(), rise.to))
    })
}
