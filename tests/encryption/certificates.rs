//! Our verdicts on certificates beside those of `openssl verify`.

use jiff::Timestamp;
use probity::analysis::certificates::{BundleState, Certificate, chain_fault, read_bundle};

use super::openssl::{AUTHORITY, Openssl, RSA_2048, Signer, Wish};

const LEAF: &str = "basicConstraints=CA:FALSE\n\
    subjectAltName=DNS:shop.example.com,DNS:*.wild.example.com,IP:10.0.0.1";
const RSA_1024: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
const RSA_1536: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1536"];
const RSA_3072: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];
const P_224: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"];
const P_256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P_384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const P_521: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];

/// A chain of three: key and digest of each, from the root to the leaf.
struct Chain {
    what: &'static str,
    /// OpenSSL's level of security: 2 asks for RSA of 2048 bits, 3 for curves of 256.
    level: &'static str,
    root: (&'static [&'static str], &'static str),
    middle: (&'static [&'static str], &'static str),
    leaf: (&'static [&'static str], &'static str),
}

const GOOD: (&[&str], &str) = (RSA_2048, "sha256");
const GOOD_EC: (&[&str], &str) = (P_256, "sha256");

const CHAINS: [Chain; 15] = [
    Chain {
        what: "RSA",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: GOOD,
    },
    Chain {
        what: "a long key",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: (RSA_3072, "sha512"),
    },
    Chain {
        what: "a short leaf",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: (RSA_1024, "sha256"),
    },
    Chain {
        what: "a shorter leaf",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: (RSA_1536, "sha256"),
    },
    Chain {
        what: "a short middle",
        level: "2",
        root: GOOD,
        middle: (RSA_1024, "sha256"),
        leaf: GOOD,
    },
    Chain {
        what: "a short root",
        level: "2",
        root: (RSA_1024, "sha256"),
        middle: GOOD,
        leaf: GOOD,
    },
    Chain {
        what: "a SHA-1 leaf",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: (RSA_2048, "sha1"),
    },
    Chain {
        what: "an MD5 leaf",
        level: "2",
        root: GOOD,
        middle: GOOD,
        leaf: (RSA_2048, "md5"),
    },
    Chain {
        what: "a SHA-1 middle",
        level: "2",
        root: GOOD,
        middle: (RSA_2048, "sha1"),
        leaf: GOOD,
    },
    // Nobody trusts a root for its signature.
    Chain {
        what: "a SHA-1 root",
        level: "2",
        root: (RSA_2048, "sha1"),
        middle: GOOD,
        leaf: GOOD,
    },
    Chain {
        what: "P-256",
        level: "3",
        root: GOOD_EC,
        middle: GOOD_EC,
        leaf: GOOD_EC,
    },
    Chain {
        what: "P-384",
        level: "3",
        root: GOOD_EC,
        middle: (P_384, "sha384"),
        leaf: (P_521, "sha512"),
    },
    Chain {
        what: "P-224",
        level: "3",
        root: GOOD_EC,
        middle: GOOD_EC,
        leaf: (P_224, "sha256"),
    },
    Chain {
        what: "Ed25519",
        level: "3",
        root: GOOD_EC,
        middle: GOOD_EC,
        leaf: (ED25519, "sha256"),
    },
    Chain {
        what: "Ed25519 throughout",
        level: "3",
        root: (ED25519, ""),
        middle: (ED25519, ""),
        leaf: (ED25519, ""),
    },
];

fn made(chain: &Chain) -> Openssl {
    let openssl = Openssl::new();
    let wishes = [
        ("root", chain.root, Signer::Itself, AUTHORITY, 100),
        (
            "middle",
            chain.middle,
            Signer::Authority("root"),
            AUTHORITY,
            90,
        ),
        ("leaf", chain.leaf, Signer::Authority("middle"), LEAF, 30),
    ];
    for (name, (key, digest), signer, extensions, days) in wishes {
        openssl.make(&Wish {
            name,
            key,
            digest,
            signer,
            extensions,
            days,
        });
    }
    openssl
}

