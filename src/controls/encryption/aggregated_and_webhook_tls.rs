//! `enc-aggregated-and-webhook-tls`

use serde_json::json;

use crate::{
    controls::{prelude::*, restricted::command},
    inventory::{
        Table,
        trust::{ApiService, Monitor, Webhooks},
        velero::Location,
        wire::go_bool,
    },
};

/// The API server checks the certificate of everything that it calls: aggregated APIs and
/// webhooks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AggregatedAndWebhookTls {
    /// Names of objects whose certificate need not be checked; `namespace/name` for a
    /// `BackupStorageLocation`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 317)))]
    pub allow: Vec<String>,
}

impl AggregatedAndWebhookTls {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-aggregated-and-webhook-tls",
        field: "encAggregatedAndWebhookTls",
        title: "The API server checks the certificates of what it calls",
        family: Family::Encryption,
        criteria: &["CC6.7"],
        severity: Severity::Medium,
        strength: Strength::Declared,
        rule_version: 3,
        reads: &[
            Kind::ValidatingWebhook,
            Kind::MutatingWebhook,
            Kind::ApiService,
            Kind::VeleroLocation,
            Kind::ServiceMonitor,
            Kind::PodMonitor,
        ],
        subjects: &[
            Kind::ValidatingWebhook,
            Kind::MutatingWebhook,
            Kind::ApiService,
            Kind::VeleroLocation,
            Kind::ServiceMonitor,
            Kind::PodMonitor,
        ],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "No aggregated APIService sets `insecureSkipTLSVerify`, and every webhook that is \
               given by a URL is called by https. No BackupStorageLocation of Velero sets \
               `insecureSkipTLSVerify`.",
        why: "Whoever can answer in place of an aggregated API or a webhook decides what the API \
              server believes: a certificate that is not checked keeps nobody from it.",
        fix: "Nothing is written. The proposal says which field to mend.",
        by_hand: "Give the Service a certificate for `NAME.NAMESPACE.svc`, put its authority into `caBundle` \
                  and remove `insecureSkipTLSVerify`.",
        prevention: "A ValidatingAdmissionPolicy on APIServices can refuse `insecureSkipTLSVerify: true`. Policies \
                     that are objects never see webhook configurations.",
        limits: "Many installations of metrics-server skip the check: cover them by a \
                 ClusterControlException with an end, rather than by `allow`. Webhooks can't skip \
                 it; whether their caBundle is any good is judged by enc-certificates-valid. \
                 A ServiceMonitor or PodMonitor with `insecureSkipVerify` is listed as not \
                 applicable: it is about metrics, which Prometheus reads, and fails nobody.",
    };

    /// The verdict on an object that this control would fail.
    fn unless_allowed(&self, name: &str, failure: Verdict) -> Verdict {
        if self.allow.iter().any(|allowed| allowed == name) {
            return Verdict::not_applicable("AllowedByPolicy", failure.message);
        }
        failure
    }

    fn api(&self, object: &Object<ApiService>) -> Option<Verdict> {
        let service = object.spec.service.as_ref()?;
        if !object.spec.insecure {
            let message = format!("the certificate of Service {service} is checked");
            return Some(Verdict::pass(Strength::Declared, "TlsVerified", message));
        }
        let message = format!("insecureSkipTLSVerify: anybody may answer for Service {service}");
        let name = &object.meta.name;
        // As namespace/name; the API server asks for the name that it calls.
        let (namespace, host) = service.split_once('/').unwrap_or(("", service));
        let checked =
            json!({ "spec": { "caBundle": "CA_BASE64", "insecureSkipTLSVerify": false } });
        let failure = Verdict::fail(Strength::Declared, "TlsNotVerified", message).propose(format!(
            "give the Service a certificate for {host}.{namespace}.svc, and have the API server check it \
             by its authority (base64 -w0 ca.crt): {}",
            command::set(Kind::ApiService, "", name, &checked)
        ));
        Some(self.unless_allowed(name, failure))
    }

    fn location(&self, object: &Object<Location>) -> Verdict {
        let skips = object.spec.config.get("insecureSkipTLSVerify");
        if skips.and_then(go_bool) != Some(true) {
            let message = "the certificate of the object store is checked";
            return Verdict::pass(Strength::Declared, "TlsVerified", message);
        }
        let message = "insecureSkipTLSVerify: anybody may answer for the object store";
        let Meta {
            namespace, name, ..
        } = &object.meta;
        let checked = json!({ "spec": {
            "config": { "insecureSkipTLSVerify": null },
            "objectStorage": { "caCert": "CA_BASE64" },
        } });
        let failure =
            Verdict::fail(Strength::Declared, "TlsNotVerified", message).propose(format!(
                "have the object store checked by its authority (base64 -w0 ca.crt): {}",
                command::set(Kind::VeleroLocation, namespace, name, &checked)
            ));
        self.unless_allowed(&format!("{namespace}/{name}"), failure)
    }

    /// For information: it is Prometheus that is told anything here, not the API server.
    fn monitor(monitor: &Monitor) -> Option<Verdict> {
        monitor.insecure.then(|| {
            Verdict::not_applicable(
                "ScrapeNotVerified",
                "insecureSkipVerify: anybody may answer in place of what Prometheus scrapes",
            )
        })
    }

    fn webhooks(&self, object: &Object<Webhooks>) -> Verdict {
        let hooks = object.spec.hooks.iter();
        let mut plain = hooks.filter(|hook| {
            let url = hook.url.as_deref();
            url.is_some_and(|url| !url.to_ascii_lowercase().starts_with("https://"))
        });
        let Some(hook) = plain.next() else {
            let message = "the certificates of its webhooks are checked";
            return Verdict::pass(Strength::Declared, "TlsVerified", message);
        };
        let message = format!("webhook {} is not called by https", hook.name);
        let failure = Verdict::fail(Strength::Declared, "WebhookWithoutTls", message)
            .propose("Write a URL that begins with https://.");
        self.unless_allowed(&object.meta.name, failure)
    }
}

