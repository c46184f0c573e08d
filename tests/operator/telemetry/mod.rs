//! Spans and metrics of a running operator, as an OpenTelemetry collector gets them.

mod collector;

use std::time::Duration;

use self::collector::{Collector, Heard, Manner, attribute, total};
use super::program::Replica;
use super::world::{World, eventually, turn};
use crate::harness::free_port;

const NOT_REACHED: &str = "don't reach the collector";

/// A replica that sends to a collector, often.
fn sending(world: &World, url: &str, more: &[(&str, &str)]) -> Replica {
    let often = [
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
    ];
    let variables = often.iter().chain(more);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Replica::new(world)
        .with_args(&[&format!("--otlp-endpoint={url}")])
        .with_environment(variables.collect())
}

fn heard<T>(collector: &Collector, what: &str, of: impl Fn(&Heard) -> Option<T>) -> T {
    eventually(what, || {
        let heard = collector.heard();
        of(&heard).ok_or_else(|| format!("{} requests, without it", heard.requests))
    })
}

#[test]
fn a_collector_gets_what_a_put_back_took_and_the_figures_that_prometheus_reads() {
    let world = turn();
    let collector = Collector::start(Manner::Takes);
    let (namespace, path) = world.denying_namespace();
    let secret = (
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer%20hunter2",
    );
    let replica = sending(&world, &collector.url, &[secret]);
    let mut program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    program.ready();
    world.delete(&path);
    let deny = world.appears(&path);

    heard(&collector, "drift as a metric", |heard| {
        let drift = heard.metric("probity_drift_total")?;
        (total(drift) >= 1.0).then_some(())
    });
    let scraped = program.metrics();
    assert!(program.stop().success());
    let heard = collector.heard();
    check_names(&heard, &scraped);
    check_spans(&heard);
    assert!(
        heard
            .authorizations
            .iter()
            .all(|found| found == "Bearer hunter2")
    );

    // Nothing that went out names an object, but the replica and the policy, by which metrics are known.
    let spans = format!("{:?}", heard.spans);
    let name = deny["metadata"]["name"].as_str().unwrap();
    for name in [&namespace, &policy, &format!("\"{name}\"")] {
        assert!(!spans.contains(name), "{name} is in the spans");
    }
    let metrics = format!("{:?}", heard.metrics);
    assert!(!metrics.contains(&namespace));
    assert!(!replica.output().contains("hunter2"));
    assert!(
        !replica.output().contains(NOT_REACHED),
        "{}",
        replica.output()
    );
}

/// Every family of a scrape goes out under its name, and says who sends it.
fn check_names(heard: &Heard, scraped: &str) {
    let types = scraped
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let mut wanted: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let mut sent = heard.metric_names();
    wanted.sort_unstable();
    sent.sort_unstable();
    assert_eq!(sent, wanted);
    let resource = heard.metrics.last().unwrap().resource.as_ref().unwrap();
    let of = |key: &str| attribute(&resource.attributes, key).unwrap();
    assert_eq!(of("service.name"), "probity");
    assert_eq!(of("service.version"), env!("CARGO_PKG_VERSION"));
    assert!(of("service.instance.id").ends_with(".probity-0"));
}

/// Rounds, judgements, appends and writes, and to which trace they belong.
fn check_spans(heard: &Heard) {
    let rounds = heard.named("round");
    let of = |name: &str, wanted: &[(&str, &str)]| {
        let mut found = heard.named(name);
        found.retain(|span| {
            let has = |(key, value): &(&str, &str)| {
                attribute(&span.attributes, key).as_deref() == Some(*value)
            };
            wanted.iter().all(has)
        });
        found
    };
    let control = ("control", "net-namespace-default-deny");
    let judged = of("judge", &[control, ("subjects", "1")]);
    let kind = ("kind", "NetworkPolicy");
    let written = of("write", &[kind, ("verb", "write"), ("result", "Ok")]);
    let appended = of("append", &[("result", "Ok")]);
    let statuses = of("write", &[("kind", "ControlPolicy"), ("verb", "status")]);
    assert!(!judged.is_empty(), "{:#?}", heard.spans);
    assert_eq!(written.len(), 1, "{:#?}", heard.spans);
    assert!(
        !appended.is_empty() && !statuses.is_empty(),
        "{:#?}",
        heard.spans
    );
    for span in judged.iter().chain(&written).chain(&appended) {
        let is_parent = |round: &&&opentelemetry_proto::tonic::trace::v1::Span| {
            round.span_id == span.parent_span_id && round.trace_id == span.trace_id
        };
        let round = rounds.iter().find(is_parent);
        let round = round.unwrap_or_else(|| panic!("{span:#?} is in no round"));
        assert!(round.start_time_unix_nano <= span.start_time_unix_nano);
    }
    // A write outlives the round that asked for it.
    let write = written[0];
    let round = rounds
        .iter()
        .find(|round| round.span_id == write.parent_span_id);
    assert!(round.unwrap().end_time_unix_nano < write.end_time_unix_nano);
    let known = ["round", "judge", "append", "write"];
    assert!(
        heard
            .spans()
            .all(|span| known.contains(&span.name.as_str()))
    );
}