/// What OpenSSL thinks of the chain at a time, for a host.
fn theirs(openssl: &Openssl, level: &str, at: i64, host: &str) -> (bool, String) {
    let at = at.to_string();
    let by = if host.parse::<std::net::IpAddr>().is_ok() {
        "-verify_ip"
    } else {
        "-verify_hostname"
    };
    let output = openssl.try_run(&[
        "verify",
        "-auth_level",
        level,
        "-attime",
        &at,
        "-CAfile",
        "root.pem",
        "-untrusted",
        "middle.pem",
        by,
        host,
        "leaf.pem",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// What we think of it.
fn ours(chain: &[Certificate], at: i64, host: &str) -> bool {
    let now = Timestamp::from_second(at).unwrap();
    let holds = chain
        .iter()
        .all(|c| c.member.is_valid(now) && c.member.weakness.is_none());
    holds && chain_fault(chain).is_none() && chain[0].holds(host)
}

#[test]
fn certificates_are_judged_as_openssl_judges_them() {
    for chain in &CHAINS {
        let openssl = made(chain);
        let names = ["leaf", "middle", "root"];
        let read = names.map(|name| Certificate::read(&openssl.der(name)).unwrap());
        let leaf = &read[0].member;
        let (begin, end) = (leaf.not_before, leaf.not_after);
        let host = "shop.example.com";
        // Right at the end OpenSSL is one second stricter than RFC 5280, Go and webpki.
        for at in [begin - 1, begin + 3, end - 1, end + 1, end + 365 * 86_400] {
            let (theirs, said) = theirs(&openssl, chain.level, at, host);
            assert_eq!(
                ours(&read, at, host),
                theirs,
                "{} at {at}: {said}",
                chain.what
            );
        }
    }
}

#[test]
fn names_are_held_as_openssl_holds_them() {
    let openssl = made(&CHAINS[0]);
    let names = ["leaf", "middle", "root"];
    let read = names.map(|name| Certificate::read(&openssl.der(name)).unwrap());
    let at = read[0].member.not_before + 3;
    for host in [
        "shop.example.com",
        "SHOP.example.com",
        "other.example.com",
        "example.com",
        "a.wild.example.com",
        "a.b.wild.example.com",
        "wild.example.com",
        // The common name counts for nothing.
        "leaf",
        "10.0.0.1",
        "10.0.0.2",
    ] {
        let (theirs, said) = theirs(&openssl, "2", at, host);
        assert_eq!(ours(&read, at, host), theirs, "{host}: {said}");
    }
}

#[test]
fn a_chain_out_of_order_is_found() {
    let openssl = made(&CHAINS[0]);
    let read = |name: &str| Certificate::read(&openssl.der(name)).unwrap();
    let fault = |names: &[&str]| {
        let chain: Vec<_> = names.iter().map(|name| read(name)).collect();
        chain_fault(&chain)
    };
    assert_eq!(fault(&["leaf", "middle", "root"]), None);
    assert_eq!(fault(&["leaf", "middle"]), None);
    assert_eq!(fault(&["leaf"]), None);
    assert_eq!(fault(&["leaf", "root", "middle"]), Some(1));
    assert_eq!(fault(&["leaf", "middle", "leaf"]), Some(2));
}

#[test]
fn a_bundle_is_read_as_openssl_wrote_it() {
    let openssl = made(&CHAINS[0]);
    openssl.make(&Wish {
        name: "weak",
        key: RSA_1024,
        digest: "sha256",
        signer: Signer::Itself,
        extensions: AUTHORITY,
        days: 400,
    });
    let now = Certificate::read(&openssl.der("weak"))
        .unwrap()
        .member
        .begins();
    let state = |names: &[&str]| {
        let path = openssl.join(names, "bundle.pem");
        read_bundle(&std::fs::read(path).unwrap()).state(now)
    };
    let end = Certificate::read(&openssl.der("root"))
        .unwrap()
        .member
        .ends();
    assert_eq!(state(&["weak", "root", "middle"]), BundleState::Valid(end));
    assert!(matches!(state(&["weak"]), BundleState::Weak(_)));
    // Keys and comments in between do no harm, as in the files that people make.
    let mut text = b"# a comment\n".to_vec();
    text.extend(openssl.read("root.key"));
    text.extend(openssl.run(&["x509", "-in", "root.pem", "-text"]));
    assert_eq!(read_bundle(&text).state(now), BundleState::Valid(end));
}
