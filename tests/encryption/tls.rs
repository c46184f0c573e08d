//! Handshakes with `openssl s_server`, whose settings say what must be seen.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use probity::analysis::Analyses;
use probity::analysis::tls::{Shown, Target, TlsVersion};
use probity::cluster::tls::{authorities, look};
use probity::controls::encryption::{IngressTls, handshake_targets};
use probity::controls::{Context, Control, Verdict};
use probity::engine::{Observed, Served};
use probity::inventory::{Inventory, Kind};
use serde_json::json;

use super::openssl::{AUTHORITY, Openssl, RSA_2048, Signer, Wish};
use crate::harness::free_port;

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(openssl: &Openssl, args: &[&str]) -> Self {
        let port = free_port().unwrap();
        let accept = port.to_string();
        let mut all = vec!["s_server", "-accept", &accept, "-quiet"];
        all.extend(["-cert", "leaf.pem", "-key", "leaf.key"]);
        all.extend(args);
        let mut command: Command = openssl.command(&all);
        // It ends when its input does.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self { child, port };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("openssl {all:?} does not listen");
    }

    fn look(&self, roots: Option<&[String]>) -> Result<Shown, String> {
        let target = Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            name: "shop.example".to_owned(),
        };
        let roots = roots.map(|roots| Arc::new(authorities(roots)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(look(&target, roots))
    }
}

fn made(key: &[&str], digest: &str) -> Openssl {
    let openssl = Openssl::new();
    for (name, key, signer, extensions, digest) in [
        ("root", RSA_2048, Signer::Itself, AUTHORITY, "sha256"),
        (
            "middle",
            RSA_2048,
            Signer::Authority("root"),
            AUTHORITY,
            "sha256",
        ),
        (
            "leaf",
            key,
            Signer::Authority("middle"),
            "subjectAltName=DNS:shop.example",
            digest,
        ),
    ] {
        openssl.make(&Wish {
            name,
            key,
            digest,
            signer,
            extensions,
            days: 30,
        });
    }
    openssl
}

#[test]
fn old_versions_are_found_where_they_are_taken() {
    let openssl = made(RSA_2048, "sha256");
    let lax = ["-cipher", "ALL:@SECLEVEL=0"];
    for (args, version, oldest) in [
        (
            &["-min_protocol", "TLSv1"][..],
            TlsVersion::V1_3,
            TlsVersion::V1_0,
        ),
        (
            &["-min_protocol", "TLSv1.1"],
            TlsVersion::V1_3,
            TlsVersion::V1_1,
        ),
        (
            &["-min_protocol", "TLSv1.2"],
            TlsVersion::V1_3,
            TlsVersion::V1_2,
        ),
        (
            &["-min_protocol", "TLSv1.3"],
            TlsVersion::V1_3,
            TlsVersion::V1_3,
        ),
        (&["-tls1_2"], TlsVersion::V1_2, TlsVersion::V1_2),
    ] {
        let server = Server::start(&openssl, &[args, &lax[..]].concat());
        let shown = server.look(None).unwrap();
        assert_eq!(
            (shown.version, shown.oldest),
            (version, Some(oldest)),
            "{args:?}"
        );
    }
}

#[test]
fn a_chain_is_trusted_where_it_leads_to_an_authority() {
    let openssl = made(RSA_2048, "sha256");
    let root = String::from_utf8(openssl.read("root.pem")).unwrap();
    let whole = Server::start(&openssl, &["-cert_chain", "middle.pem"]);
    let shown = whole.look(Some(std::slice::from_ref(&root))).unwrap();
    assert_eq!(shown.distrust, None);
    assert_eq!(shown.chain.len(), 2);
    assert!(shown.chain[0].holds("shop.example"));
    // The public authorities know nothing of ours.
    let why = whole.look(Some(&[])).unwrap().distrust.unwrap();
    assert!(why.contains("authority"), "{why}");
    let alone = Server::start(&openssl, &[]);
    let shown = alone.look(Some(&[root])).unwrap();
    assert!(shown.distrust.is_some());
}

