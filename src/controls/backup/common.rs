//! What the controls of backups share: objectives, what covers what, and commands for people.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::period::parse_duration,
    inventory::{Inventory, Kind, Meta},
};

/// Annotation of a `CronJob` with the claims that it backs up, separated by commas.
pub(super) const BACKS_UP: &str = "probity.dev/backs-up";
/// Annotation of a claim, namespace or storage class with its recovery point objective.
pub(super) const RPO: &str = "probity.dev/rpo";

/// The claims that a `CronJob` says it backs up; `None` where it is no backup.
pub(super) fn backs_up(meta: &Meta) -> Option<impl Iterator<Item = &str>> {
    let names = meta.annotations.get(BACKS_UP)?.split(',').map(str::trim);
    Some(names.filter(|name| !name.is_empty()))
}

/// The recovery point objective of a claim: that of the claim, else of its namespace, else of its
/// storage class. `Err` is a sentence about one that can't be read.
pub(super) fn objective(
    inventory: &Inventory,
    namespace: &str,
    claim: &str,
) -> Result<Option<Duration>, String> {
    let tables = &inventory.tables;
    let class = tables.claims.get(namespace, claim);
    let class = class.and_then(|claim| claim.spec.class.as_deref());
    let places = [
        (Kind::Claim, namespace, claim),
        (Kind::Namespace, "", namespace),
        (Kind::StorageClass, "", class.unwrap_or_default()),
    ];
    let nearest = places.into_iter().find_map(|(kind, namespace, name)| {
        let meta = inventory.meta(kind, namespace, name)?;
        Some((kind, name, meta.annotations.get(RPO)?))
    });
    let Some((kind, name, text)) = nearest else {
        return Ok(None);
    };
    let kind = kind.info().kind;
    parse_duration(text)
        .map(Some)
        .map_err(|error| format!("annotation {RPO} of {kind} {name}: {error}"))
}

/// `start` and `span` later; the end of time where that is beyond it.
pub(super) fn later(start: Timestamp, span: Duration) -> Timestamp {
    start.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// A duration as people say it: `26h`, `7d`, `1h30m`.
pub(super) fn say(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds >= 2 * 86_400 && seconds.is_multiple_of(86_400) {
        return format!("{}d", seconds / 86_400);
    }
    let parts = [
        (seconds / 3600, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let mut parts = parts.iter().filter(|(count, _)| *count > 0).peekable();
    if parts.peek().is_none() {
        return "0s".into();
    }
    let parts = parts.map(|(count, unit)| format!("{count}{unit}"));
    parts.collect::<Vec<_>>().concat()
}

/// Whether a list of included and one of excluded namespaces cover a namespace, as Velero reads
/// them. What we can't read as a pattern includes nothing and excludes everything.
pub(super) fn covers<S: AsRef<str>>(included: &[S], excluded: &[S], namespace: &str) -> bool {
    let holds = |list: &[S], doubt| {
        let mut patterns = list.iter().map(AsRef::as_ref);
        patterns.any(|pattern| glob(pattern, namespace).unwrap_or(doubt))
    };
    (included.is_empty() || holds(included, false)) && !holds(excluded, true)
}

/// Whether `text` matches a pattern with `*` and `?`; `None` for patterns that hold more.
fn glob(pattern: &str, text: &str) -> Option<bool> {
    if pattern.contains(['[', ']', '{', '}', '\\', '!']) {
        return None;
    }
    Some(matches(pattern.as_bytes(), text.as_bytes()))
}

/// Namespaces have at most 63 bytes: going back to the last star only is quick enough.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, taken)) = star else {
                    return false;
                };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The command that starts a run of a schedule now.
pub(super) fn run_now(kind: Kind, meta: &Meta) -> String {
    let (namespace, name) = (&meta.namespace, &meta.name);
    match kind {
        Kind::CronJob => {
            format!("kubectl create job --from=cronjob/{name} --namespace {namespace} {name}-now")
        }
        _ => format!("velero backup create --from-schedule {name} --namespace {namespace}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_briefly() {
        for (seconds, said) in [
            (0, "0s"),
            (93_600, "26h"),
            (604_800, "7d"),
            (5400, "1h30m"),
            (86_400, "24h"),
            (61, "1m1s"),
        ] {
            assert_eq!(say(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn namespaces_are_covered_as_velero_reads_them() {
        for (included, excluded, covered) in [
            (&[][..], &[][..], true),
            (&["*"], &[], true),
            (&["shop"], &[], true),
            (&["bank"], &[], false),
            (&["s*p"], &[], true),
            (&["*sh?p*"], &[], true),
            (&["s*x"], &[], false),
            (&["[s]hop"], &[], false),
            (&["*"], &["shop"], false),
            (&["*"], &["*bank"], true),
            (&["*"], &["[b]ank"], false),
        ] {
            assert_eq!(
                covers(included, excluded, "shop"),
                covered,
                "{included:?} {excluded:?}"
            );
        }
    }
}
