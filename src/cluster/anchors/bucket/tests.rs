use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as Answer;
use axum::extract::Request;
use http::{Response, StatusCode};
use object_store::memory::InMemory;

use super::*;
use crate::evidence::verify::{Trust, verify};
use crate::evidence::{Identity, Record, body::Body, body::Stop, epochs, key::PrivateKey};

const LONG: Duration = Duration::from_secs(30);

const IDENTITY: Identity<'_> = Identity {
    cluster: "c",
    replica: "ns.probity-0",
};

/// A data folder with a log that grows.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        PrivateKey::create(&folder.path().join("key")).unwrap();
        Self(folder)
    }

    /// On a thread of its own: the log waits for its disk, which a test's runtime must not.
    fn grow(&self, entries: usize) -> (PathBuf, Published) {
        std::thread::scope(|scope| scope.spawn(|| self.append(entries)).join().unwrap())
    }

    fn append(&self, entries: usize) -> (PathBuf, Published) {
        let key = PrivateKey::read(&self.0.path().join("key"))
            .unwrap()
            .unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let opened = epochs::open(self.0.path(), IDENTITY, &key, &[], now).unwrap();
        let stop = |n: usize| {
            Body::Stop(Stop {
                reason: format!("{n} of {entries}").into(),
            })
        };
        let records = (0..entries).map(|n| Record::new(now, stop(n))).collect();
        opened.log.append(records).wait().unwrap();
        let head = opened.log.close().unwrap().unwrap();
        (opened.dir, head)
    }
}

fn in_memory() -> (Bucket, Arc<InMemory>) {
    let store = Arc::new(InMemory::new());
    (again(&store), store)
}

/// The same bucket after a restart.
fn again(store: &Arc<InMemory>) -> Bucket {
    Bucket::with("s3://b/audit", "audit", Box::new(Arc::clone(store)))
}

