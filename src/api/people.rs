//! The objects with which people take part, as one type: who asked, who decided, and what.

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    AccessReview, Attestation, AuditPeriod, ClusterControlException, ControlException, Decision,
    DeviationResponse, Review,
};

/// Kind of an object with which people take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeopleKind {
    /// `ControlException`.
    Exception,
    /// `ClusterControlException`.
    ClusterException,
    /// `Attestation`.
    Attestation,
    /// `AccessReview`.
    Review,
    /// `DeviationResponse`.
    Response,
    /// `AuditPeriod`.
    Period,
}

impl PeopleKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Exception,
        Self::ClusterException,
        Self::Attestation,
        Self::Review,
        Self::Response,
        Self::Period,
    ];

    /// The kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Exception => "ControlException",
            Self::ClusterException => "ClusterControlException",
            Self::Attestation => "Attestation",
            Self::Review => "AccessReview",
            Self::Response => "DeviationResponse",
            Self::Period => "AuditPeriod",
        }
    }

    /// The resource.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Exception => "controlexceptions",
            Self::ClusterException => "clustercontrolexceptions",
            Self::Attestation => "attestations",
            Self::Review => "accessreviews",
            Self::Response => "deviationresponses",
            Self::Period => "auditperiods",
        }
    }

    /// Whether its objects are in namespaces.
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Self::Exception)
    }

    /// Whether somebody else approves or refuses an object of it as a whole.
    pub const fn is_approved(self) -> bool {
        match self {
            Self::Exception | Self::ClusterException | Self::Attestation => true,
            Self::Review | Self::Response | Self::Period => false,
        }
    }

    /// Whether requesters may create objects of it; those who write policies define the others.
    pub const fn is_asked_for(self) -> bool {
        !matches!(self, Self::Period)
    }

    /// The kind with this name.
    pub fn find(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.kind() == kind)
    }

    /// Reads an object of this kind.
    pub fn parse(self, json: &str) -> serde_json::Result<PeopleObject> {
        Ok(match self {
            Self::Exception => PeopleObject::Exception(Box::new(serde_json::from_str(json)?)),
            Self::ClusterException => {
                PeopleObject::ClusterException(Box::new(serde_json::from_str(json)?))
            }
            Self::Attestation => PeopleObject::Attestation(Box::new(serde_json::from_str(json)?)),
            Self::Review => PeopleObject::Review(Box::new(serde_json::from_str(json)?)),
            Self::Response => PeopleObject::Response(Box::new(serde_json::from_str(json)?)),
            Self::Period => PeopleObject::Period(Box::new(serde_json::from_str(json)?)),
        })
    }
}

/// An object with which people take part.
#[derive(Debug, Clone, PartialEq)]
pub enum PeopleObject {
    /// An exception in one namespace.
    Exception(Box<ControlException>),
    /// An exception anywhere.
    ClusterException(Box<ClusterControlException>),
    /// What a person says.
    Attestation(Box<Attestation>),
    /// A look at rights.
    Review(Box<AccessReview>),
    /// What management says about a deviation.
    Response(Box<DeviationResponse>),
    /// The time that an examination is about.
    Period(Box<AuditPeriod>),
}

impl PeopleObject {
    /// Its kind.
    pub const fn kind(&self) -> PeopleKind {
        match self {
            Self::Exception(_) => PeopleKind::Exception,
            Self::ClusterException(_) => PeopleKind::ClusterException,
            Self::Attestation(_) => PeopleKind::Attestation,
            Self::Review(_) => PeopleKind::Review,
            Self::Response(_) => PeopleKind::Response,
            Self::Period(_) => PeopleKind::Period,
        }
    }

    /// Its metadata.
    pub const fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Exception(object) => &object.metadata,
            Self::ClusterException(object) => &object.metadata,
            Self::Attestation(object) => &object.metadata,
            Self::Review(object) => &object.metadata,
            Self::Response(object) => &object.metadata,
            Self::Period(object) => &object.metadata,
        }
    }

    /// Its spec, as it is hashed and logged.
    pub fn spec(&self) -> Value {
        let spec = match self {
            Self::Exception(object) => serde_json::to_value(&object.spec),
            Self::ClusterException(object) => serde_json::to_value(&object.spec),
            Self::Attestation(object) => serde_json::to_value(&object.spec),
            Self::Review(object) => serde_json::to_value(&object.spec),
            Self::Response(object) => serde_json::to_value(&object.spec),
            Self::Period(object) => serde_json::to_value(&object.spec),
        };
        spec.unwrap_or_default() // what was read from JSON can be written as JSON
    }

    /// Who asked for it or wrote it, as admission compared it with the authenticated user.
    pub fn requester(&self) -> Option<&str> {
        match self {
            Self::Exception(object) => Some(&object.spec.exemption.requested_by),
            Self::ClusterException(object) => Some(&object.spec.exemption.requested_by),
            Self::Attestation(object) => Some(&object.spec.attested_by),
            Self::Response(object) => Some(&object.spec.author),
            Self::Review(_) | Self::Period(_) => None,
        }
    }

    /// What was decided about it as a whole.
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Exception(object) => object.status.as_ref()?.decision.as_ref(),
            Self::ClusterException(object) => object.status.as_ref()?.decision.as_ref(),
            Self::Attestation(object) => object.status.as_ref()?.decision.as_ref(),
            Self::Review(_) | Self::Response(_) | Self::Period(_) => None,
        }
    }

    /// What was decided about each of its rows.
    pub fn review(&self) -> Option<&Review> {
        match self {
            Self::Review(object) => object.status.as_ref()?.review.as_ref(),
            _ => None,
        }
    }

    /// When it ends by itself.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Exception(object) => Some(object.spec.exemption.expires_at.0),
            Self::ClusterException(object) => Some(object.spec.exemption.expires_at.0),
            Self::Attestation(object) => Some(object.spec.valid_until.0),
            Self::Review(_) | Self::Response(_) | Self::Period(_) => None,
        }
    }
}