/// What Prometheus is told to scrape.
const fn monitors(inventory: &Inventory) -> [(Kind, &Table<Monitor>); 2] {
    [
        (Kind::ServiceMonitor, &inventory.tables.service_monitors),
        (Kind::PodMonitor, &inventory.tables.pod_monitors),
    ]
}

impl Control for AggregatedAndWebhookTls {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        Touched::Subject(Subject::object(
            change.kind,
            &change.namespace,
            &change.name,
        ))
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let locations = &context.inventory.tables.velero_locations;
        subject::objects(Kind::VeleroLocation, locations, namespace, found);
        super::callees(context.inventory, namespace, found);
        for (kind, monitors) in monitors(context.inventory) {
            monitors.within(namespace, |monitor| {
                if monitor.spec.insecure {
                    found(Subject::of(kind, &monitor.meta));
                }
            });
        }
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let tables = &context.inventory.tables;
        let name = &*subject.name;
        match subject.object_kind()? {
            Kind::ApiService => self.api(tables.api_services.get("", name)?),
            Kind::VeleroLocation => {
                let locations = &tables.velero_locations;
                Some(self.location(locations.get(subject.object_namespace(), name)?))
            }
            Kind::ValidatingWebhook => {
                Some(self.webhooks(tables.validating_webhooks.get("", name)?))
            }
            Kind::MutatingWebhook => Some(self.webhooks(tables.mutating_webhooks.get("", name)?)),
            kind @ (Kind::ServiceMonitor | Kind::PodMonitor) => {
                let all = monitors(context.inventory);
                let (_, table) = all.into_iter().find(|(known, _)| *known == kind)?;
                let monitor = table.get(subject.object_namespace(), name)?;
                Self::monitor(&monitor.spec)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::controls::testing::World;

    fn api(spec: &Value) -> World {
        let object = json!({ "metadata": { "name": "v1beta1.metrics.k8s.io" }, "spec": spec });
        World::new().with(Kind::ApiService, object)
    }

    fn metrics(insecure: bool) -> World {
        let service = json!({ "namespace": "kube-system", "name": "metrics-server" });
        api(&json!({ "service": service, "insecureSkipTLSVerify": insecure }))
    }

    fn hook(client: &Value) -> Verdict {
        let object = json!({
            "metadata": { "name": "guard" },
            "webhooks": [{ "name": "a.guard.example", "clientConfig": client }],
        });
        let mut world = World::new().with(Kind::MutatingWebhook, object);
        world.only(&AggregatedAndWebhookTls::default())
    }

    #[test]
    fn a_check_that_is_skipped_fails() {
        let control = AggregatedAndWebhookTls::default();
        let verdict = metrics(true).only(&control);
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::Fail, "TlsNotVerified")
        );
        assert!(verdict.proposal.unwrap().contains("caBundle"));
        assert_eq!(metrics(false).only(&control).outcome, Outcome::Pass);
    }

