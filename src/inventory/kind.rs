//! The kinds that controls read: one row each.

/// How to reach a kind on the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version that we read.
    pub version: &'static str,
    /// Plural name of the resource.
    pub plural: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// Whether every cluster serves it.
    pub home: Home,
}

/// Where the objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In namespaces.
    Namespaced,
    /// In the cluster as a whole.
    Cluster,
}

/// Who brings a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// Kubernetes: every cluster serves it.
    Builtin,
    /// Another tool: where its CRD was never installed, the kind is empty.
    Neighbour,
}

impl KindInfo {
    /// Whether its objects live in namespaces.
    pub const fn is_namespaced(&self) -> bool {
        matches!(self.scope, Scope::Namespaced)
    }

    /// Whether another tool brings it.
    pub const fn is_neighbour(&self) -> bool {
        matches!(self.home, Home::Neighbour)
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Whether this is the name of one of Kubernetes' own kinds of workload.
pub fn is_workload(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob" | "Job" | "ReplicaSet" | "Pod"
    )
}

/// Declares [`Kind`], its table of facts, and the [`Tables`](super::Tables) of an inventory.
macro_rules! kinds {
    ($($kind:ident $field:ident: $projection:ty = $group:literal $version:literal $plural:literal $name:literal $scope:ident $home:ident;)*) => {
        /// A kind of object that some control reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $plural, ".", $group, "`")] $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// How to reach it.
            pub const fn info(self) -> &'static KindInfo {
                match self {
                    $(Self::$kind => &KindInfo {
                        group: $group,
                        version: $version,
                        plural: $plural,
                        kind: $name,
                        scope: Scope::$scope,
                        home: Home::$home,
                    },)*
                }
            }
        }

        /// The objects of every kind.
        #[derive(Debug, Default)]
        pub struct Tables {
            $(#[doc = concat!("`", $plural, ".", $group, "`")] pub $field: Table<$projection>,)*
        }

        /// Runs an expression with `$table` bound to the table of a kind.
        macro_rules! with_table {
            ($tables:expr, $which:expr, $table:ident => $body:expr) => {
                match $which {
                    $(crate::inventory::Kind::$kind => { let $table = &mut $tables.$field; $body })*
                }
            };
        }

        /// Runs an expression with `$table` bound to the shared table of a kind.
        macro_rules! with_table_ref {
            ($tables:expr, $which:expr, $table:ident => $body:expr) => {
                match $which {
                    $(crate::inventory::Kind::$kind => { let $table = &$tables.$field; $body })*
                }
            };
        }
    };
}

use super::{
    calico::CalicoPolicy,
    cilium::CiliumPolicy,
    cnpg::{Database, DatabaseBackup, ObjectStore, ScheduledBackup},
    config_map::ConfigMap,
    core::{Crd, Service},
    etcd::EtcdSnapshotFile,
    ingress::{Certificate, Gateway, Ingress, IngressClass, ListenerSet, Route},
    k8up::{K8upRun, K8upSchedule, K8upSnapshot},
    longhorn::{BackupTarget, LonghornBackup, LonghornVolume, RecurringJob},
    mesh::{
        DestinationRule, FelixConfiguration, IstioAuthorization, LinkerdAuthorization,
        LinkerdServer, PeerAuthentication,
    },
    migration::Migration,
    namespace::Namespace,
    network_policy::NetworkPolicy,
    node::Node,
    rbac::{Binding, Role, ServiceAccount},
    signing::SigningRequest,
    storage::{Claim, SnapshotClass, SnapshotContent, StorageClass, Volume, VolumeSnapshot},
    table::Table,
    tiers::TierPolicy,
    trust::{ApiService, Monitor, Webhooks},
    velero::{Backup, Location, Repository, Restore, Schedule, SnapshotLocation, VolumeBackup},
    workload::{CronJob, Job, Pod, Workload},
};

