use super::*;

#[test]
fn wildcards_stand_for_one_label() {
    for (name, host, wanted) in [
        ("shop.example.com", "shop.example.com", true),
        ("shop.example.com", "SHOP.example.com.", true),
        ("*.example.com", "shop.example.com", true),
        ("*.example.com", "a.shop.example.com", false),
        ("*.example.com", "example.com", false),
        ("*.com", "example.com", false),
        ("sh*.example.com", "shop.example.com", false),
        ("", "", true),
    ] {
        assert_eq!(holds(name, host), wanted, "{name} {host}");
    }
}

fn member(not_before: i64, not_after: i64, weakness: Option<Weakness>) -> Member {
    Member {
        not_before,
        not_after,
        weakness,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn a_bundle_is_worth_its_best_valid_member() {
    let weak = Some(Weakness::RsaKey(1024));
    let state = |members: &[Member]| Bundle::Members(members.into()).state(at(100));
    assert_eq!(
        state(&[
            member(0, 50, None),
            member(90, 200, None),
            member(0, 150, None)
        ]),
        BundleState::Valid(at(200))
    );
    assert_eq!(
        state(&[member(0, 900, weak), member(0, 101, None)]),
        BundleState::Valid(at(101))
    );
    assert_eq!(
        state(&[member(0, 900, weak), member(0, 99, None)]),
        BundleState::Weak(Weakness::RsaKey(1024))
    );
    assert_eq!(state(&[member(0, 99, None)]), BundleState::Expired(at(99)));
    assert_eq!(
        state(&[member(0, 99, None), member(101, 900, None)]),
        BundleState::NotYet(at(101))
    );
    // Both ends belong to it.
    assert_eq!(
        state(&[member(100, 100, None)]),
        BundleState::Valid(at(100))
    );
    assert_eq!(Bundle::Empty.state(at(100)), BundleState::Empty);
}

#[test]
fn a_bundle_says_when_it_changes() {
    let bundle = Bundle::Members([member(150, 200, None), member(0, 99, None)].into());
    assert_eq!(bundle.changes_at(at(100)), Some(at(150)));
    assert_eq!(bundle.changes_at(at(150)), Some(at(201)));
    assert_eq!(bundle.changes_at(at(201)), None);
}

#[test]
fn what_is_no_certificate_is_undecodable() {
    for pem in [
        "junk",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\n",
    ] {
        assert_eq!(read_bundle(pem.as_bytes()), Bundle::Undecodable, "{pem}");
    }
    assert_eq!(read_bundle(b""), Bundle::Empty);
    assert_eq!(read_bundle(b"\n \n"), Bundle::Blank);
    assert_eq!(Certificate::read(b"\x30\x03\x02\x01\x01"), None);
}
