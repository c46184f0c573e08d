//! The election by cases, and the task against a fake server.

use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;

use super::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn lease(holder: Option<&str>, transitions: u64, resource_version: &str) -> LeaseView {
    LeaseView {
        holder: holder.map(str::to_owned),
        released_by: None,
        renewed: None,
        transitions,
        resource_version: resource_version.to_owned(),
        duration: seconds(5),
    }
}

fn election() -> Election {
    Election::new("me".to_owned(), LeaseTiming::default(), 0)
}

fn write(
    expected: Option<&str>,
    term: u64,
    renewal: bool,
    predecessor: Option<&str>,
) -> LeaseAction {
    let expected = expected.map(str::to_owned);
    LeaseAction::Write(LeaseWrite {
        expected,
        term,
        renewal,
        predecessor: predecessor.map(str::to_owned),
    })
}

fn carry_out(election: &mut Election, action: LeaseAction, sent: u64, now: u64) {
    let LeaseAction::Write(write) = action else {
        panic!("nothing to write")
    };
    election.written(
        &write,
        Duration::from_millis(sent),
        Duration::from_millis(now),
    );
}

#[test]
fn a_foreign_lease_is_waited_out_from_when_it_was_first_seen() {
    let mut me = election();
    let other = || Some(lease(Some("other"), 3, "10"));
    assert_eq!(me.step(other(), seconds(100)), LeaseAction::Wait);
    assert_eq!(me.due(seconds(101)), Some(seconds(4)));
    assert_eq!(
        me.step(other(), Duration::from_millis(104_999)),
        LeaseAction::Wait
    );
    assert_eq!(
        me.step(other(), seconds(105)),
        write(Some("10"), 4, false, Some("other"))
    );
}

#[test]
fn any_change_starts_the_wait_anew() {
    for changed in [
        lease(Some("third"), 3, "10"),
        lease(Some("other"), 4, "10"),
        lease(Some("other"), 3, "11"),
        LeaseView {
            renewed: Some("later".into()),
            ..lease(Some("other"), 3, "10")
        },
    ] {
        let mut me = election();
        me.step(Some(lease(Some("other"), 3, "10")), seconds(0));
        assert_eq!(
            me.step(Some(changed.clone()), seconds(5)),
            LeaseAction::Wait
        );
        assert!(matches!(
            me.step(Some(changed), seconds(10)),
            LeaseAction::Write(_)
        ));
    }
}

#[test]
fn a_longer_foreign_duration_is_respected_within_reason() {
    let lasting = |duration| {
        Some(LeaseView {
            duration,
            ..lease(Some("other"), 0, "1")
        })
    };
    let mut me = election();
    me.step(lasting(seconds(15)), seconds(0));
    assert_eq!(
        me.step(lasting(seconds(15)), seconds(14)),
        LeaseAction::Wait
    );
    assert!(matches!(
        me.step(lasting(seconds(15)), seconds(15)),
        LeaseAction::Write(_)
    ));
    let mut me = election();
    me.step(lasting(seconds(1_000_000)), seconds(0));
    assert!(matches!(
        me.step(lasting(seconds(1_000_000)), seconds(60)),
        LeaseAction::Write(_)
    ));
}

#[test]
fn a_released_lease_is_free_at_once_and_names_who_released_it() {
    let released = LeaseView {
        released_by: Some("other".into()),
        ..lease(None, 7, "10")
    };
    assert_eq!(
        election().step(Some(released), seconds(0)),
        write(Some("10"), 8, false, Some("other"))
    );
}

#[test]
fn an_absent_lease_is_made_and_waited_out_because_its_holder_may_not_have_noticed() {
    let mut me = election();
    assert_eq!(
        me.step(None, seconds(4)),
        LeaseAction::Found { transitions: 0 }
    );
    let born = || Some(lease(Some(NEWBORN), 0, "1"));
    assert_eq!(me.step(born(), seconds(5)), LeaseAction::Wait);
    assert_eq!(me.holder(), None);
    assert_eq!(
        me.step(born(), seconds(10)),
        write(Some("1"), 1, false, None)
    );
}

