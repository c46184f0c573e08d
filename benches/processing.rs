//! Own processing of a drift: watch bytes in, write bytes out. Without the log's sync, which is
//! the disk's time and shown beside it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use kube::client::Body;
use probity::{
    cluster::{apply, wire::LineSplitter},
    engine::{Action, ActionResult, Event, Step},
    evidence::Log,
    inventory::Kind,
};
use serde_json::json;

use crate::{Figure, Result, stats::Samples, verdicts::Drive};

const NAMESPACES: u32 = 1000;
const DRIFTS: u32 = 3000;
/// So many of them are logged for real.
const LOGGED: u32 = 500;

/// Measures both.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let (own, log) = runtime.block_on(drifts())?;
    Ok(vec![
        Figure {
            what: "own processing, watch bytes in to write bytes out",
            measured: own.summary(),
            limit: "p99 < 1 ms",
            kept: Some(own.percentile(99) < Duration::from_millis(1)),
        },
        Figure {
            what: "— beside it: the log's append and sync",
            measured: log.summary(),
            limit: "",
            kept: None,
        },
    ])
}

/// Deletes one network policy after the other and has each put back.
async fn drifts() -> Result<(Samples, Samples)> {
    let mut drive = Drive::new(NAMESPACES);
    let limits = json!({ "writesPerMinute": 6000, "maxShareOfKind": 100 });
    let spec = json!({ "mode": "Enforce", "limits": limits, "controls": { "netNamespaceDefaultDeny": {} } });
    drive.policy("soc2", &spec)?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (log, _) = Log::open(folder.path()).map_err(|error| error.to_string())?;
    let client = client();
    let (mut own, mut synced) = (Samples::default(), Samples::default());
    let mut line = LineSplitter::default();
    for number in 0..DRIFTS {
        drive.wait(1);
        let policy = json!({ "podSelector": {} });
        let bytes = drive.line("DELETED", number % NAMESPACES, Some(&policy));
        let bytes = Bytes::from([&*bytes, b"\n"].concat());
        let began = Instant::now();
        line.feed(bytes);
        let event = line.next_line().map_err(|error| error.to_string())?;
        drive.apply(Event::Line(Kind::NetworkPolicy, event.ok_or("no line")?));
        let mut round = drive.round();
        // Only the very first write of a content is tried with a dry run before.
        let mut action = the_action(&mut round.actions)?;
        let direct = action.step == Step::Write;
        if !direct {
            let mut object = action.remedy.content().clone();
            object["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
            let accepted = ActionResult::Accepted(object);
            drive.apply(Event::Action(action.id, accepted));
            round = drive.round();
            action = the_action(&mut round.actions)?;
        }
        let decided = began.elapsed();
        if number < LOGGED {
            let began = Instant::now();
            let ticket = log.append(round.records);
            ticket.await.map_err(|error| error.to_string())?;
            synced.push(began.elapsed());
        }
        let began = Instant::now();
        let result = apply::carry_out(&client, &action).await;
        if direct {
            own.push(decided + began.elapsed());
        }
        let line = drive.line("ADDED", number % NAMESPACES, Some(&policy));
        drive.apply(Event::Line(Kind::NetworkPolicy, line));
        drive.apply(Event::Action(action.id, result));
        drive.round();
    }
    Ok((own, synced))
}

fn the_action(actions: &mut Vec<Action>) -> Result<Action> {
    actions
        .pop()
        .ok_or_else(|| "the drift was not acted on".to_owned())
}

/// A client whose server takes in every byte and accepts everything.
fn client() -> kube::Client {
    let server = tower::service_fn(|request: Request<Body>| async move {
        let body = request.into_body().collect_bytes().await?;
        drop(body);
        let answer = json!({ "metadata": { "resourceVersion": "7" } }).to_string();
        Ok::<_, kube::Error>(Response::new(Body::from(answer.into_bytes())))
    });
    kube::Client::new(server, "default")
}
