//! The certificates and keys of one control plane.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::Result;

/// A certificate authority, and what it signed for the servers.
#[derive(Debug)]
pub(crate) struct Certs {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// The API server's certificate and key.
    pub(crate) server: CertFiles,
    /// The key that signs service account tokens.
    pub(crate) service_account_key: PathBuf,
    /// The key that verifies service account tokens.
    pub(crate) service_account_public_key: PathBuf,
}

/// The files of a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub(crate) struct CertFiles {
    /// The certificate.
    pub(crate) cert: PathBuf,
    /// Its private key (PKCS #8).
    pub(crate) key: PathBuf,
}

impl Certs {
    /// Creates everything that the servers need in `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut params = named("probity-test-ca", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = generate()?;
        let ca = folder.join("ca.crt");
        let cert = params.self_signed(&key).map_err(text)?;
        write(&ca, &cert.pem())?;
        let issuer = Issuer::new(params, key);

        let mut params = CertificateParams::new(
            ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned),
        )
        .map_err(text)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = sign(folder, "server", params, &issuer)?;

        let token_key = generate()?;
        let service_account_key = folder.join("service-account.key");
        let service_account_public_key = folder.join("service-account.pub");
        write(&service_account_key, &token_key.serialize_pem())?;
        write(&service_account_public_key, &token_key.public_key_pem())?;

        Ok(Self {
            folder: folder.to_owned(),
            issuer,
            ca,
            server,
            service_account_key,
            service_account_public_key,
        })
    }

    /// Signs a client certificate: Kubernetes takes the CN for the user and each O for a group
    /// (two at most). `file` names its files.
    pub(crate) fn client(&self, file: &str, user: &str, groups: &[&str]) -> Result<CertFiles> {
        let mut params = named(user, groups)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        sign(&self.folder, file, params, &self.issuer)
    }
}

fn named(common_name: &str, organizations: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(text)?;
    // rcgen keeps one value per attribute type, but takes the same type once more by its number.
    let types = [
        DnType::OrganizationName,
        DnType::CustomDnType(vec![2, 5, 4, 10]),
    ];
    if organizations.len() > types.len() {
        return Err("a client certificate holds two groups at most; use kubectl --as-group".into());
    }
    for (kind, organization) in types.into_iter().zip(organizations) {
        params.distinguished_name.push(kind, *organization);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}

fn sign(
    folder: &Path,
    file: &str,
    mut params: CertificateParams,
    issuer: &Issuer<'static, KeyPair>,
) -> Result<CertFiles> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = generate()?;
    let cert = params.signed_by(&key, issuer).map_err(text)?;
    let files = CertFiles {
        cert: folder.join(format!("{file}.crt")),
        key: folder.join(format!("{file}.key")),
    };
    write(&files.cert, &cert.pem())?;
    write(&files.key, &key.serialize_pem())?;
    Ok(files)
}

/// ECDSA P-256: ring can't generate RSA, and every part of the control plane takes this.
fn generate() -> Result<KeyPair> {
    KeyPair::generate().map_err(text)
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn text(error: rcgen::Error) -> String {
    format!("certificates: {error}")
}
