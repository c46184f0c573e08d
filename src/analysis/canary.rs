//! What an API server's counters say about the canary Secret.
//!
//! ```text
//! scrape ─► Scrape ─┐
//!   write, read     ├─► compare() ─► Canary
//! scrape ─► Scrape ─┘
//! ```
//!
//! The proof is in the differences. A server that restarted in between, or that never saw the
//! write because a load balancer sent it elsewhere, proves nothing: its start time and its own
//! count of requests tell.

use std::collections::BTreeMap;

use super::exposition::Sample;
use crate::engine::Canary;

/// Counts what went to storage, by resource and provider.
const OPERATIONS: &str = "apiserver_storage_transformation_operations_total";
/// Counts requests; stable since long, and present on every server that shows its metrics.
const REQUESTS: &str = "apiserver_request_total";
/// When the process started.
const START: &str = "process_start_time_seconds";
/// Names the configuration of encryption, and the server.
const CONFIG: &str = "apiserver_encryption_config_controller_last_config_info";
/// What providers that encrypt put before their data. Nested transformers also count under the
/// name of their key, which says nothing.
const ENCRYPTED: &str = "k8s:enc:";

/// The few numbers of a scrape that matter here.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Scrape {
    /// Successful writes of Secrets to storage, by the provider's prefix.
    stored: BTreeMap<String, f64>,
    /// Successful requests that write one Secret.
    writes: Option<f64>,
    /// Start of the process, as it was written.
    start: Option<String>,
    /// Whether operations are counted without a resource, as before 1.32.
    old: bool,
    /// Id by which the server calls itself, as a hash.
    id: Option<String>,
}

impl Scrape {
    /// Reads all lines of a Prometheus text.
    pub fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        text.lines().for_each(|line| scrape.line(line));
        scrape
    }

    /// Takes in one line of a Prometheus text; most have nothing to say.
    pub fn line(&mut self, line: &str) {
        // A cheap look first: scrapes have hundreds of thousands of lines.
        if !line.starts_with("apiserver_") && !line.starts_with(START) {
            return;
        }
        let wanted = |name: &str| [OPERATIONS, REQUESTS, START, CONFIG].contains(&name);
        let Some(sample) = Sample::parse(line, wanted) else {
            return;
        };
        let label = |name| sample.label(name);
        match sample.name {
            START => self.start = Some(sample.value.to_owned()),
            CONFIG => self.id = label("apiserver_id_hash").map(str::to_owned),
            OPERATIONS if label("transformation_type") == Some("to_storage") => {
                self.old |= label("resource").is_none();
                if label("resource") == Some("secrets")
                    && label("status") == Some("OK")
                    && let (Some(prefix), Ok(value)) =
                        (label("transformer_prefix"), sample.value.parse::<f64>())
                {
                    *self.stored.entry(prefix.to_owned()).or_default() += value;
                }
            }
            REQUESTS if is_write(&sample.labels) => {
                if let Ok(value) = sample.value.parse::<f64>() {
                    *self.writes.get_or_insert_default() += value;
                }
            }
            // Present, with other requests: the series for ours may just not exist yet.
            REQUESTS => {
                self.writes.get_or_insert_default();
            }
            _ => {}
        }
    }
}

fn is_write(labels: &BTreeMap<String, String>) -> bool {
    let is = |name: &str, wanted: &[&str]| {
        labels
            .get(name)
            .is_some_and(|v| wanted.contains(&v.as_str()))
    };
    is("resource", &["secrets"])
        && labels.get("group").is_none_or(String::is_empty)
        && labels.get("dry_run").is_none_or(String::is_empty)
        && is("verb", &["POST", "PUT", "PATCH", "APPLY"])
        && is("code", &["200", "201"])
}

/// What a server did with a Secret that was written between two scrapes of it.
pub fn compare(before: &Scrape, after: &Scrape) -> Canary {
    match proven(before, after) {
        Ok(canary) => canary,
        Err(why) => Canary::Unclear(why.to_owned()),
    }
}