    #[test]
    fn what_is_allowed_is_not_judged() {
        let mut control = AggregatedAndWebhookTls {
            allow: vec!["v1beta1.metrics.k8s.io".to_owned()],
        };
        let verdict = metrics(true).only(&control);
        assert_eq!(
            (verdict.outcome, verdict.reason),
            (Outcome::NotApplicable, "AllowedByPolicy")
        );
        assert_eq!(metrics(false).only(&control).outcome, Outcome::Pass);
        control.allow = vec!["v1beta1.metrics".to_owned()];
        assert_eq!(metrics(true).only(&control).outcome, Outcome::Fail);
    }

    #[test]
    fn what_the_api_server_serves_itself_is_no_subject() {
        let mut world = api(&json!({ "groupPriorityMinimum": 1 }));
        assert!(world.judge(&AggregatedAndWebhookTls::default()).is_empty());
    }

    #[test]
    fn a_location_of_backups_checks_its_object_store() {
        let location = |config: Value| {
            let object = json!({
                "metadata": { "name": "default", "namespace": "velero" },
                "spec": { "provider": "aws", "config": config },
            });
            World::new()
                .namespace("velero")
                .with(Kind::VeleroLocation, object)
        };
        let control = AggregatedAndWebhookTls::default();
        let lax = || location(json!({ "insecureSkipTLSVerify": "true" }));
        assert_eq!(lax().only(&control).reason, "TlsNotVerified");
        assert_eq!(location(json!({})).only(&control).reason, "TlsVerified");
        let allowing = AggregatedAndWebhookTls {
            allow: vec!["velero/default".to_owned()],
        };
        assert_eq!(lax().only(&allowing).reason, "AllowedByPolicy");
    }

    #[test]
    fn a_scrape_that_checks_nothing_is_told_and_fails_nobody() {
        for (kind, field) in [
            (Kind::ServiceMonitor, "endpoints"),
            (Kind::PodMonitor, "podMetricsEndpoints"),
        ] {
            let monitor = |tls: Value| {
                let endpoints = json!([{ "port": "http" }, { "port": "https", "tlsConfig": tls }]);
                let object = json!({
                    "metadata": { "name": "m", "namespace": "shop" }, "spec": { field: endpoints },
                });
                let mut world = World::new().namespace("shop").with(kind, object);
                world.outcomes(&AggregatedAndWebhookTls::default())
            };
            assert!(monitor(json!({})).is_empty());
            assert!(monitor(Value::Null).is_empty());
            assert!(monitor(json!({ "insecureSkipVerify": false })).is_empty());
            let told = monitor(json!({ "insecureSkipVerify": true }));
            let told: Vec<_> = told.into_values().collect();
            assert_eq!(told, [(Outcome::NotApplicable, "ScrapeNotVerified")]);
        }
    }

    #[test]
    fn webhooks_are_called_by_https() {
        for (client, wanted) in [
            (json!({ "url": "https://hook.example/" }), "TlsVerified"),
            (json!({ "url": "HTTPS://hook.example/" }), "TlsVerified"),
            (
                json!({ "url": "http://hook.example/" }),
                "WebhookWithoutTls",
            ),
            (
                json!({ "service": { "namespace": "a", "name": "b" } }),
                "TlsVerified",
            ),
            (Value::Null, "TlsVerified"),
        ] {
            assert_eq!(hook(&client).reason, wanted, "{client}");
        }
    }

    #[test]
    fn a_truth_value_is_read_as_velero_reads_it() {
        for (said, reason) in [
            ("true", "TlsNotVerified"),
            ("True", "TlsNotVerified"),
            ("TRUE", "TlsNotVerified"),
            ("t", "TlsNotVerified"),
            ("T", "TlsNotVerified"),
            ("1", "TlsNotVerified"),
            ("false", "TlsVerified"),
            ("0", "TlsVerified"),
            // Refused: the location is not used.
            ("tRUE", "TlsVerified"),
            ("yes", "TlsVerified"),
        ] {
            let location = json!({
                "metadata": { "name": "default", "namespace": "velero" },
                "spec": { "provider": "aws", "config": { "insecureSkipTLSVerify": said } },
            });
            let mut world = World::new().with(Kind::VeleroLocation, location);
            let verdict = world.only(&AggregatedAndWebhookTls::default());
            assert_eq!(verdict.reason, reason, "{said}");
        }
    }
}