#[test]
fn a_renewal_counts_from_when_it_was_sent_and_a_term_that_ran_out_stays_over() {
    let mut me = election();
    let action = me.step(Some(lease(None, 0, "1")), seconds(0));
    carry_out(&mut me, action, 0, 1000);
    assert_eq!(
        me.held(Duration::from_millis(3499)).map(|held| held.term),
        Some(1)
    );
    assert_eq!(me.held(Duration::from_millis(3500)), None);

    let mine = || Some(lease(Some("me"), 1, "2"));
    let renewal = me.step(mine(), seconds(2));
    assert_eq!(renewal, write(Some("2"), 1, true, None));
    carry_out(&mut me, renewal.clone(), 2000, 3600);
    assert_eq!(
        me.held(seconds(4)),
        None,
        "the answer came after the term had run out"
    );
    assert_eq!(
        me.step(mine(), seconds(4)),
        write(Some("2"), 2, false, Some("me"))
    );
}

#[test]
fn an_acquisition_whose_answer_comes_too_late_is_none() {
    let mut me = election();
    let action = me.step(Some(lease(None, 0, "1")), seconds(0));
    carry_out(&mut me, action, 0, 3500);
    assert_eq!(me.held(Duration::from_millis(3500)), None);
}

#[test]
fn a_holder_that_sees_another_holder_stops_and_one_whose_lease_was_deleted_recreates_it() {
    let mut me = election();
    let action = me.step(Some(lease(None, 0, "1")), seconds(0));
    carry_out(&mut me, action, 0, 0);
    assert_eq!(me.step(None, seconds(1)), write(None, 1, true, None));
    assert_eq!(
        me.step(Some(lease(Some("other"), 2, "9")), seconds(2)),
        LeaseAction::Wait
    );
    assert_eq!(me.held(seconds(2)), None);
    assert_eq!(me.holder(), Some("other"));
}

#[test]
fn terms_are_numbered_above_all_that_was_seen_and_above_the_floor() {
    let mut me = Election::new("me".to_owned(), LeaseTiming::default(), 40);
    assert_eq!(
        me.step(Some(lease(None, 3, "1")), seconds(0)),
        write(Some("1"), 40, false, None)
    );
    assert_eq!(
        me.step(Some(lease(None, 90, "2")), seconds(0)),
        write(Some("2"), 91, false, None)
    );
}

#[test]
fn contradictory_times_are_refused() {
    let ms = Duration::from_millis;
    assert!(LeaseTiming::new(ms(3000), ms(2000), ms(500)).is_ok());
    assert!(LeaseTiming::new(ms(3000), ms(2900), ms(500)).is_err());
    assert!(LeaseTiming::new(ms(3000), ms(2000), ms(2000)).is_err());
    assert!(LeaseTiming::new(ms(3000), ms(2000), ms(0)).is_err());
}

// The task against a server that only knows one lease.

#[derive(Default)]
struct Server {
    lease: Option<serde_json::Value>,
    version: u64,
    hangs: bool,
}

