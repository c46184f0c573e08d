//! One API server.

use std::path::{Path, PathBuf};

use kube::Client;

use super::certs::{CertFiles, Certs};
use super::kubeconfig::{self, Credential};
use super::process::Signal;
use super::service::Service;
use super::{Options, Result, ports, wait};

/// An API server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ApiServer {
    service: Service,
    url: String,
    kubeconfig: PathBuf,
    audit_log: PathBuf,
    encryption_config: PathBuf,
}

/// What several API servers of one cluster share.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The folder with the programs.
    pub(crate) bin: &'a Path,
    /// The cluster's temporary folder.
    pub(crate) folder: &'a Path,
    /// The cluster's certificates.
    pub(crate) certs: &'a Certs,
    /// The administrator's certificate.
    pub(crate) admin: &'a CertFiles,
    /// Where etcd listens.
    pub(crate) etcd_url: &'a str,
    /// What the cluster is to be like.
    pub(crate) options: &'a Options,
}

impl ApiServer {
    /// Starts an API server, without waiting for it. `name` must be unique in the cluster.
    pub(crate) fn start(name: &str, setting: Setting<'_>) -> Result<Self> {
        let port = ports::free()?;
        let url = format!("https://127.0.0.1:{port}");
        let audit_log = setting.folder.join(format!("{name}.audit.log"));
        let kubeconfig = setting.folder.join(format!("{name}.kubeconfig"));
        let encryption_config = setting.folder.join(format!("{name}.encryption.yaml"));
        let admin = Credential::Certificate(setting.admin);
        kubeconfig::write(&kubeconfig, &url, &setting.certs.ca, &admin)?;
        let service = Service::start(
            name,
            setting.bin.join("kube-apiserver"),
            args(setting, port, &audit_log, &encryption_config)?,
            setting.folder,
        )?;
        Ok(Self {
            service,
            url,
            kubeconfig,
            audit_log,
            encryption_config,
        })
    }

    /// Waits until `/readyz` answers `ok`.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        wait::for_api_server(&self.kubeconfig, &|| self.service.check())
            .map_err(|e| format!("{e}\n{}", self.service.tail()))
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The administrator's kubeconfig for this server.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the audit log goes, when there is an audit policy.
    pub(crate) fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    /// The file with the encryption configuration, where there is one.
    pub(crate) fn encryption_config(&self) -> &Path {
        &self.encryption_config
    }

    /// A client of this server as administrator. Needs a Tokio runtime around it.
    pub(crate) async fn client(&self) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig).await
    }

    /// Stops the process: connections stay open and nothing is answered.
    pub(crate) fn pause(&self) -> Result<()> {
        self.service.signal(Signal::Stop)
    }

    /// Lets a paused server go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.service.signal(Signal::Continue)
    }

    /// Kills the server at once: connections are reset and new ones refused.
    pub(crate) fn kill(&self) {
        self.service.kill();
    }

    /// Kills the server if it runs and starts it on the same port, without waiting for it.
    pub(crate) fn begin_restart(&self) -> Result<()> {
        self.service.restart()
    }

    /// Kills the server if it runs, starts it on the same port and waits until it is ready.
    pub(crate) fn restart(&self) -> Result<()> {
        self.service.restart()?;
        self.wait_ready()
    }

    /// The process, for the cluster.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }
}

fn args(
    setting: Setting<'_>,
    port: u16,
    audit_log: &Path,
    encryption_config: &Path,
) -> Result<Vec<String>> {
    let Setting {
        folder,
        certs,
        options,
        ..
    } = setting;
    let mut args = vec![
        format!("--etcd-servers={}", setting.etcd_url),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", certs.server.cert.display()),
        format!("--tls-private-key-file={}", certs.server.key.display()),
        format!("--client-ca-file={}", certs.ca.display()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            certs.service_account_public_key.display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            certs.service_account_key.display()
        ),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if let Some(config) = &options.encryption_config {
        write(encryption_config, config)?;
        let path = encryption_config.display();
        args.push(format!("--encryption-provider-config={path}"));
    }
    if let Some(policy) = &options.audit_policy {
        let path = folder.join("audit-policy.yaml");
        write(&path, policy)?;
        args.push(format!("--audit-policy-file={}", path.display()));
        args.push(format!("--audit-log-path={}", audit_log.display()));
    }
    args.extend(options.apiserver_args.iter().cloned());
    Ok(args)
}

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))
}