kinds! {
    Namespace namespaces: Namespace = "" "v1" "namespaces" "Namespace" Cluster Builtin;
    Pod pods: Pod = "" "v1" "pods" "Pod" Namespaced Builtin;
    Service services: Service = "" "v1" "services" "Service" Namespaced Builtin;
    ServiceAccount service_accounts: ServiceAccount = "" "v1" "serviceaccounts" "ServiceAccount" Namespaced Builtin;
    Claim claims: Claim = "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim" Namespaced Builtin;
    Volume volumes: Volume = "" "v1" "persistentvolumes" "PersistentVolume" Cluster Builtin;
    ConfigMap config_maps: ConfigMap = "" "v1" "configmaps" "ConfigMap" Namespaced Builtin;
    StorageClass storage_classes: StorageClass = "storage.k8s.io" "v1" "storageclasses" "StorageClass" Cluster Builtin;
    Deployment deployments: Workload = "apps" "v1" "deployments" "Deployment" Namespaced Builtin;
    StatefulSet stateful_sets: Workload = "apps" "v1" "statefulsets" "StatefulSet" Namespaced Builtin;
    DaemonSet daemon_sets: Workload = "apps" "v1" "daemonsets" "DaemonSet" Namespaced Builtin;
    ReplicaSet replica_sets: Workload = "apps" "v1" "replicasets" "ReplicaSet" Namespaced Builtin;
    Job jobs: Job = "batch" "v1" "jobs" "Job" Namespaced Builtin;
    CronJob cron_jobs: CronJob = "batch" "v1" "cronjobs" "CronJob" Namespaced Builtin;
    NetworkPolicy network_policies: NetworkPolicy = "networking.k8s.io" "v1" "networkpolicies" "NetworkPolicy" Namespaced Builtin;
    Ingress ingresses: Ingress = "networking.k8s.io" "v1" "ingresses" "Ingress" Namespaced Builtin;
    IngressClass ingress_classes: IngressClass = "networking.k8s.io" "v1" "ingressclasses" "IngressClass" Cluster Builtin;
    Role roles: Role = "rbac.authorization.k8s.io" "v1" "roles" "Role" Namespaced Builtin;
    ClusterRole cluster_roles: Role = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" Cluster Builtin;
    RoleBinding role_bindings: Binding = "rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" Namespaced Builtin;
    ClusterRoleBinding cluster_role_bindings: Binding = "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" Cluster Builtin;
    Crd crds: Crd = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" Cluster Builtin;
    Node nodes: Node = "" "v1" "nodes" "Node" Cluster Builtin;
    ValidatingWebhook validating_webhooks: Webhooks = "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" "ValidatingWebhookConfiguration" Cluster Builtin;
    MutatingWebhook mutating_webhooks: Webhooks = "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" "MutatingWebhookConfiguration" Cluster Builtin;
    SigningRequest signing_requests: SigningRequest = "certificates.k8s.io" "v1" "certificatesigningrequests" "CertificateSigningRequest" Cluster Builtin;
    ApiService api_services: ApiService = "apiregistration.k8s.io" "v1" "apiservices" "APIService" Cluster Builtin;
    ClusterNetworkPolicy cluster_network_policies: TierPolicy = "policy.networking.k8s.io" "v1alpha2" "clusternetworkpolicies" "ClusterNetworkPolicy" Cluster Neighbour;
    AdminNetworkPolicy admin_network_policies: TierPolicy = "policy.networking.k8s.io" "v1alpha1" "adminnetworkpolicies" "AdminNetworkPolicy" Cluster Neighbour;
    BaselineAdminNetworkPolicy baseline_admin_network_policies: TierPolicy = "policy.networking.k8s.io" "v1alpha1" "baselineadminnetworkpolicies" "BaselineAdminNetworkPolicy" Cluster Neighbour;
    CiliumNetworkPolicy cilium_network_policies: CiliumPolicy = "cilium.io" "v2" "ciliumnetworkpolicies" "CiliumNetworkPolicy" Namespaced Neighbour;
    CiliumClusterwideNetworkPolicy cilium_clusterwide_network_policies: CiliumPolicy = "cilium.io" "v2" "ciliumclusterwidenetworkpolicies" "CiliumClusterwideNetworkPolicy" Cluster Neighbour;
    CalicoNetworkPolicy calico_network_policies: CalicoPolicy = "crd.projectcalico.org" "v1" "networkpolicies" "NetworkPolicy" Namespaced Neighbour;
    CalicoGlobalNetworkPolicy calico_global_network_policies: CalicoPolicy = "crd.projectcalico.org" "v1" "globalnetworkpolicies" "GlobalNetworkPolicy" Cluster Neighbour;
    CalicoV3NetworkPolicy calico_v3_network_policies: CalicoPolicy = "projectcalico.org" "v3" "networkpolicies" "NetworkPolicy" Namespaced Neighbour;
    CalicoV3GlobalNetworkPolicy calico_v3_global_network_policies: CalicoPolicy = "projectcalico.org" "v3" "globalnetworkpolicies" "GlobalNetworkPolicy" Cluster Neighbour;
    Gateway gateways: Gateway = "gateway.networking.k8s.io" "v1" "gateways" "Gateway" Namespaced Neighbour;
    ListenerSet listener_sets: ListenerSet = "gateway.networking.k8s.io" "v1" "listenersets" "ListenerSet" Namespaced Neighbour;
    XListenerSet x_listener_sets: ListenerSet = "gateway.networking.x-k8s.io" "v1alpha1" "xlistenersets" "XListenerSet" Namespaced Neighbour;
    HttpRoute http_routes: Route = "gateway.networking.k8s.io" "v1" "httproutes" "HTTPRoute" Namespaced Neighbour;
    GrpcRoute grpc_routes: Route = "gateway.networking.k8s.io" "v1" "grpcroutes" "GRPCRoute" Namespaced Neighbour;
    TlsRoute tls_routes: Route = "gateway.networking.k8s.io" "v1" "tlsroutes" "TLSRoute" Namespaced Neighbour;
    Migration migrations: Migration = "storagemigration.k8s.io" "v1" "storageversionmigrations" "StorageVersionMigration" Cluster Neighbour;
    MigrationBeta beta_migrations: Migration = "storagemigration.k8s.io" "v1beta1" "storageversionmigrations" "StorageVersionMigration" Cluster Neighbour;
    PeerAuthentication peer_authentications: PeerAuthentication = "security.istio.io" "v1" "peerauthentications" "PeerAuthentication" Namespaced Neighbour;
    IstioAuthorization istio_authorizations: IstioAuthorization = "security.istio.io" "v1" "authorizationpolicies" "AuthorizationPolicy" Namespaced Neighbour;
    DestinationRule destination_rules: DestinationRule = "networking.istio.io" "v1" "destinationrules" "DestinationRule" Namespaced Neighbour;
    LinkerdServer linkerd_servers: LinkerdServer = "policy.linkerd.io" "v1beta3" "servers" "Server" Namespaced Neighbour;
    LinkerdAuthorization linkerd_authorizations: LinkerdAuthorization = "policy.linkerd.io" "v1alpha1" "authorizationpolicies" "AuthorizationPolicy" Namespaced Neighbour;
    FelixConfiguration felix_configurations: FelixConfiguration = "crd.projectcalico.org" "v1" "felixconfigurations" "FelixConfiguration" Cluster Neighbour;
    FelixV3Configuration felix_v3_configurations: FelixConfiguration = "projectcalico.org" "v3" "felixconfigurations" "FelixConfiguration" Cluster Neighbour;
    ServiceMonitor service_monitors: Monitor = "monitoring.coreos.com" "v1" "servicemonitors" "ServiceMonitor" Namespaced Neighbour;
    PodMonitor pod_monitors: Monitor = "monitoring.coreos.com" "v1" "podmonitors" "PodMonitor" Namespaced Neighbour;
    Certificate certificates: Certificate = "cert-manager.io" "v1" "certificates" "Certificate" Namespaced Neighbour;
    VolumeSnapshot volume_snapshots: VolumeSnapshot = "snapshot.storage.k8s.io" "v1" "volumesnapshots" "VolumeSnapshot" Namespaced Neighbour;
    SnapshotContent snapshot_contents: SnapshotContent = "snapshot.storage.k8s.io" "v1" "volumesnapshotcontents" "VolumeSnapshotContent" Cluster Neighbour;
    SnapshotClass snapshot_classes: SnapshotClass = "snapshot.storage.k8s.io" "v1" "volumesnapshotclasses" "VolumeSnapshotClass" Cluster Neighbour;
    VeleroSchedule velero_schedules: Schedule = "velero.io" "v1" "schedules" "Schedule" Namespaced Neighbour;
    VeleroBackup velero_backups: Backup = "velero.io" "v1" "backups" "Backup" Namespaced Neighbour;
    PodVolumeBackup pod_volume_backups: VolumeBackup = "velero.io" "v1" "podvolumebackups" "PodVolumeBackup" Namespaced Neighbour;
    DataUpload data_uploads: VolumeBackup = "velero.io" "v2alpha1" "datauploads" "DataUpload" Namespaced Neighbour;
    VeleroRestore velero_restores: Restore = "velero.io" "v1" "restores" "Restore" Namespaced Neighbour;
    VeleroLocation velero_locations: Location = "velero.io" "v1" "backupstoragelocations" "BackupStorageLocation" Namespaced Neighbour;
    VeleroSnapshotLocation velero_snapshot_locations: SnapshotLocation = "velero.io" "v1" "volumesnapshotlocations" "VolumeSnapshotLocation" Namespaced Neighbour;
    VeleroRepository velero_repositories: Repository = "velero.io" "v1" "backuprepositories" "BackupRepository" Namespaced Neighbour;
    Database databases: Database = "postgresql.cnpg.io" "v1" "clusters" "Cluster" Namespaced Neighbour;
    ScheduledBackup scheduled_backups: ScheduledBackup = "postgresql.cnpg.io" "v1" "scheduledbackups" "ScheduledBackup" Namespaced Neighbour;
    DatabaseBackup database_backups: DatabaseBackup = "postgresql.cnpg.io" "v1" "backups" "Backup" Namespaced Neighbour;
    ObjectStore object_stores: ObjectStore = "barmancloud.cnpg.io" "v1" "objectstores" "ObjectStore" Namespaced Neighbour;
    RecurringJob recurring_jobs: RecurringJob = "longhorn.io" "v1beta2" "recurringjobs" "RecurringJob" Namespaced Neighbour;
    LonghornVolume longhorn_volumes: LonghornVolume = "longhorn.io" "v1beta2" "volumes" "Volume" Namespaced Neighbour;
    LonghornBackup longhorn_backups: LonghornBackup = "longhorn.io" "v1beta2" "backups" "Backup" Namespaced Neighbour;
    BackupTarget backup_targets: BackupTarget = "longhorn.io" "v1beta2" "backuptargets" "BackupTarget" Namespaced Neighbour;
    K8upSchedule k8up_schedules: K8upSchedule = "k8up.io" "v1" "schedules" "Schedule" Namespaced Neighbour;
    K8upBackup k8up_backups: K8upRun = "k8up.io" "v1" "backups" "Backup" Namespaced Neighbour;
    K8upRestore k8up_restores: K8upRun = "k8up.io" "v1" "restores" "Restore" Namespaced Neighbour;
    K8upSnapshot k8up_snapshots: K8upSnapshot = "k8up.io" "v1" "snapshots" "Snapshot" Namespaced Neighbour;
    EtcdSnapshotFile etcd_snapshot_files: EtcdSnapshotFile = "k3s.cattle.io" "v1" "etcdsnapshotfiles" "ETCDSnapshotFile" Cluster Neighbour;
}

pub(crate) use {with_table, with_table_ref};