#[test]
fn a_weak_certificate_is_shown_all_the_same() {
    let key = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    let openssl = made(&key, "sha1");
    let server = Server::start(&openssl, &["-cipher", "ALL:@SECLEVEL=0"]);
    let shown = server.look(None).unwrap();
    let weakness = shown.chain[0].member.weakness.unwrap();
    assert_eq!(weakness.to_string(), "an RSA key of 1024 bits");
}

#[test]
fn a_server_that_wants_certificates_shows_its_own() {
    let openssl = made(RSA_2048, "sha256");
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::start(&openssl, &["-Verify", "1", "-CAfile", "root.pem", version]);
        let shown = server.look(None).unwrap();
        assert!(shown.chain[0].holds("shop.example"), "{version}");
    }
}

#[test]
fn what_is_no_tls_server_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 16];
        stream.read_exact(&mut asked).unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let target = |port| Target {
        host: "127.0.0.1".to_owned(),
        port,
        name: "shop.example".to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let why = runtime.block_on(look(&target(port), None)).unwrap_err();
    assert!(why.contains("no TLS handshake"), "{why}");
    plain.join().unwrap();
    let why = runtime.block_on(look(&target(1), None)).unwrap_err();
    assert!(why.contains("can't connect"), "{why}");
}

/// What the control says of a Gateway whose listener is this server.
fn judged(server: &Server, control: &IngressTls) -> Verdict {
    let gateway = json!({ "type": "ADDED", "object": {
        "metadata": {
            "name": "edge", "namespace": "web", "resourceVersion": "1",
            "uid": "00000000-0000-4000-8000-000000000001",
        },
        "spec": { "listeners": [{
            "name": "https", "protocol": "HTTPS", "port": server.port, "hostname": "shop.example",
            "tls": { "certificateRefs": [{ "name": "shop-tls" }] },
        }] },
        "status": { "addresses": [{ "value": "127.0.0.1" }] },
    } });
    let mut inventory = Inventory::default();
    let line = gateway.to_string();
    inventory
        .apply_line(Kind::Gateway, line.as_bytes())
        .unwrap();
    let roots = Arc::new(authorities(std::slice::from_ref(
        &control.trusted_authorities,
    )));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let targets = handshake_targets(&inventory).into_iter();
    let shown = targets.map(|target| {
        let shown = runtime.block_on(look(&target, Some(Arc::clone(&roots))));
        (target, shown)
    });
    let now = Timestamp::now();
    let observed = Observed {
        served: Some(Served {
            at: now,
            shown: shown.collect(),
        }),
        ..Observed::default()
    };
    let analyses = Analyses::default();
    let context = Context {
        inventory: &inventory,
        analyses: &analyses,
        observed: &observed,
        now,
        own_namespace: "probity",
        scope: None,
        kept: None,
        before: None,
    };
    let mut subjects = Vec::new();
    control.population(&context, None, &mut |subject| subjects.push(subject));
    let [listener] = &subjects[..] else {
        panic!("{subjects:?}")
    };
    control.judge(&context, listener).unwrap()
}

#[test]
fn a_listener_is_judged_by_what_it_serves() {
    let good = made(RSA_2048, "sha256");
    let root = String::from_utf8(good.read("root.pem")).unwrap();
    let control = IngressTls {
        handshake: true,
        trusted_authorities: root,
        ..IngressTls::default()
    };
    let chain = ["-cert_chain", "middle.pem"];
    let old = ["-min_protocol", "TLSv1.1", "-cipher", "ALL:@SECLEVEL=0"];
    for (args, wanted) in [
        (&chain[..], "TlsServed"),
        (&[], "ServedNotTrusted"),
        (&[&chain[..], &old[..]].concat(), "OldTlsTaken"),
    ] {
        let verdict = judged(&Server::start(&good, args), &control);
        assert_eq!(verdict.reason, wanted, "{args:?}: {}", verdict.message);
    }
    let other = Openssl::new();
    other.make(&Wish {
        name: "leaf",
        key: RSA_2048,
        digest: "sha256",
        signer: Signer::Itself,
        extensions: "subjectAltName=DNS:fake.local",
        days: 30,
    });
    let verdict = judged(&Server::start(&other, &[]), &control);
    assert_eq!(verdict.reason, "ServedForOtherHosts");
}
