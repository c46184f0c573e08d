//! Paths in words.

use std::fmt;

use super::{How, Place, Who};

/// A way to cluster-admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its steps, in order.
    pub steps: Vec<Hop>,
    /// The last, who is cluster-admin already; `None` where the last step makes one.
    pub end: Option<Who>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who takes it.
    pub who: Who,
    /// How.
    pub how: How,
    /// Where the right for it is held.
    pub place: Place,
    /// The group by which it is held, where it is not held directly.
    pub group: Option<Who>,
}

impl Path {
    /// How many steps it takes.
    pub const fn hops(&self) -> usize {
        self.steps.len()
    }
}

impl How {
    /// What is done.
    const fn words(self) -> &'static str {
        match self {
            Self::Bind => "may bind roles (bind, and write bindings)",
            Self::EditRole => "may edit the rules of a role that it is bound to (escalate)",
            Self::Aggregate => "may write a role that is aggregated into its own (escalate)",
            Self::Impersonate => "may impersonate",
            Self::RequestToken => "may request tokens of service accounts",
            Self::TokenSecret => "may create Secrets that hold tokens of service accounts",
            Self::CreatePod => "may create pods",
            Self::Workload => "may write workloads",
            Self::PatchPod => "may change the image of running pods",
            Self::Exec => "may run commands in pods (pods/exec)",
            Self::Ephemeral => "may add ephemeral containers to pods",
            Self::NodesProxy => "may run commands in all pods through kubelets (nodes/proxy)",
            Self::Certificate => "may approve certificates of users",
            Self::Admission => "may change what admission does to every request",
            Self::AwsAuth => "may write ConfigMap kube-system/aws-auth",
            Self::NodePod => "may create pods that take over their node (no Pod Security level)",
            Self::NodeNamespace => {
                "may switch Pod Security off and create pods that take over \
                                    their node"
            }
            Self::NodeVolume => {
                "may create persistent volumes that are folders of a node, and \
                                 pods that mount them"
            }
            Self::NodeSteal => "may draw pods onto a node (write nodes, delete pods)",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => Ok(()),
            Self::Everywhere => f.write_str(" in every namespace"),
            Self::In(namespace) => write!(f, " in namespace {namespace}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(subject) => write!(f, "{subject}"),
            Self::Role(role) if role.home.is_empty() => {
                write!(f, "ClusterRole {}{}", role.name, role.place)
            }
            Self::Role(role) => write!(f, "Role {}/{}", role.home, role.name),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hop) in self.steps.iter().enumerate() {
            if at > 0 {
                let have = matches!(hop.who, Who::Role(_));
                let verb = if have { "have" } else { "act as" };
                write!(f, ", and so {verb} {}", hop.who)?;
                if let Some(group) = &hop.group {
                    write!(f, " (a member of {group})")?;
                }
                f.write_str(if have { ", which " } else { ", who " })?;
            }
            write!(f, "{}{}", hop.how.words(), hop.place)?;
        }
        match &self.end {
            Some(who @ Who::Role(_)) => write!(f, ", and so have {who}, which is cluster-admin"),
            Some(who) => write!(f, ", and so act as {who}, who is cluster-admin"),
            None => f.write_str(", and so become cluster-admin"),
        }
    }
}