/// What `aws s3 sync` would bring.
async fn download(store: &InMemory) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    for object in objects {
        let path = folder.path().join(object.location.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = store
            .get(&object.location)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_bucket_holds_a_whole_log_that_verifies() {
    let data = Data::new();
    let (mut bucket, store) = in_memory();
    assert_eq!(bucket.known(LONG, &IDENTITY.logs()).await, Ok(None));
    for entries in [1, 300, 20, 700] {
        let (dir, head) = data.grow(entries);
        bucket
            .keep(LONG, dir.clone(), head.clone(), None)
            .await
            .unwrap();
        // Whoever repeats it, also after a restart, changes nothing.
        let before: Vec<_> = store
            .list(None)
            .map_ok(|o| (o.location, o.last_modified))
            .try_collect()
            .await
            .unwrap();
        bucket = again(&store);
        bucket.keep(LONG, dir, head.clone(), None).await.unwrap();
        let after: Vec<_> = store
            .list(None)
            .map_ok(|o| (o.location, o.last_modified))
            .try_collect()
            .await
            .unwrap();
        assert_eq!(before, after);

        let known = bucket.known(LONG, &IDENTITY.logs()).await.unwrap().unwrap();
        assert_eq!(
            (known.size, &known.root),
            (head.checkpoint.size, &head.checkpoint.root_text())
        );
        let copy = download(&store).await;
        let log = copy.path().join("audit/c/ns.probity-0");
        let trust = Trust {
            anchors: vec![known],
            ..Trust::default()
        };
        let report = verify(&log, &trust, &|_, _| {}).unwrap();
        assert!(report.verified, "{report:#?}");
        assert_eq!(report.logs[0].size, head.checkpoint.size);
    }
}

#[tokio::test]
async fn a_log_that_was_rolled_back_is_not_mixed_with_what_is_there() {
    let data = Data::new();
    let (bucket, store) = in_memory();
    let (dir, short) = data.grow(3);
    let backup = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(data.0.path())
        .arg(backup.path().join("d"))
        .status();
    assert!(status.unwrap().success());
    let (_, long) = data.grow(5);
    bucket.keep(LONG, dir.clone(), long, None).await.unwrap();
    let refused = again(&store).keep(LONG, dir, short, None).await;
    assert!(refused.unwrap_err().contains("rolled back"));

    // The same length, other entries.
    let other = Data(tempfile::tempdir_in(backup.path()).unwrap());
    std::fs::remove_dir(other.0.path()).unwrap();
    std::fs::rename(backup.path().join("d"), other.0.path()).unwrap();
    let (dir, forked) = other.grow(9);
    let refused = again(&store).keep(LONG, dir, forked, None).await;
    assert!(refused.unwrap_err().contains("rewritten"));
}

#[tokio::test]
async fn what_somebody_else_wrote_under_a_name_is_told() {
    let data = Data::new();
    let (bucket, store) = in_memory();
    let (dir, head) = data.grow(300);
    let folder = bucket.files.folder(&head.checkpoint.origin);
    let key = Key::from(format!("{folder}/tile/0/000"));
    store.put(&key, "else".into()).await.unwrap();
    let refused = bucket
        .keep(LONG, dir, head.clone(), None)
        .await
        .unwrap_err();
    assert!(
        refused.contains("tile/0/000") && refused.contains("something else"),
        "{refused}"
    );
    assert_eq!(
        bucket.known(LONG, &IDENTITY.logs()).await,
        Ok(None),
        "no head without what it covers"
    );
}

#[test]
fn addresses_that_are_none_are_refused() {
    let open = |url: &str| {
        let address = Address {
            url: url.to_owned(),
            endpoint: None,
        };
        Bucket::open(&address, Web::new(None).unwrap())
    };
    assert!(open("https://bucket").unwrap_err().contains("s3://bucket"));
    assert!(open("s3://bucket/a/").is_ok());
    assert!(open("s3://").is_err());
}

/// A server that answers every request in one way, and counts them.
async fn server(
    answer: impl Fn(Request) -> Response<Answer> + Clone + Send + Sync + 'static,
) -> (Bucket, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let app = Router::new().fallback(move |request: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let answer = answer(request);
        async move { answer }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let address = Address {
        url: "s3://b/p".to_owned(),
        endpoint: Some(endpoint),
    };
    let builder = AmazonS3Builder::new()
        .with_access_key_id("AKIAPLANTED")
        .with_secret_access_key("planted-secret");
    let bucket = Bucket::build(builder, &address, Web::new(None).unwrap()).unwrap();
    (bucket, count)
}

fn refusal(status: u16, code: &'static str) -> impl Fn(Request) -> Response<Answer> + Clone {
    move |_| {
        let body = format!(
            "<Error><Code>{code}</Code><AWSAccessKeyId>AKIAPLANTED</AWSAccessKeyId></Error>"
        );
        Response::builder()
            .status(status)
            .body(body.into())
            .unwrap()
    }
}

#[tokio::test]
async fn refusals_are_told_in_one_line_and_without_what_the_server_repeats_of_credentials() {
    let data = Data::new();
    let (dir, head) = data.grow(3);
    for (status, code, said) in [
        (403, "AccessDenied", "(AccessDenied)"),
        (404, "NoSuchBucket", "(NoSuchBucket)"),
        (500, "InternalError", "500"),
        (503, "SlowDown", "503"),
    ] {
        let (bucket, _) = server(refusal(status, code)).await;
        let error = bucket
            .keep(LONG, dir.clone(), head.clone(), None)
            .await
            .unwrap_err();
        assert!(error.contains(said), "{status}: {error}");
        assert!(
            !error.contains("PLANTED") && !error.contains("planted"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
        let known = bucket.known(LONG, &IDENTITY.logs()).await;
        assert!(
            known.is_err(),
            "{status}: a bucket that can't be asked is not an empty one"
        );
    }
}

const EMPTY: &str = "<ListBucketResult><Name>b</Name><Prefix/><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";

#[tokio::test]
async fn a_precondition_that_fails_over_an_equal_object_is_success() {
    let data = Data::new();
    let (dir, head) = data.grow(3);
    let folder = "/b/p/c/ns.probity-0/epochs/";
    let files: BTreeMap<String, Vec<u8>> = Pieces::new(&dir, 0, &head.checkpoint)
        .unwrap()
        .chain(pieces::of_head(&head, None).into_iter().map(Ok))
        .map(|piece| piece.map(|piece| (piece.path, piece.bytes)).unwrap())
        .collect();
    let there = |files: BTreeMap<String, Vec<u8>>| {
        move |request: Request| {
            let path = request.uri().path();
            let file = path
                .strip_prefix(folder)
                .and_then(|path| files.get(path.split_once('/')?.1));
            match (request.method().as_str(), file) {
                ("PUT", _) => {
                    assert_eq!(request.headers()["if-none-match"], "*");
                    assert!(request.headers().contains_key("x-amz-checksum-sha256"));
                    refusal(412, "PreconditionFailed")(request)
                }
                (_, Some(file)) => Response::builder()
                    .header("content-length", file.len())
                    .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                    .header("etag", "\"e\"")
                    .body(file.clone().into())
                    .unwrap(),
                _ => Response::new(EMPTY.into()),
            }
        }
    };
    let (bucket, _) = server(there(files.clone())).await;
    assert_eq!(
        bucket.keep(LONG, dir.clone(), head.clone(), None).await,
        Ok(())
    );
    let mut changed = files;
    let note = changed
        .keys()
        .find(|path| path.ends_with(heads::CHECKPOINT))
        .unwrap()
        .clone();
    changed.insert(note, b"else".to_vec());
    let (bucket, _) = server(there(changed)).await;
    assert!(
        bucket
            .keep(LONG, dir, head, None)
            .await
            .unwrap_err()
            .contains("something else")
    );
}

#[tokio::test]
async fn a_server_that_hangs_or_breaks_off_holds_up_nobody() {
    let data = Data::new();
    let (dir, head) = data.grow(3);
    // It accepts and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bucket = |address| {
        let endpoint = Some(format!("http://{address}"));
        let address = Address {
            url: "s3://b".to_owned(),
            endpoint,
        };
        let builder = AmazonS3Builder::new()
            .with_access_key_id("a")
            .with_secret_access_key("b");
        Bucket::build(builder, &address, Web::new(None).unwrap()).unwrap()
    };
    let hung = bucket(address);
    let short = Duration::from_millis(200);
    let began = std::time::Instant::now();
    let late = hung.keep(short, dir.clone(), head.clone(), None).await;
    assert!(late.unwrap_err().contains("not done"));
    assert!(hung.known(short, &IDENTITY.logs()).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(listener);

    // It breaks off in the middle of its answer.
    let (torn, count) = server(|_| {
        let body = futures::stream::iter([Ok("<ListBucket"), Err(std::io::Error::other("torn"))]);
        Response::builder()
            .status(StatusCode::OK)
            .body(Answer::from_stream(body))
            .unwrap()
    })
    .await;
    let error = torn.keep(LONG, dir, head, None).await.unwrap_err();
    assert!(error.contains("broke"), "{error}");
    assert!(
        count.load(Ordering::Relaxed) > 1,
        "what is safe to repeat is repeated"
    );
}
