//! Fixtures: API servers that were looked at.

use crate::{
    analysis::{
        apiserver::{KmsHealth, Look, Looks, Reading},
        tls::Shown,
    },
    controls::{prelude::*, testing::World},
    engine::{Canary, CanaryRun},
};

/// A world in which so many API servers encrypt Secrets, as the canary saw an hour ago.
pub(in crate::controls) fn encrypted(replicas: usize) -> World {
    let mut world = World::new();
    let sealed = Canary::Encrypted(vec!["k8s:enc:secretbox:v1:".to_owned()]);
    world.observed.canary = Some(CanaryRun {
        at: "2026-06-01T11:00:00Z".parse().unwrap(),
        all_replicas_known: true,
        platform: None,
        replicas: (0..replicas)
            .map(|i| (address(i), sealed.clone()))
            .collect(),
    });
    world
}

/// The address of an API server.
pub(in crate::controls) fn address(i: usize) -> Sym {
    format!("10.0.0.{i}:6443").into()
}

/// A look that saw these metrics, and nothing else.
pub(in crate::controls) fn metrics(text: &str) -> Look {
    Look {
        metrics: Ok(Reading::parse(text)),
        flags: Err("no flags".to_owned()),
        kms: KmsHealth::None,
        tls: None,
    }
}

/// A look that saw a handshake, and nothing else.
pub(in crate::controls) fn shown(shown: Result<Shown, String>) -> Look {
    Look {
        metrics: Err("no metrics".to_owned()),
        tls: Some(shown),
        ..metrics("")
    }
}

/// Looks at all API servers at a time, which becomes now.
pub(in crate::controls) fn look_at(world: &mut World, at: &str, looks: &[Look]) {
    let at: Timestamp = at.parse().unwrap();
    let replicas = looks.iter().enumerate();
    world.now = at;
    world.observed.api_servers.take(Looks {
        at,
        all_known: true,
        version: Some("v1.37.2".to_owned()),
        openshift: None,
        replicas: replicas
            .map(|(i, look)| (address(i), look.clone()))
            .collect(),
    });
}

/// The line that says when a process started.
pub(in crate::controls) fn started(at: &str) -> String {
    let at: Timestamp = at.parse().unwrap();
    format!("process_start_time_seconds {}\n", at.as_second())
}

/// A line that counts operations.
pub(in crate::controls) fn operations(
    resource: &str,
    direction: &str,
    prefix: &str,
    count: u32,
) -> String {
    format!(
        "apiserver_storage_transformation_operations_total{{resource=\"{resource}\",status=\"OK\",\
         transformation_type=\"{direction}\",transformer_prefix=\"{prefix}\"}} {count}\n"
    )
}

/// A line of a server before 1.32, which counts without naming the resource.
pub(in crate::controls) const OLD: &str = "apiserver_storage_transformation_operations_total{status=\"OK\",\
    transformation_type=\"to_storage\",transformer_prefix=\"k8s:enc:secretbox:v1:\"} 1\n";

/// The line that shows the hash of the configuration.
pub(in crate::controls) fn config(hash: &str) -> String {
    format!(
        "apiserver_encryption_config_controller_last_config_info{{apiserver_id_hash=\"sha256:a\",\
         hash=\"sha256:{hash}\"}} 1\n"
    )
}

/// A line of a gauge with a moment.
pub(in crate::controls) fn moment(series: &str, at: &str) -> String {
    let at: Timestamp = at.parse().unwrap();
    format!("{series} {}\n", at.as_second())
}
