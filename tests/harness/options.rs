//! What a cluster is to be like.

/// How to start a [`Cluster`](super::Cluster).
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// An `EncryptionConfiguration` (YAML) for the API server's storage.
    pub(crate) encryption_config: Option<String>,
    /// An audit `Policy` (YAML); entries go to [`Cluster::audit_log`](super::Cluster::audit_log).
    pub(crate) audit_policy: Option<String>,
    /// More arguments for the API server; they win over the harness' own.
    pub(crate) apiserver_args: Vec<String>,
    /// How many fake, ready nodes there are. With none, kwok isn't started.
    pub(crate) kwok_nodes: u32,
    /// Whether etcd syncs to disk. Off is faster; benchmarks must switch it on.
    pub(crate) etcd_fsync: bool,
    /// Whether the controller manager runs. Without it there are no service accounts.
    pub(crate) controller_manager: bool,
    /// Whether the scheduler runs.
    pub(crate) scheduler: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            encryption_config: None,
            audit_policy: None,
            apiserver_args: Vec::new(),
            kwok_nodes: 0,
            etcd_fsync: false,
            controller_manager: true,
            scheduler: true,
        }
    }
}
