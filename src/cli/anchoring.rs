//! Arguments that say where heads of the log are kept.

use std::{path::PathBuf, sync::Arc};

use clap::Args;

use super::Failure;
use crate::{
    cluster::{
        anchors::{
            Places,
            bucket::{Address, Bucket},
            folder::Folder,
            stamp::Stamper,
            witness::Witness,
        },
        web::Web,
    },
    evidence::cosignature::WitnessKey,
};

/// Where heads of the log are kept.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_field_names,
    reason = "arguments are named by their fields"
)]
pub(super) struct AnchorArguments {
    /// Namespace for a `ConfigMap` with the latest checkpoint of the log.
    #[arg(long, value_name = "NAME", env = "PROBITY_ANCHOR_NAMESPACE")]
    anchor_namespace: Option<String>,
    /// Folder for checkpoints of the log, on a file system that the cluster's administrators can't
    /// change.
    #[arg(long, value_name = "DIR")]
    anchor_dir: Option<PathBuf>,
    /// S3-compatible bucket for a whole copy of the log, best with Object Lock: `s3://bucket/prefix`.
    /// Credentials and region come from the environment, as for other tools (`AWS_…`).
    #[arg(long, value_name = "URL", env = "PROBITY_ANCHOR_BUCKET")]
    anchor_bucket: Option<String>,
    /// Server of the bucket, where it is not Amazon's: <https://host:port>.
    #[arg(
        long,
        value_name = "URL",
        env = "PROBITY_ANCHOR_ENDPOINT",
        requires = "anchor_bucket"
    )]
    anchor_endpoint: Option<String>,
    /// Witness that signs checkpoints too (C2SP tlog-witness): the URL before `add-checkpoint`.
    #[arg(
        long,
        value_name = "URL",
        env = "PROBITY_WITNESS_URL",
        requires = "witness_key"
    )]
    witness_url: Option<String>,
    /// Key of the witness, as name+id+base64.
    #[arg(
        long,
        value_name = "KEY",
        env = "PROBITY_WITNESS_KEY",
        requires = "witness_url"
    )]
    witness_key: Option<String>,
    /// Timestamp authority (RFC 3161) that is asked once a day.
    #[arg(long, value_name = "URL", env = "PROBITY_TIMESTAMP_URL")]
    timestamp_url: Option<String>,
    /// File with certificates (PEM) of further authorities that may vouch for servers outside of the
    /// cluster.
    #[arg(long, value_name = "FILE", env = "PROBITY_ANCHOR_CA")]
    anchor_ca: Option<PathBuf>,
}

impl AnchorArguments {
    /// The places of a replica. Nothing is sent yet.
    pub(super) fn places(self, namespace: &str, replica: &str) -> Result<Places, Failure> {
        let web =
            Web::new(self.anchor_ca.as_deref()).map_err(|error| format!("--anchor-ca: {error}"))?;
        let address = self.anchor_bucket.map(|url| Address {
            url,
            endpoint: self.anchor_endpoint,
        });
        let bucket = address.map(|address| Bucket::open(&address, web.clone()));
        let bucket = bucket
            .transpose()
            .map_err(|error| format!("--anchor-bucket: {error}"))?;
        let witness = self.witness_url.zip(self.witness_key).map(|(url, key)| {
            let key = WitnessKey::parse(&key).map_err(|error| format!("--witness-key: {error}"))?;
            Ok::<_, Failure>(Arc::new(Witness::new(&url, key, web.clone())))
        });
        let stamper = self
            .timestamp_url
            .map(|url| Arc::new(Stamper::new(&url, web)));
        Ok(Places {
            namespace: namespace.to_owned(),
            replica: replica.to_owned(),
            log_folder: PathBuf::new(),
            config_map: self.anchor_namespace,
            folder: self.anchor_dir.map(|path| Arc::new(Folder::new(path))),
            bucket: bucket.map(Arc::new),
            witness: witness.transpose()?,
            stamper,
        })
    }
}
