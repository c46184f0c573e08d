//! What the log is told of encryption configurations.

use super::*;
use crate::{
    analysis::apiserver::{KmsHealth, Look, Looks, Reading},
    engine::Finding,
};

/// Looks at two API servers, which show these hashes.
fn look(drive: &mut Drive, hashes: [Option<&str>; 2]) {
    let seen = |hash: Option<&str>| {
        let line = hash.map(|hash| {
            format!("apiserver_encryption_config_controller_last_config_info{{hash=\"{hash}\"}} 1")
        });
        Look {
            metrics: Ok(Reading::parse(&line.unwrap_or_default())),
            flags: Err("no flags".to_owned()),
            kms: KmsHealth::None,
            tls: None,
        }
    };
    let [one, other] = hashes;
    let looks = Looks {
        at: drive.now().wall,
        all_known: true,
        version: None,
        openshift: None,
        replicas: [("one".into(), seen(one)), ("other".into(), seen(other))].into(),
    };
    drive.apply(Event::Found(Finding::ApiServers(looks)));
    drive.round();
}

/// What was said of servers: address, hash before, hash.
fn told(drive: &Drive) -> Vec<(String, Option<String>, String)> {
    let said = drive.bodies().filter_map(|body| match body {
        Body::EncryptionConfig(said) => {
            Some((said.server.to_string(), said.from.clone(), said.to.clone()))
        }
        _ => None,
    });
    said.collect()
}

fn one(from: Option<&str>, to: &str) -> (String, Option<String>, String) {
    ("one".to_owned(), from.map(str::to_owned), to.to_owned())
}

#[test]
fn each_change_of_an_encryption_configuration_is_said_once() {
    let mut drive = Drive::new();
    look(&mut drive, [Some("a"), None]);
    look(&mut drive, [Some("a"), None]);
    // What is not shown for a while is not known to have changed.
    look(&mut drive, [None, None]);
    look(&mut drive, [Some("b"), None]);
    let said = [one(None, "a"), one(Some("a"), "b")];
    assert_eq!(told(&drive), said);
    // Whoever leads next knows it from the log, and tells what changed meanwhile.
    let mut next = Drive::with_memory(drive.memory());
    look(&mut next, [Some("c"), None]);
    assert_eq!(told(&next), []);
    next.lead(2);
    next.round();
    look(&mut next, [Some("c"), None]);
    assert_eq!(told(&next), [one(Some("b"), "c")]);
}
