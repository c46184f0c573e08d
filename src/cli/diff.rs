//! `probity diff`: what Enforce would do now.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;

use super::{
    Connect, Failure,
    approve::{parse, resource},
};
use crate::{
    api::{ControlPolicy, PeopleKind, PeopleObject},
    cluster::{
        client::{self, CallError, deadline, within},
        watch::{self, Resource, WatchItem, WatchOptions},
    },
    engine::{Config, Engine, Event, ExceptionBounds, Memory, Now, OWNER_LABEL, Standing},
    evidence::body::Term,
    inventory::{Availability, Kind},
};

/// Arguments of `probity diff`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// Namespace that Probity runs in.
    #[arg(long, value_name = "NAME", default_value = "probity-system")]
    namespace: String,
}

/// Reads the cluster once and prints the remedies; writes nothing.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let connect = &arguments.connect;
    let connection = client::connect(connect.kubeconfig.as_deref(), connect.context.as_deref())
        .map_err(|error| error.to_string())?;
    let version = client::probe(&connection)
        .await
        .map_err(|error| error.to_string())?;
    let config = Config {
        own_namespace: arguments.namespace,
        log: "diff".to_owned(),
        owner_label: OWNER_LABEL.to_owned(),
        exceptions: ExceptionBounds::default(),
        sandbox: None,
        drill_owner: None,
    };
    let mut engine = Engine::new(config, Memory::default());
    engine.observed_mut().server_minor = Some(version.minor);
    let origin = Instant::now();
    let now = || {
        let mono = origin.elapsed();
        Now {
            wall: Timestamp::now(),
            mono,
            received: mono,
        }
    };
    let policies: kube::Api<ControlPolicy> = kube::Api::all(connection.client.clone());
    let policies = within(deadline::LIST, policies.list(&ListParams::default()))
        .await
        .map_err(|error| format!("policies can't be read: {error}"))?;
    for object in people(&connection.client).await? {
        engine.apply(Event::People(object), now());
    }
    for policy in policies {
        engine.apply(Event::Policy(Box::new(policy)), now());
    }
    let kinds = engine.needed_kinds();
    read(kinds, &connection.client, &mut |event| {
        engine.apply(event, now());
    })
    .await?;
    settle(&mut engine, &now);
    // The term exists in this process alone: it lets the engine plan; what it plans is printed.
    let term = Term {
        holder: "diff".into(),
        epoch: 0,
        predecessor: None,
    };
    engine.apply(Event::Leading(term), now());
    settle(&mut engine, &now);
    print(&engine);
    Ok(())
}

/// What people say: exceptions. A kind that is not served has no objects.
async fn people(client: &kube::Client) -> Result<Vec<PeopleObject>, Failure> {
    let mut objects = Vec::new();
    for kind in PeopleKind::ALL {
        let all: kube::Api<kube::api::DynamicObject> =
            kube::Api::all_with(client.clone(), &resource(kind));
        let listed = match within(deadline::LIST, all.list(&ListParams::default())).await {
            Err(CallError::NotFound) => continue,
            listed => {
                listed.map_err(|error| format!("{} can't be read: {error}", kind.plural()))?
            }
        };
        for object in listed {
            objects.push(parse(kind, &object)?);
        }
    }
    Ok(objects)
}

/// Lists kinds, once, and passes on what happens meanwhile.
pub(super) async fn read(
    kinds: BTreeSet<Kind>,
    client: &kube::Client,
    take: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let (sender, mut items) = tokio::sync::mpsc::channel::<WatchItem<Kind>>(256);
    let mut waiting = kinds;
    let mut tasks = tokio::task::JoinSet::new();
    for kind in &waiting {
        let info = kind.info();
        let resource = Resource::new(info.group, info.version, info.plural, info.is_namespaced());
        tasks.spawn(watch::run(
            client.clone(),
            resource,
            WatchOptions::default(),
            sender.clone(),
            *kind,
        ));
    }
    while !waiting.is_empty() {
        let item = tokio::time::timeout(Duration::from_mins(1), items.recv()).await;
        let Ok(Some(item)) = item else {
            let missing: Vec<_> = waiting.iter().map(|kind| kind.info().plural).collect();
            return Err(format!(
                "the API server did not list {} within a minute",
                missing.join(", ")
            ));
        };
        let kind = item.key();
        if matches!(item, WatchItem::Lost { .. }) && !waiting.contains(&kind) {
            continue; // it may not be watched; but it was listed
        }
        let event = match item {
            WatchItem::Restart { .. } => Event::ListBegan(kind),
            WatchItem::Page { bytes, .. } => Event::Page(kind, bytes),
            WatchItem::Synced { .. } => {
                waiting.remove(&kind);
                Event::ListEnded(kind)
            }
            WatchItem::Event { line, .. } => Event::Line(kind, line),
            WatchItem::Alive { .. } => Event::Alive(kind),
            WatchItem::Lost {
                reason: watch::LostReason::Forbidden { message },
                ..
            } => {
                waiting.remove(&kind);
                Event::Availability(kind, Availability::Forbidden(message))
            }
            WatchItem::Lost {
                reason: watch::LostReason::Missing,
                ..
            } => {
                waiting.remove(&kind);
                Event::Missing(kind)
            }
            WatchItem::Lost { .. } => continue,
        };
        take(event);
    }
    tasks.abort_all();
    Ok(())
}

/// Has everything judged. What a round would write is dropped.
fn settle(engine: &mut Engine, now: &dyn Fn() -> Now) {
    engine.round(now());
    while !engine.is_settled() {
        engine.round(now());
    }
}

fn print(engine: &Engine) {
    let mut written = 0;
    let proposals = engine.proposals();
    for (policy, control, subject, standing, text) in &proposals {
        let what = match standing {
            Standing::UnderWay => {
                written += 1;
                "would do".to_owned()
            }
            Standing::Held(hold) => format!("held: {}", hold.explain()),
            Standing::Quiet => "proposed".to_owned(),
        };
        println!("{policy} {control}\n  {subject}\n  {what}\n  {text}\n");
    }
    println!(
        "{} failing subjects; {written} remedies would be carried out now",
        proposals.len()
    );
}