fn proven(before: &Scrape, after: &Scrape) -> Result<Canary, &'static str> {
    let (Some(first), Some(then)) = (before.writes, after.writes) else {
        return Err("/metrics shows no apiserver_request_total: it is not the API server's own");
    };
    let another = before.id.is_some() && before.id != after.id;
    if another || before.start.is_none() || before.start != after.start {
        return Err(
            "the scrapes before and after the write came from different processes: it restarted, \
             or a load balancer stands between",
        );
    }
    if then <= first {
        return Err(
            "the server did not count the write: a load balancer sent it to another one; list \
             the addresses of all API servers in the parameter endpoints",
        );
    }
    if after.old {
        return Err("the counters name no resource: the server is older than 1.32");
    }
    let rose = |prefix: &&String| {
        let before = before.stored.get(*prefix).copied().unwrap_or_default();
        after
            .stored
            .get(*prefix)
            .is_some_and(|after| *after > before)
    };
    let risen: Vec<&String> = after.stored.keys().filter(rose).collect();
    let sealed: Vec<String> = risen
        .iter()
        .filter(|prefix| prefix.starts_with(ENCRYPTED))
        .map(|p| (*p).clone())
        .collect();
    // On the way to storage, `identity` is the provider without a prefix.
    let plain = risen.iter().any(|prefix| prefix.is_empty());
    match (sealed.is_empty(), plain) {
        (false, false) => Ok(Canary::Encrypted(sealed)),
        (true, true) => Ok(Canary::Plaintext { identity: true }),
        (false, true) => Err("Secrets were stored both ways: its configuration just changed"),
        // Without an encryption configuration for Secrets, nothing of them is ever counted.
        (true, false) if after.stored.is_empty() => Ok(Canary::Plaintext { identity: false }),
        (true, false) => Err("the server counted the write, but no provider that it went through"),
    }
}

