//! Kubeconfig files, and clients made from them.

use std::fs;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::Result;
use super::certs::CertFiles;

/// How a client proves who it is.
pub(crate) enum Credential<'a> {
    /// A client certificate.
    Certificate(&'a CertFiles),
    /// A bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig for the server at `url`. It is JSON, which is YAML.
pub(crate) fn write(path: &Path, url: &str, ca: &Path, credential: &Credential<'_>) -> Result<()> {
    let user = match credential {
        Credential::Certificate(files) => json!({
            "client-certificate": files.cert,
            "client-key": files.key,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": { "server": url, "certificate-authority": ca },
        }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    });
    fs::write(path, format!("{config:#}\n")).map_err(|e| format!("{}: {e}", path.display()))
}

/// A client as the kubeconfig at `path` says. Needs a Tokio runtime around it.
pub(crate) async fn client(path: &Path) -> Result<Client> {
    let text = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).map_err(|e| text(&e))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|e| text(&e))?;
    Client::try_from(config).map_err(|e| text(&e))
}
