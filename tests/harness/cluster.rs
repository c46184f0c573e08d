//! A whole control plane.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use kube::Client;

use super::apiserver::{ApiServer, Setting};
use super::certs::{CertFiles, Certs};
use super::kubeconfig::{self, Credential};
use super::process::{Signal, output_of};
use super::scratch::Scratch;
use super::service::Service;
use super::tools::{self, Group};
use super::{Options, Result, ports, wait};

/// Another process may take a port between our look and our server's.
const ATTEMPTS: u32 = 3;

/// A running control plane; all of its processes end when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Dropped from the top: clients before servers, the folder last.
    clients: Vec<Service>,
    apiserver: ApiServer,
    etcd: Service,
    etcd_url: String,
    bin: PathBuf,
    certs: Certs,
    admin: CertFiles,
    options: Options,
    counter: AtomicU32,
    scratch: Scratch,
}

/// The cluster that the tests of this process share: two fake nodes, default options. Started on
/// first use; a test that breaks things or needs options starts its own.
///
/// # Panics
///
/// When it can't be started, with the reason.
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Result<Cluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| {
        Cluster::start(Options {
            kwok_nodes: 2,
            ..Options::default()
        })
    });
    match cluster {
        Ok(cluster) => cluster,
        Err(error) => fail(&format!("the shared cluster: {error}")),
    }
}

#[expect(clippy::panic, reason = "helpers of tests fail the test")]
#[track_caller]
fn fail(message: &str) -> ! {
    panic!("{message}")
}

impl Cluster {
    /// Starts a control plane and waits until it is usable: the API server is ready, the default
    /// service account is there, and so are the nodes.
    pub(crate) fn start(options: Options) -> Result<Self> {
        for _ in 1..ATTEMPTS {
            match Self::try_start(options.clone()) {
                Err(error) if error.contains("address already in use") => {}
                outcome => return outcome,
            }
        }
        Self::try_start(options)
    }

    fn try_start(options: Options) -> Result<Self> {
        let bin = tools::ensure(Group::Etcd)?;
        tools::ensure(Group::Kubernetes)?;
        if options.kwok_nodes > 0 {
            tools::ensure(Group::Kwok)?;
        }
        let scratch = Scratch::create()?;
        let folder = scratch.path();
        let certs = Certs::create(&folder.join("certs"))?;
        let admin = certs.client("admin", "admin", &["system:masters"])?;

        let etcd_url = format!("http://127.0.0.1:{}", ports::free()?);
        let args = etcd_args(&folder.join("etcd"), &etcd_url, options.etcd_fsync)?;
        let etcd = Service::start("etcd", bin.join("etcd"), args, folder)?;
        let setting = Setting {
            bin: &bin,
            folder,
            certs: &certs,
            admin: &admin,
            etcd_url: &etcd_url,
            options: &options,
        };
        let apiserver = ApiServer::start("kube-apiserver", setting)?;
        let mut cluster = Self {
            clients: Vec::new(),
            apiserver,
            etcd,
            etcd_url,
            bin,
            certs,
            admin,
            options,
            counter: AtomicU32::new(0),
            scratch,
        };
        cluster.finish_start()?;
        Ok(cluster)
    }

    fn finish_start(&mut self) -> Result<()> {
        let etcd = &self.etcd;
        wait::for_api_server(self.apiserver.kubeconfig(), &|| {
            etcd.check()?;
            self.apiserver.service().check()
        })
        .map_err(|e| self.with_tail(&e))?;
        if self.options.controller_manager {
            self.start_controller_manager()?;
        }
        if self.options.scheduler {
            self.start_scheduler()?;
        }
        if self.options.kwok_nodes > 0 {
            self.start_kwok()?;
        }
        if self.options.controller_manager {
            self.wait_service_account("default")?;
        }
        if self.options.kwok_nodes > 0 {
            let count = self.options.kwok_nodes;
            wait::for_nodes(self.kubeconfig(), count, &|| self.check())
                .map_err(|e| self.with_tail(&e))?;
        }
        Ok(())
    }

