//! Whether the key and the signature of a certificate withstand today's attackers.

use std::fmt;

use x509_parser::{
    certificate::X509Certificate, public_key::PublicKey, x509::SubjectPublicKeyInfo,
};

/// The shortest RSA modulus that is long enough, in bits.
const RSA_BITS: usize = 2048;
/// The shortest field of an elliptic curve that is long enough, in bits.
const EC_BITS: usize = 256;

/// What makes a certificate weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weakness {
    /// Its RSA key has too few bits.
    RsaKey(u16),
    /// The curve of its key has too few bits.
    EcKey(u16),
    /// Its key is of a kind that no client should take any more.
    OldKey(&'static str),
    /// Its signature rests on a hash for which collisions are known.
    Signature(&'static str),
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaKey(bits) => write!(f, "an RSA key of {bits} bits"),
            Self::EcKey(bits) => write!(f, "an elliptic curve of {bits} bits"),
            Self::OldKey(kind) => write!(f, "a {kind} key"),
            Self::Signature(hash) => write!(f, "a signature with {hash}"),
        }
    }
}

/// What makes a certificate weak. What is not known to be weak, such as the algorithms of
/// tomorrow, is not called so.
pub(super) fn weakness(certificate: &X509Certificate<'_>) -> Option<Weakness> {
    let key = key(certificate.public_key());
    // A root is trusted for what it is, not for its signature of itself.
    let root = certificate.subject().as_raw() == certificate.issuer().as_raw();
    key.or_else(|| if root { None } else { signature(certificate) })
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> Option<Weakness> {
    match key.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let digits = rsa.modulus.iter().skip_while(|byte| **byte == 0);
            let digits: &[u8] = &digits.copied().collect::<Vec<u8>>();
            let first = digits.first()?;
            let bits = digits.len() * 8 - first.leading_zeros() as usize;
            (bits < RSA_BITS).then(|| Weakness::RsaKey(u16::try_from(bits).unwrap_or(u16::MAX)))
        }
        PublicKey::EC(point) => {
            let bits = point.key_size();
            (bits < EC_BITS).then(|| Weakness::EcKey(u16::try_from(bits).unwrap_or(u16::MAX)))
        }
        PublicKey::DSA(_) => Some(Weakness::OldKey("DSA")),
        _ => None,
    }
}

fn signature(certificate: &X509Certificate<'_>) -> Option<Weakness> {
    let algorithm = &certificate.signature_algorithm;
    let hash = match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.2" => "MD2",
        "1.2.840.113549.1.1.3" => "MD4",
        "1.2.840.113549.1.1.4" => "MD5",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => {
            "SHA-1"
        }
        "1.2.840.113549.1.1.10" => return pss(algorithm.parameters.as_ref()),
        _ => return None,
    };
    Some(Weakness::Signature(hash))
}

/// RSASSA-PSS names its hash in its parameters; without them it is SHA-1.
fn pss(parameters: Option<&x509_parser::asn1_rs::Any<'_>>) -> Option<Weakness> {
    use x509_parser::signature_algorithm::RsaSsaPssParams;
    let hash = parameters.map(RsaSsaPssParams::try_from);
    let weak = match hash {
        None => true,
        Some(Ok(parameters)) => parameters.hash_algorithm_oid().to_id_string() == "1.3.14.3.2.26",
        Some(Err(_)) => false,
    };
    weak.then_some(Weakness::Signature("SHA-1"))
}
