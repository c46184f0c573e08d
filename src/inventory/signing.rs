//! Requests for certificates (`certificates.k8s.io/v1`), from which users get theirs.

use k8s_openapi::ByteString;
use serde::Deserialize;
use x509_parser::{
    certification_request::X509CertificationRequest, pem::Pem, prelude::FromDer, x509::X509Name,
};

use super::{
    Projected, Projection,
    ingress::Condition,
    intern::{Interner, Sym},
    meta::{Str, WireMeta},
};

/// A `CertificateSigningRequest`.
#[derive(Debug, PartialEq, Eq)]
pub struct SigningRequest {
    /// Who signs.
    pub signer: Sym,
    /// Who asked.
    pub requester: Sym,
    /// Whether somebody approved it, and nobody denied it.
    pub approved: bool,
    /// Whom the certificate makes its holder; `None` where the request can't be read.
    pub names: Option<Names>,
}

/// Whom a certificate makes its holder.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// The user: its common name.
    pub user: Sym,
    /// The groups: its organisations.
    pub groups: Box<[Sym]>,
}

/// The object on the wire.
#[derive(Debug, Deserialize)]
pub struct WireSigningRequest<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    signer_name: Str<'a>,
    #[serde(borrow)]
    username: Option<Str<'a>>,
    request: Option<ByteString>,
}

#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Condition<'a>>>,
}

/// Names longer than this are cut: they are the requester's to choose.
const NAME: usize = 253;
/// Groups that are kept.
const GROUPS: usize = 16;

fn names(request: &[u8], interner: &mut Interner) -> Option<Names> {
    let block = Pem::iter_from_buffer(request).next()?.ok()?;
    let (_, request) = X509CertificationRequest::from_der(&block.contents).ok()?;
    let subject: &X509Name<'_> = &request.certification_request_info.subject;
    let mut name = |text: &str| interner.string(&text[..text.floor_char_boundary(NAME)]);
    let user = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().take(GROUPS);
    let groups: Result<_, _> = groups.map(|group| group.as_str().map(&mut name)).collect();
    Some(Names {
        groups: groups.ok()?,
        user: name(user),
    })
}

impl Projection for SigningRequest {
    type Wire<'a> = WireSigningRequest<'a>;

    fn project(wire: WireSigningRequest<'_>, interner: &mut Interner) -> Projected<Self> {
        let meta = Self::meta(wire.metadata, interner)?;
        let conditions = wire.status.and_then(|status| status.conditions);
        let is = |kind: &str| {
            let mut conditions = conditions.iter().flatten();
            conditions.any(|c| &*c.kind == kind && &*c.status == "True")
        };
        let request = Self {
            approved: is("Approved") && !is("Denied"),
            signer: interner.string(&wire.spec.signer_name),
            requester: interner.string(wire.spec.username.as_deref().unwrap_or_default()),
            names: wire
                .spec
                .request
                .and_then(|request| names(&request.0, interner)),
        };
        Ok((meta, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_user_and_groups() {
        let mut parameters = rcgen::CertificateParams::default();
        let subject = &mut parameters.distinguished_name;
        *subject = rcgen::DistinguishedName::new();
        subject.push(rcgen::DnType::CommonName, "alice");
        subject.push(rcgen::DnType::OrganizationName, "devs");
        let key = rcgen::KeyPair::generate().unwrap();
        let request = parameters.serialize_request(&key).unwrap().pem().unwrap();
        let mut interner = Interner::default();
        let found = names(request.as_bytes(), &mut interner).unwrap();
        assert_eq!(&*found.user, "alice");
        assert_eq!(found.groups, [Sym::from("devs")].into());
        assert_eq!(names(b"no request", &mut interner), None);
    }
}