    fn start_controller_manager(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig_for("system:kube-controller-manager", &[])?;
        let kubeconfig = kubeconfig.display();
        let args = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", ports::free()?),
            format!(
                "--service-account-private-key-file={}",
                self.certs.service_account_key.display()
            ),
            format!("--root-ca-file={}", self.certs.ca.display()),
            "--use-service-account-credentials".to_owned(),
            // With the default of 20 requests a second it needs about 4 s more for its own accounts.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
            "--leader-elect=false".to_owned(),
        ];
        self.start_client("kube-controller-manager", args)
    }

    fn start_scheduler(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig_for("system:kube-scheduler", &[])?;
        let kubeconfig = kubeconfig.display();
        let args = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", ports::free()?),
            "--leader-elect=false".to_owned(),
        ];
        self.start_client("kube-scheduler", args)
    }

    fn start_kwok(&mut self) -> Result<()> {
        let mut args = vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
            "--manage-all-nodes=true".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
        ];
        for stage in tools::kwok_stages()? {
            args.push(format!("--config={}", stage.display()));
        }
        self.start_client("kwok", args)?;
        wait::create_nodes(self.kubeconfig(), self.options.kwok_nodes)
    }

    fn start_client(&mut self, name: &str, args: Vec<String>) -> Result<()> {
        let service = Service::start(name, self.bin.join(name), args, self.scratch.path())?;
        self.clients.push(service);
        Ok(())
    }

    fn wait_service_account(&self, namespace: &str) -> Result<()> {
        wait::for_service_account(self.kubeconfig(), namespace, &|| self.check())
            .map_err(|e| self.with_tail(&e))
    }

    /// The folder of the programs: kubectl, helm and the control plane's own.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        self.apiserver.kubeconfig()
    }

    /// A new kubeconfig with a client certificate for a user in groups (two at most).
    pub(crate) fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let name = format!("user-{}", self.next());
        let files = self.certs.client(&name, user, groups)?;
        self.write_kubeconfig(&name, &Credential::Certificate(&files))
    }

    /// A new kubeconfig with a bearer token, for instance of `kubectl create token`.
    pub(crate) fn kubeconfig_for_token(&self, token: &str) -> Result<PathBuf> {
        let name = format!("token-{}", self.next());
        self.write_kubeconfig(&name, &Credential::Token(token))
    }

    fn write_kubeconfig(&self, name: &str, credential: &Credential<'_>) -> Result<PathBuf> {
        let path = self.folder().join(format!("{name}.kubeconfig"));
        kubeconfig::write(&path, self.apiserver.url(), &self.certs.ca, credential)?;
        Ok(path)
    }

    /// A client as administrator. Needs a Tokio runtime around it.
    pub(crate) async fn client(&self) -> Result<Client> {
        self.apiserver.client().await
    }

    /// A client as a kubeconfig says. Needs a Tokio runtime around it.
    pub(crate) async fn client_for(&self, kubeconfig: &Path) -> Result<Client> {
        kubeconfig::client(kubeconfig).await
    }

    /// Runs kubectl as administrator; `--kubeconfig` among the arguments makes it another user.
    ///
    /// # Panics
    ///
    /// When kubectl can't be run at all.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> Output {
        self.run("kubectl", args, None)
    }

    /// Runs kubectl as administrator and returns what it printed.
    ///
    /// # Panics
    ///
    /// When kubectl fails, with its error.
    #[track_caller]
    pub(crate) fn kubectl_ok(&self, args: &[&str], stdin: Option<&str>) -> String {
        let output = self.run("kubectl", args, stdin);
        succeeded(&output, "kubectl", args)
    }

    /// Waits until every custom resource that was defined is served.
    #[track_caller]
    pub(crate) fn serves_crds(&self) {
        let wait = ["wait", "crd", "--all", "--for=condition=Established"];
        // kubectl fails at once where a definition has no conditions yet.
        for _ in 0..20 {
            if self.kubectl(&wait).status.success() {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
        self.kubectl_ok(&wait, None);
    }

    /// Runs helm as administrator.
    ///
    /// # Panics
    ///
    /// When helm can't be built or run at all.
    #[track_caller]
    pub(crate) fn helm(&self, args: &[&str]) -> Output {
        if let Err(error) = tools::ensure(Group::Helm) {
            fail(&error);
        }
        self.run("helm", args, None)
    }

    /// Runs helm as administrator and returns what it printed.
    ///
    /// # Panics
    ///
    /// When helm fails, with its error.
    #[track_caller]
    pub(crate) fn helm_ok(&self, args: &[&str]) -> String {
        let output = self.helm(args);
        succeeded(&output, "helm", args)
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str], stdin: Option<&str>) -> Output {
        let home = self.folder().join("home");
        let mut command = Command::new(self.bin.join(program));
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &home)
            .env("HELM_CACHE_HOME", home.join("helm/cache"))
            .env("HELM_CONFIG_HOME", home.join("helm/config"))
            .env("HELM_DATA_HOME", home.join("helm/data"));
        match output_of(&mut command, stdin) {
            Ok(output) => output,
            Err(error) => fail(&format!("{program}: {error}")),
        }
    }

    /// Creates a namespace whose name starts with `prefix` and returns its name. Pods can be
    /// created in it at once.
    ///
    /// # Panics
    ///
    /// When it can't be created.
    #[track_caller]
    pub(crate) fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", self.next());
        self.kubectl_ok(&["create", "namespace", &name], None);
        if self.options.controller_manager
            && let Err(error) = self.wait_service_account(&name)
        {
            fail(&error);
        }
        name
    }

    /// A number that this cluster didn't give out before.
    fn next(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The API server.
    pub(crate) fn apiserver(&self) -> &ApiServer {
        &self.apiserver
    }

    /// Starts another API server on the same etcd, with the same options, and waits for it.
    pub(crate) fn second_apiserver(&self) -> Result<ApiServer> {
        let server = self.another_apiserver(&self.options)?;
        server.wait_ready()?;
        Ok(server)
    }

    /// Starts another API server on the same etcd, with options of its own, without waiting for
    /// it: it may be one that never gets ready.
    pub(crate) fn another_apiserver(&self, options: &Options) -> Result<ApiServer> {
        let setting = Setting {
            bin: &self.bin,
            folder: self.folder(),
            certs: &self.certs,
            admin: &self.admin,
            etcd_url: &self.etcd_url,
            options,
        };
        ApiServer::start(&format!("kube-apiserver-{}", self.next()), setting)
    }

    /// Stops the API server: connections stay open and nothing is answered.
    pub(crate) fn pause_apiserver(&self) -> Result<()> {
        self.apiserver.pause()
    }

    /// Lets a paused API server go on.
    pub(crate) fn resume_apiserver(&self) -> Result<()> {
        self.apiserver.resume()
    }

    /// Kills the API server if it runs, starts it on the same port and waits until it is ready.
    pub(crate) fn restart_apiserver(&self) -> Result<()> {
        self.apiserver.restart()
    }

    /// Kills etcd at once.
    pub(crate) fn kill_etcd(&self) {
        self.etcd.kill();
    }

    /// Starts etcd again on the same data, without waiting for it.
    pub(crate) fn restart_etcd(&self) -> Result<()> {
        self.etcd.restart()
    }

    /// Stops etcd: the API server's requests to it hang.
    pub(crate) fn pause_etcd(&self) -> Result<()> {
        self.etcd.signal(Signal::Stop)
    }

    /// Lets a paused etcd go on.
    pub(crate) fn resume_etcd(&self) -> Result<()> {
        self.etcd.signal(Signal::Continue)
    }

    /// Where etcd listens, without TLS.
    pub(crate) fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// The cluster's temporary folder.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the audit log goes, when there is an audit policy.
    pub(crate) fn audit_log(&self) -> &Path {
        self.apiserver.audit_log()
    }

    /// The ids of every process of this cluster.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.services().map(Service::pid).collect();
        pids.push(self.scratch.pid());
        pids
    }

    /// The end of every process' log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        let tails: Vec<String> = self.services().map(Service::tail).collect();
        tails.join("\n")
    }

    /// An error, with the end of its log, when a process has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.services().try_for_each(Service::check)
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        [&self.etcd, self.apiserver.service()]
            .into_iter()
            .chain(&self.clients)
    }

    /// Adds the logs to an error, unless it has one already.
    fn with_tail(&self, error: &str) -> String {
        if error.contains("--- end of the log") {
            error.to_owned()
        } else {
            format!("{error}\n{}", self.log_tail())
        }
    }
}

fn etcd_args(data: &Path, url: &str, fsync: bool) -> Result<Vec<String>> {
    let peer_url = format!("http://127.0.0.1:{}", ports::free()?);
    let mut args = vec![
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=default={peer_url}"),
    ];
    if !fsync {
        args.push("--unsafe-no-fsync".to_owned());
    }
    Ok(args)
}

#[track_caller]
fn succeeded(output: &Output, program: &str, args: &[&str]) -> String {
    if output.status.success() {
        return String::from_utf8_lossy(&output.stdout).into_owned();
    }
    fail(&format!(
        "{program} {}: {}\n{}{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    ))
}