/// The managed platform that a server's version or address gives away.
pub fn platform(git_version: &str, host: &str) -> Option<&'static str> {
    let named = [("-eks-", "EKS"), ("-gke.", "GKE"), ("-aliyun", "ACK")];
    let by_version = named.iter().find(|(mark, _)| git_version.contains(mark));
    let hosted = [(".eks.amazonaws.com", "EKS"), (".azmk8s.io", "AKS")];
    let by_host = hosted.iter().find(|(suffix, _)| host.ends_with(suffix));
    by_version.or(by_host).map(|(_, platform)| *platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scrape with these further series and so many writes.
    fn scrape(series: &[(&str, u32)], writes: u32) -> Scrape {
        let mut text = format!(
            "# TYPE {REQUESTS} counter\n\
             {REQUESTS}{{code=\"200\",dry_run=\"\",group=\"\",resource=\"secrets\",verb=\"PUT\"}} {writes}\n\
             {REQUESTS}{{code=\"200\",group=\"\",resource=\"pods\",verb=\"LIST\"}} 7\n\
             {REQUESTS}{{code=\"200\",group=\"x.example\",resource=\"secrets\",verb=\"PUT\"}} 99\n\
             {REQUESTS}{{code=\"409\",group=\"\",resource=\"secrets\",verb=\"PUT\"}} 5\n\
             {START} 1.79123e+09\n"
        );
        for (labels, value) in series {
            text.extend([OPERATIONS, "{", labels, "} ", &value.to_string(), "\n"]);
        }
        Scrape::parse(&text)
    }

    fn to(prefix: &str) -> String {
        format!(
            r#"resource="secrets",status="OK",transformation_type="to_storage",transformer_prefix="{prefix}""#
        )
    }

    const SEALED: &str = "k8s:enc:secretbox:v1:";

    fn rising(prefixes: &[&str]) -> Canary {
        let labels: Vec<String> = prefixes.iter().map(|prefix| to(prefix)).collect();
        let series = |value| {
            labels
                .iter()
                .map(|l| (l.as_str(), value))
                .collect::<Vec<_>>()
        };
        compare(&scrape(&series(3), 1), &scrape(&series(4), 2))
    }

    fn is_unclear(canary: &Canary, about: &str) -> bool {
        matches!(canary, Canary::Unclear(why) if why.contains(about))
    }

    #[test]
    fn only_prefixes_of_providers_that_encrypt_count() {
        let sealed = Canary::Encrypted(vec![SEALED.to_owned()]);
        assert_eq!(rising(&[SEALED]), sealed);
        // The name of a nested key.
        assert_eq!(rising(&[SEALED, "key1:"]), sealed);
        assert_eq!(rising(&[""]), Canary::Plaintext { identity: true });
        assert!(is_unclear(&rising(&["key1:"]), "no provider"));
        assert!(is_unclear(&rising(&[SEALED, ""]), "both ways"));
    }

    #[test]
    fn the_first_write_ever_counts() {
        let labels = to(SEALED);
        let after = scrape(&[(&labels, 1)], 1);
        assert_eq!(
            compare(&scrape(&[], 0), &after),
            Canary::Encrypted(vec![SEALED.to_owned()])
        );
    }

    #[test]
    fn no_series_is_no_encryption() {
        let none = Canary::Plaintext { identity: false };
        assert_eq!(compare(&scrape(&[], 1), &scrape(&[], 2)), none);
        // What is read, fails, belongs to other kinds, or fills caches says nothing of Secrets.
        for labels in [
            r#"resource="secrets",status="OK",transformation_type="from_storage",transformer_prefix="k8s:enc:aescbc:v1:""#,
            r#"resource="secrets",status="Unknown",transformation_type="to_storage",transformer_prefix="k8s:enc:aescbc:v1:""#,
            r#"resource="configmaps",status="OK",transformation_type="to_storage",transformer_prefix="k8s:enc:aescbc:v1:""#,
            r#"resource="",status="OK",transformation_type="to_storage",transformer_prefix="k8s:enc:aescbc:v1:""#,
        ] {
            assert_eq!(
                compare(&scrape(&[(labels, 1)], 1), &scrape(&[(labels, 2)], 2)),
                none
            );
        }
    }

    #[test]
    fn a_counter_that_did_not_rise_is_unclear() {
        let labels = to(SEALED);
        let same = compare(&scrape(&[(&labels, 3)], 1), &scrape(&[(&labels, 3)], 2));
        assert!(is_unclear(&same, "no provider"), "{same:?}");
    }

    #[test]
    fn another_server_or_another_life_proves_nothing() {
        let elsewhere = compare(&scrape(&[], 2), &scrape(&[], 2));
        assert!(is_unclear(&elsewhere, "load balancer"));
        let mut reborn = scrape(&[], 2);
        reborn.start = Some("2e9".to_owned());
        assert!(is_unclear(
            &compare(&scrape(&[], 1), &reborn),
            "different processes"
        ));
        assert!(is_unclear(
            &compare(&Scrape::default(), &Scrape::default()),
            "apiserver_request_total"
        ));
    }

    #[test]
    fn servers_that_name_no_resource_are_too_old() {
        let labels = r#"status="OK",transformation_type="to_storage",transformer_prefix="k8s:enc:aescbc:v1:""#;
        let old = compare(&scrape(&[(labels, 1)], 1), &scrape(&[(labels, 2)], 2));
        assert!(is_unclear(&old, "1.32"));
    }

    #[test]
    fn odd_lines_do_no_harm() {
        for line in [
            "",
            "apiserver_request_total",
            "apiserver_request_total{",
            r#"apiserver_request_total{a="b"#,
            r#"apiserver_request_total{a="\"#,
        ] {
            Scrape::parse(line);
        }
    }

    #[test]
    fn platforms_show_by_version_or_address() {
        for (version, host, wanted) in [
            ("v1.33.4-eks-abc", "", Some("EKS")),
            ("v1.33.4-gke.100", "", Some("GKE")),
            ("v1.33.4", "x.hcp.westeurope.azmk8s.io", Some("AKS")),
            ("v1.33.4+k3s1", "10.0.0.1", None),
        ] {
            assert_eq!(platform(version, host), wanted);
        }
    }
}