async fn serve(server: Arc<Mutex<Server>>, request: Request<Body>) -> Response<Full<Bytes>> {
    if server.lock().unwrap().hangs {
        std::future::pending::<()>().await;
    }
    let (parts, body) = request.into_parts();
    let sent = body.collect().await.unwrap().to_bytes();
    let mut server = server.lock().unwrap();
    let status = |code: u16, reason: &str| {
        let body =
            format!(r#"{{"kind":"Status","status":"Failure","code":{code},"reason":"{reason}"}}"#);
        Response::builder()
            .status(StatusCode::from_u16(code).unwrap())
            .body(Full::from(body))
            .unwrap()
    };
    if parts.method != Method::GET {
        let mut new: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        let held = server
            .lease
            .as_ref()
            .map(|lease| lease["metadata"]["resourceVersion"].clone());
        match (parts.method == Method::POST, held) {
            (true, Some(_)) => return status(409, "AlreadyExists"),
            (false, None) => return status(404, "NotFound"),
            (false, Some(version)) if version != new["metadata"]["resourceVersion"] => {
                return status(409, "Conflict");
            }
            _ => {}
        }
        server.version += 1;
        new["metadata"]["resourceVersion"] = server.version.to_string().into();
        server.lease = Some(new);
    }
    match &server.lease {
        None => status(404, "NotFound"),
        Some(lease) => Response::new(Full::from(lease.to_string())),
    }
}

fn client(server: &Arc<Mutex<Server>>) -> kube::Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, std::convert::Infallible>(serve(server, request).await) }
    });
    kube::Client::new(service, "default")
}

fn config(replica: &str) -> LeaseConfig {
    let ms = Duration::from_millis;
    LeaseConfig {
        namespace: "probity".into(),
        name: "probity".into(),
        replica: replica.into(),
        timing: LeaseTiming::new(ms(400), ms(280), ms(60)).unwrap(),
        first_term: 5,
    }
}

fn candidate(server: &Arc<Mutex<Server>>, replica: &str) -> Candidate {
    campaign(client(server), config(replica))
}

#[tokio::test]
async fn who_has_the_name_of_a_leader_does_not_begin() {
    let server = Arc::new(Mutex::new(Server::default()));
    let begin = |replica: &str| {
        let (client, config) = (client(&server), config(replica));
        async move { no_namesake(client, &config).await }
    };
    begin("pod-0").await.unwrap(); // there is no lease yet
    let mut only = candidate(&server, "pod-0");
    only.lead().await;
    let refused = begin("pod-0").await.unwrap_err().to_string();
    assert!(refused.contains("called pod-0 leads"), "{refused}");
    begin("pod-1").await.unwrap();
    // After a crash the lease has its name still, and nobody renews it.
    drop(only);
    begin("pod-0").await.unwrap();
    // A server that doesn't answer says nothing of who leads.
    server.lock().unwrap().hangs = true;
    let unseen = begin("pod-0").await.unwrap_err();
    assert!(matches!(unseen, Namesake::NotSeen(_)), "{unseen}");
}

#[tokio::test]
async fn a_released_lease_passes_on_at_once_and_a_silent_server_ends_the_term_in_time() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut first = candidate(&server, "pod-0");
    let term = first.lead().await;
    assert_eq!((term.number(), term.is_live()), (5, true));

    let mut second = candidate(&server, "pod-1");
    sleep(Duration::from_millis(600)).await;
    assert!(
        second.term().is_none() && term.is_live(),
        "renewals keep the term"
    );
    let Leadership::Follower {
        holder: Some(holder),
    } = second.leadership().borrow().clone()
    else {
        panic!()
    };
    assert_eq!(replica_of(&holder), "pod-0");

    first.release().await;
    term.ended().await;
    assert!(!term.is_live());
    let next = tokio::time::timeout(Duration::from_millis(300), second.lead())
        .await
        .unwrap();
    assert_eq!(next.number(), 6);
    let Leadership::Leader {
        predecessor: Some(predecessor),
        ..
    } = second.leadership().borrow().clone()
    else {
        panic!()
    };
    assert_eq!(replica_of(&predecessor), "pod-0");

    server.lock().unwrap().hangs = true;
    tokio::time::timeout(Duration::from_millis(350), next.ended())
        .await
        .unwrap();
    assert!(!next.is_live());
}

#[tokio::test]
async fn a_term_whose_candidate_is_dropped_ends_without_releasing() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut only = candidate(&server, "pod-0");
    let term = only.lead().await;
    drop(only);
    tokio::time::timeout(Duration::from_millis(350), term.ended())
        .await
        .unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(server.lock().unwrap().lease.as_ref().unwrap()["spec"]["holderIdentity"].is_string());
}