/// Lines of the log that say that something does not reach the collector.
fn complaints(replica: &Replica) -> Vec<String> {
    let output = replica.output();
    let lines = output.lines().filter(|line| line.contains(NOT_REACHED));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_collector_that_hangs_holds_nothing_up_and_is_told_of_once() {
    let world = turn();
    let collector = Collector::start(Manner::Hangs);
    let (namespace, path) = world.denying_namespace();
    let replica = sending(&world, &collector.url, &[]);
    let mut program = replica.start();
    let policy = world.default_deny("Enforce", &namespace);
    world.settled(&policy);
    program.ready();
    eventually("several tries", || {
        let requests = collector.heard().requests;
        (requests >= 6)
            .then_some(())
            .ok_or(format!("{requests} requests"))
    });
    world.delete(&path);
    world.appears(&path);
    // It was put back although no request had been answered.
    assert!(collector.heard().spans.is_empty() && collector.heard().metrics.is_empty());
    let said = complaints(&replica);
    assert_eq!(said.len(), 2, "spans and metrics, once each: {said:#?}");
    assert!(
        said.iter()
            .all(|line| line.contains("no answer within 500 ms")),
        "{said:#?}"
    );

    collector.behaves(Manner::Refuses);
    collector.behaves(Manner::Takes);
    heard(&collector, "metrics", |heard| {
        heard.metrics.last().map(|_| ())
    });
    heard(&collector, "spans", |heard| heard.spans.last().map(|_| ()));
    eventually("two lines that it is well again", || {
        let output = replica.output();
        let again = output.matches("reach the collector again").count();
        if again == 2 { Ok(()) } else { Err(output) }
    });

    collector.behaves(Manner::Hangs);
    let before = collector.heard().requests;
    eventually("requests that hang", || {
        let requests = collector.heard().requests;
        (requests >= before + 2)
            .then_some(())
            .ok_or(format!("{requests} requests"))
    });
    let taken = collector.heard().metrics.len();
    assert!(program.stop().success());
    // It has ended although what it sent at last is not answered.
    assert_eq!(collector.heard().metrics.len(), taken);
}

#[test]
fn a_collector_that_is_absent_or_refuses_is_told_of_once() {
    let world = turn();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let refusing = Collector::start(Manner::Refuses);
    let urls = [
        (nobody.as_str(), "can't connect"),
        (refusing.url.as_str(), "it answers 503"),
    ];
    for (url, why) in urls {
        let replica = sending(&world, url, &[("OTEL_TRACES_EXPORTER", "none")]);
        let mut program = replica.start();
        program.ready();
        // Several exports later.
        std::thread::sleep(Duration::from_secs(2));
        let said = complaints(&replica);
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(
            said[0].contains(why) && said[0].contains("Metrics"),
            "{said:#?}"
        );
        assert!(program.stop().success());
    }
    assert!(refusing.heard().requests >= 4);
}

#[test]
fn settings_that_cannot_be_meant_end_the_start_with_one_line() {
    let output = super::program::output(&["run", "--otlp-endpoint=collector:4317"]);
    assert_eq!(output.code, Some(2));
    let said = "probity: --otlp-endpoint is no URL: write one such as http://collector:4318\n";
    assert_eq!(output.stderr, said);
}
