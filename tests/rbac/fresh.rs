//! A cluster with nothing but Kubernetes has no failing subject.

use http::Method;
use probity::api::Controls;
use probity::controls::{Context, Family, REGISTRY};
use probity::engine::Observed;
use probity::verdict::Outcome;
use serde_json::{Map, Value, json};

use super::server::Server;

#[test]
fn a_cluster_with_nothing_but_kubernetes_has_no_failing_subject() {
    let server = Server::start();
    server.aggregated();
    let (inventory, analyses) = server.load();
    let version = server.must(Method::GET, "/version", &Value::Null);
    let minor = version["minor"].as_str().unwrap();
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let observed = Observed {
        server_minor: minor.parse().ok(),
        ..Observed::default()
    };
    let context = Context {
        inventory: &inventory,
        analyses: &analyses,
        observed: &observed,
        now: jiff::Timestamp::now(),
        own_namespace: "probity-system",
        scope: None,
        kept: None,
        before: None,
    };
    let family = REGISTRY.iter().filter(|r| r.info.family == Family::Rbac);
    let mut judged = 0;
    for registered in family {
        let mut field = Map::new();
        field.insert(registered.info.field.to_owned(), json!({}));
        let controls: Controls = serde_json::from_value(Value::Object(field)).unwrap();
        let enabled = (registered.enabled)(&controls).unwrap();
        let mut subjects = Vec::new();
        if registered.info.id == "rbac-access-review-current" {
            continue; // of a cluster where nobody has reviewed anything, it says so
        }
        let control = &enabled.control;
        control.population(&context, None, &mut |subject| subjects.push(subject));
        for subject in subjects {
            let verdict = control.judge(&context, &subject).unwrap();
            if verdict.reason == "NotLookedYet" {
                continue; // what the API servers show of themselves: nobody looks here
            }
            assert!(
                matches!(verdict.outcome, Outcome::Pass | Outcome::NotApplicable),
                "{} {subject}: {verdict:?}",
                registered.info.id
            );
            judged += 1;
        }
    }
    // The default accounts, at least, are there and pass.
    assert!(judged >= 4, "{judged}");
}
