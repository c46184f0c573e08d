//! The reader against a scripted server: each request takes the next answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use tokio::sync::mpsc;

use super::*;
use crate::cluster::client::CallError;

/// An answer: status, pieces of the body, and what comes after them.
struct Answer {
    code: u16,
    pieces: Vec<String>,
    end: Ending,
}

#[derive(Clone, Copy)]
enum Ending {
    Clean,
    Broken,
    Hangs,
}

fn json(code: u16, body: &str) -> Answer {
    Answer {
        code,
        pieces: vec![body.to_owned()],
        end: Ending::Clean,
    }
}

fn page(version: u64, token: &str) -> Answer {
    json(
        200,
        &format!(
            r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[]}}"#
        ),
    )
}

fn stream(pieces: &[String], end: Ending) -> Answer {
    Answer {
        code: 200,
        pieces: pieces.to_vec(),
        end,
    }
}

fn hangs() -> Answer {
    stream(&[], Ending::Hangs)
}

fn status(code: u16, reason: &str) -> Answer {
    json(
        code,
        &format!(r#"{{"kind":"Status","reason":"{reason}","message":"{reason}"}}"#),
    )
}

fn event(event: &str, version: u64) -> String {
    format!(r#"{{"type":"{event}","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}"#)
        + "\n"
}

fn error_line(code: u16) -> String {
    format!(r#"{{"type":"ERROR","object":{{"kind":"Status","code":{code},"message":"sorry"}}}}"#)
        + "\n"
}

type Asked = Arc<Mutex<Vec<String>>>;

/// A client whose server gives `answers` in turn and then hangs; and what it was asked.
fn server(answers: impl IntoIterator<Item = Answer>) -> (kube::Client, Asked) {
    let asked = Asked::default();
    let state = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        log.lock().unwrap().push(request.uri().to_string());
        let answer = state.lock().unwrap().pop_front().unwrap_or_else(hangs);
        let frames = answer
            .pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let end = match answer.end {
            Ending::Clean => stream::empty().boxed(),
            Ending::Broken => stream::iter([Err(std::io::Error::other("reset"))]).boxed(),
            Ending::Hangs => stream::pending().boxed(),
        };
        let body = StreamBody::new(stream::iter(frames).chain(end));
        let response = Response::builder()
            .status(StatusCode::from_u16(answer.code).unwrap())
            .body(body)
            .unwrap();
        async move { Ok::<_, std::convert::Infallible>(response) }
    });
    (kube::Client::new(service, "default"), asked)
}

/// Runs the reader until it has told `count` items.
async fn told(
    answers: impl IntoIterator<Item = Answer>,
    count: usize,
) -> (Vec<String>, Vec<String>) {
    let (client, asked) = server(answers);
    let (sink, mut items) = mpsc::channel(4);
    let ms = Duration::from_millis;
    let options = WatchOptions {
        page_size: 2,
        timeout: ms(60),
        grace: ms(20),
        open: ms(200),
        healthy_after: Duration::ZERO,
        forbidden_retry: ms(2),
        missing_retry: ms(2),
        max_line: 200,
        ..WatchOptions::default()
    };
    let pods = Resource::new("", "v1", "pods", true);
    let reader = tokio::spawn(run(client, pods, options, sink, 'p'));
    let mut told = Vec::new();
    while told.len() < count {
        let item = tokio::time::timeout(Duration::from_secs(5), items.recv())
            .await
            .expect("an item")
            .unwrap();
        assert_eq!(item.key(), 'p');
        told.push(word(&item));
    }
    drop(items);
    tokio::time::timeout(Duration::from_secs(1), reader)
        .await
        .expect("the reader ends with its receiver")
        .unwrap();
    (told, asked.lock().unwrap().clone())
}

fn word(item: &WatchItem<char>) -> String {
    match item {
        WatchItem::Restart { .. } => "restart".into(),
        WatchItem::Page { .. } => "page".into(),
        WatchItem::Synced {
            resource_version, ..
        } => format!("synced {resource_version}"),
        WatchItem::Event { line, .. } => format!("event {}", wire::line_version(line).unwrap()),
        WatchItem::Alive { .. } => "alive".into(),
        WatchItem::Lost { reason, .. } => format!("lost {}", reason.category()),
    }
}

/// The resource version that each watch began from.
fn positions(asked: &[String]) -> Vec<&str> {
    let position = |uri: &'_ String| uri.find("resourceVersion=").map(|at| at + 16);
    asked
        .iter()
        .filter_map(|uri| position(uri).map(|at| uri[at..].split('&').next().unwrap()))
        .collect()
}

#[tokio::test]
async fn pages_are_followed_and_the_watch_resumes_after_the_last_event_or_bookmark() {
    let (told, asked) = told(
        [
            page(7, "a/b"),
            page(7, ""),
            stream(&[event("ADDED", 8), event("BOOKMARK", 9)], Ending::Clean),
            stream(&[event("DELETED", 12)], Ending::Clean),
        ],
        9,
    )
    .await;
    assert_eq!(
        told,
        [
            "restart", "page", "page", "synced 7", "event 8", "alive", "alive", "event 12", "alive"
        ]
    );
    assert_eq!(asked[0], "/api/v1/pods?limit=2");
    assert_eq!(asked[1], "/api/v1/pods?limit=2&continue=a%2Fb");
    assert!(
        asked[2].contains("watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=")
    );
    assert_eq!(positions(&asked)[..2], ["7", "9"]);
}

#[tokio::test]
async fn a_page_that_expired_restarts_the_list_with_larger_pages() {
    let (told, asked) = told(
        [page(7, "t"), status(410, "Expired"), page(9, ""), hangs()],
        6,
    )
    .await;
    assert_eq!(
        told,
        [
            "restart",
            "page",
            "lost expired",
            "restart",
            "page",
            "synced 9"
        ]
    );
    assert_eq!(asked[2], "/api/v1/pods?limit=8");
}

#[tokio::test]
async fn expiry_lists_again_whether_told_by_status_or_in_the_stream() {
    for expired in [
        status(410, "Expired"),
        stream(&[event("ADDED", 8), error_line(410)], Ending::Clean),
    ] {
        let streamed = expired.code == 200;
        let (told, _) = told(
            [page(7, ""), expired, page(3, ""), hangs()],
            if streamed { 8 } else { 7 },
        )
        .await;
        let rest = ["lost expired", "restart", "page", "synced 3"];
        assert_eq!(
            told[told.len() - 4..],
            rest,
            "a version that went back begins a new generation too"
        );
    }
}

#[tokio::test]
async fn another_error_in_the_stream_resumes_after_the_last_event() {
    let failing = stream(&[event("MODIFIED", 8), error_line(500)], Ending::Clean);
    let (told, asked) = told(
        [
            page(7, ""),
            failing,
            page(20, ""),
            stream(&[event("ADDED", 9)], Ending::Hangs),
        ],
        6,
    )
    .await;
    assert_eq!(told[3..], ["event 8", "lost disconnected", "event 9"]);
    assert_eq!(positions(&asked), ["7", "8"]);
}

#[tokio::test]
async fn half_a_line_at_the_end_of_a_broken_connection_is_dropped_and_comes_again() {
    for end in [Ending::Broken, Ending::Clean] {
        let (first, second) = (event("ADDED", 8), event("ADDED", 9));
        let (half, _) = second.split_at(30);
        let cut = stream(&[first, half.to_owned()], end);
        let (told, asked) = told(
            [
                page(7, ""),
                cut,
                page(9, ""),
                stream(std::slice::from_ref(&second), Ending::Hangs),
            ],
            6,
        )
        .await;
        assert_eq!(told[3..], ["event 8", "lost disconnected", "event 9"]);
        assert_eq!(positions(&asked), ["7", "8"]);
    }
}

#[tokio::test]
async fn a_watch_that_hangs_is_noticed_and_resumed() {
    let watch = stream(&[event("ADDED", 8)], Ending::Hangs);
    let (told, asked) = told(
        [
            page(7, ""),
            watch,
            page(8, ""),
            stream(&[event("ADDED", 9)], Ending::Hangs),
        ],
        6,
    )
    .await;
    assert_eq!(told[3..], ["event 8", "lost disconnected", "event 9"]);
    assert_eq!(positions(&asked), ["7", "8"]);
}

#[tokio::test]
async fn an_oversize_line_lists_again() {
    let (told, _) = told(
        [
            page(7, ""),
            stream(&["x".repeat(201)], Ending::Hangs),
            page(8, ""),
            hangs(),
        ],
        7,
    )
    .await;
    assert_eq!(told[3..], ["lost expired", "restart", "page", "synced 8"]);
}

#[tokio::test]
async fn a_state_that_went_back_is_noticed_after_a_break_and_after_silence() {
    for (end, count) in [(Ending::Broken, 8), (Ending::Clean, 7)] {
        let answers = [
            page(70, ""),
            stream(&[], end),
            page(5, ""),
            page(5, ""),
            hangs(),
        ];
        let (told, asked) = told(answers, count).await;
        assert_eq!(
            told[count - 4..],
            ["lost expired", "restart", "page", "synced 5"]
        );
        assert_eq!(asked[2], "/api/v1/pods?limit=1");
    }
}

#[tokio::test]
async fn silence_with_the_state_where_it_was_counts_as_alive() {
    let (told, _) = told(
        [
            page(7, ""),
            stream(&[], Ending::Clean),
            page(7, ""),
            hangs(),
        ],
        4,
    )
    .await;
    assert_eq!(told[3..], ["alive"]);
}

#[tokio::test]
async fn forbidden_and_missing_are_told_once_and_listed_again_when_they_pass() {
    let forbidden = || status(403, "Forbidden");
    let (told_first, _) = told(
        [forbidden(), forbidden(), forbidden(), page(7, ""), hangs()],
        4,
    )
    .await;
    assert_eq!(
        told_first,
        ["lost forbidden", "restart", "page", "synced 7"]
    );

    let missing = || json(404, "404 page not found\n");
    let (told_later, _) = told([page(7, ""), missing(), missing(), page(8, ""), hangs()], 7).await;
    assert_eq!(
        told_later[3..],
        ["lost missing", "restart", "page", "synced 8"]
    );
}

#[tokio::test]
async fn a_failing_server_is_asked_again_and_a_page_that_is_no_list_is_not_a_list() {
    let answers = [
        status(500, "InternalError"),
        status(401, "Unauthorized"),
        json(200, "<html>"),
        page(7, ""),
        hangs(),
    ];
    let (told, _) = told(answers, 6).await;
    assert_eq!(
        told,
        [
            "lost disconnected",
            "lost disconnected",
            "lost disconnected",
            "restart",
            "page",
            "synced 7"
        ]
    );
}

#[tokio::test]
async fn metadata_lists_follow_pages_and_start_again_when_they_expire() {
    let object = |name: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u","resourceVersion":"5","labels":{{}}}}}}"#
        )
    };
    let full = |names: &[&str], token: &str| {
        let items: Vec<_> = names.iter().map(|name| object(name)).collect();
        let items = items.join(",");
        json(
            200,
            &format!(
                r#"{{"metadata":{{"resourceVersion":"9","continue":"{token}"}},"items":[{items}]}}"#
            ),
        )
    };
    let answers = [
        full(&["a"], "t"),
        status(410, "Expired"),
        full(&["a"], "t"),
        full(&["b"], ""),
    ];
    let (client, asked) = server(answers);
    let resource = Resource::new("apps", "v1", "deployments", true);
    let (version, objects) = list_metadata(&client, &resource).await.unwrap();
    let names: Vec<_> = objects.iter().map(|(_, name, ..)| name.as_str()).collect();
    assert_eq!((version.as_str(), names), ("9", vec!["a", "b"]));
    assert_eq!(
        objects[0],
        (
            "n".to_owned(),
            "a".to_owned(),
            "u".to_owned(),
            "5".to_owned()
        )
    );
    assert_eq!(
        asked.lock().unwrap()[3],
        "/apis/apps/v1/deployments?limit=500&continue=t"
    );

    let (client, _) = server([status(403, "Forbidden")]);
    assert!(matches!(
        list_metadata(&client, &resource).await,
        Err(CallError::Forbidden { .. })
    ));
}
