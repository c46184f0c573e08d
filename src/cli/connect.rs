//! How commands reach the cluster: kubectl's arguments, and what to do where that fails.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use jiff::SignedDuration;

use super::Failure;
use crate::cluster::client::{self, Choice, Connection, ServerVersion};

/// The oldest minor version of Kubernetes that is supported.
const OLDEST: u32 = 33;

/// How to reach the cluster, with the arguments that kubectl has for it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct Connect {
    /// Kubeconfig file; else $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Cluster of the kubeconfig, instead of the context's.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// User of the kubeconfig, instead of the context's.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Address of the API server.
    #[arg(short, long, value_name = "URL")]
    server: Option<String>,
    /// Bearer token, instead of the user's credentials.
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with a client certificate, instead of the user's credentials.
    #[arg(
        long = "client-certificate",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_certificate: Option<PathBuf>,
    /// File with the key of the client certificate.
    #[arg(
        long = "client-key",
        value_name = "FILE",
        requires = "client_certificate"
    )]
    client_key: Option<PathBuf>,
    /// User to impersonate.
    #[arg(long = "as", value_name = "NAME")]
    impersonate: Option<String>,
    /// Group to impersonate; can be given several times.
    #[arg(long = "as-group", value_name = "NAME", requires = "impersonate")]
    groups: Vec<String>,
    /// Uid to impersonate.
    #[arg(long = "as-uid", value_name = "UID", requires = "impersonate")]
    uid: Option<String>,
    /// File with the authorities that the server's certificate may come from.
    #[arg(long = "certificate-authority", value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Name that the server's certificate must carry, instead of the address.
    #[arg(long = "tls-server-name", value_name = "NAME")]
    server_name: Option<String>,
    /// Take any server's certificate: whoever stands between can read and change everything.
    #[arg(long = "insecure-skip-tls-verify", conflicts_with = "authority")]
    insecure: bool,
    /// Give up a request that is not answered for so long, such as 2s; 0 for never sooner than Probity does, which is 5s, or
    /// 1m for a page of a list.
    #[arg(long = "request-timeout", value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
}

/// A time as kubectl takes it: with units, or a number of seconds. Source: `ParseTimeout` of client-go's tools/clientcmd.
fn timeout(text: &str) -> Result<Duration, String> {
    let bare = text.parse().map(SignedDuration::from_secs);
    bare.or_else(|_| text.parse::<SignedDuration>())
        .ok()
        .and_then(|time| time.try_into().ok())
        .ok_or_else(|| "write 30, 30s, 1m30s or 0".to_owned())
}

impl Connect {
    /// A connection, to which nothing has been sent yet.
    fn prepare(&self) -> Result<Connection, Failure> {
        let connect = self.clone();
        let choice = Choice {
            kubeconfig: connect.kubeconfig,
            context: connect.context,
            cluster: connect.cluster,
            user: connect.user,
            server: connect.server,
            token: connect.token,
            impersonate: connect.impersonate,
            groups: connect.groups,
            uid: connect.uid,
            authority: connect.authority,
            server_name: connect.server_name,
            insecure: connect.insecure,
            certificate: connect.client_certificate,
            key: connect.client_key,
            timeout: connect.timeout.filter(|time| !time.is_zero()),
        };
        client::connect_to(&choice).map_err(|error| error.to_string())
    }

    /// A connection to a server that answers, accepts us and is new enough.
    pub(super) async fn open(&self) -> Result<(Connection, ServerVersion), Failure> {
        let connection = self.prepare()?;
        let probed = client::probe(&connection).await;
        let version = probed.map_err(|error| error.to_string())?;
        new_enough(&connection.cluster_url, &version)?;
        Ok((connection, version))
    }
}

/// Refuses servers whose objects are not the ones that the rules were written for.
fn new_enough(url: &str, version: &ServerVersion) -> Result<(), Failure> {
    // A minor version that can't be read is 0: then the objects have to show what they are.
    if version.minor == 0 || version.minor >= OLDEST {
        return Ok(());
    }
    Err(format!(
        "the API server at {url} is {}: Probity needs Kubernetes 1.{OLDEST} or newer, so upgrade the cluster or choose \
         another with --context",
        version.git_version
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_kubectl_reads_them() {
        assert_eq!(timeout("0"), Ok(Duration::ZERO));
        assert_eq!(timeout("30"), Ok(Duration::from_secs(30)));
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert!(timeout("-3s").is_err() && timeout("soon").is_err());
    }

    #[test]
    fn a_cluster_that_is_too_old_is_refused_with_both_versions() {
        let version = |minor| ServerVersion {
            git_version: format!("v1.{minor}.4"),
            minor,
        };
        let refused = new_enough("https://old:6443/", &version(32)).unwrap_err();
        assert!(
            refused.contains("https://old:6443/ is v1.32.4"),
            "{refused}"
        );
        assert!(refused.contains("1.33 or newer"), "{refused}");
        assert_eq!(new_enough("", &version(33)), Ok(()));
        assert_eq!(new_enough("", &version(0)), Ok(()));
    }
}
